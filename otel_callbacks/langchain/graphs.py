"""What we know of LangGraph, without importing it: its graphs, agents and nodes, and how it uses exceptions."""

from collections.abc import Mapping
from types import FrameType
from typing import Any

from otel_callbacks.langchain.parents import component
from otel_callbacks.operations import Step
from otel_callbacks.operations.payload import attribute, integer, items, name, word, words

_MAX_PATH = 100
_AGENT_MODULES = ("langchain.agents.factory", "langgraph.prebuilt.chat_agent_executor")


def graph_of(frame: FrameType | None) -> Any:
    """The compiled LangGraph graph whose run started in this frame; None if it is no graph's.

    Metadata cannot tell: a graph's marks are inherited by everything that runs inside it.
    """
    is_graphs = frame is not None and frame.f_globals.get("__name__", "").startswith("langgraph.pregel")
    return component(frame) if is_graphs else None


def is_agent(graph: Any) -> bool:
    """Whether LangChain or LangGraph built the graph as an agent.

    Told by the module of the node that calls the model. The marks that newer versions put into the metadata
    are inherited by every graph that runs inside an agent.
    """
    nodes = getattr(graph, "nodes", {})
    bound = getattr(nodes.get("model") or nodes.get("agent"), "bound", None)
    function = getattr(getattr(bound, "first", bound), "func", None)
    return getattr(function, "__module__", None) in _AGENT_MODULES


def is_node(metadata: Mapping[str, Any], tags: Any) -> bool:
    """Whether a run is a node of a graph: what runs inside one inherits its metadata, but not its tag."""
    return "langgraph_node" in metadata and any(tag.startswith("graph:step") for tag in words(tags) or ())


def node(metadata: Mapping[str, Any]) -> Step:
    """A node of a graph, run in one step of it."""
    path = (name(part) for part in items(metadata.get("langgraph_path"))[:_MAX_PATH])
    node_name = name(metadata["langgraph_node"]) or "node"
    return Step(
        name=node_name,
        node=node_name,
        step=integer(metadata.get("langgraph_step")),
        path="/".join(filter(None, path)) or None,
        checkpoint_ns=word(metadata.get("langgraph_checkpoint_ns")),
    )


def resumes(inputs: Any) -> bool:
    """Whether a graph is started to go on: without input, or with LangGraph's resume command."""
    is_command = type(inputs).__module__ == "langgraph.types"
    return inputs is None or (is_command and attribute(inputs, "resume") is not None)


def control_flow(error: BaseException) -> str | None:
    """The class of LangGraph's own that makes `error` control flow rather than a failure; None if it is one.

    By the classes' module, not by name alone: an application may call its own exception GraphInterrupt.
    """
    signals = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "langgraph.errors"}
    if "GraphBubbleUp" not in signals:
        return None
    return "GraphInterrupt" if "GraphInterrupt" in signals else "GraphBubbleUp"
