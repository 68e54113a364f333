"""Recognises LangGraph's graphs, agents, nodes, breakpoints and control flow, without importing LangGraph."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import FrameType
from typing import TYPE_CHECKING, Any

from otel_callbacks.langchain.bodies import InStreamingChain
from otel_callbacks.langchain.functions import function_of
from otel_callbacks.langchain.parent_run import component_of
from otel_callbacks.limits import CACHED_NAMES, GRAPH_PATH_PARTS, WORDS_READ, first
from otel_callbacks.operations import Step
from otel_callbacks.operations.payload import attribute, integer, items, mapping, name, word
from otel_callbacks.runs.run import Run

if TYPE_CHECKING:
    from otel_callbacks.recording.recorder import Recorder

_AGENT_MODULES = ("langchain.agents.factory", "langgraph.prebuilt.chat_agent_executor")


def graph_of(frame: FrameType | None) -> Any:
    """Returns the compiled graph whose run started in `frame`; None if the run is not a graph's.

    The metadata cannot tell: every run inside a graph inherits the graph's metadata.
    """
    return component_of(frame) if frame is not None and function_of(frame).is_graphs else None


def is_agent(graph: Any) -> bool:
    """Tells whether LangChain or LangGraph built the graph as an agent.

    The module of the node that calls the model decides. Newer versions also mark agents in the metadata, but every
    graph that runs inside an agent inherits that mark.
    """
    nodes = getattr(graph, "nodes", {})
    bound = getattr(nodes.get("model") or nodes.get("agent"), "bound", None)
    function = getattr(getattr(bound, "first", bound), "func", None)
    return getattr(function, "__module__", None) in _AGENT_MODULES


def entrypoint_name(graph: Any) -> str | None:
    """Returns the name of the function that `@entrypoint` made into a graph; None for any other graph, or for None.

    Such a graph has no name, and one node with the name of the function.
    """
    nodes = getattr(graph, "nodes", None)
    if type(graph).__name__ != "Pregel" or not isinstance(nodes, dict) or len(nodes) != 1:
        return None
    return word(next(iter(nodes)))


def tools_of(graph: Any) -> Iterable[tuple[Any, Any]]:
    """Yields the names and descriptions of an agent's tools."""
    node = mapping(attribute(graph, "nodes")).get("tools")
    tools = mapping(attribute(attribute(node, "bound"), "tools_by_name"))
    return ((attribute(tool, "name"), attribute(tool, "description")) for tool in tools.values())


def is_node(metadata: Mapping[str, Any], tags: Any) -> bool:
    """Tells whether a run is a graph node. Runs inside a node inherit its metadata but not its tag."""
    if "langgraph_node" not in metadata:
        return False
    listed = items(tags)[:WORDS_READ]
    try:
        return "\0graph:step" in "\0".join(("", *listed))
    except TypeError:  # a tag is no text
        return any(type(tag) is str and tag.startswith("graph:step") for tag in listed)


def start_node(metadata: Mapping[str, Any]) -> Step:
    """Returns the operation of a graph node that starts."""
    node_name = name(metadata["langgraph_node"]) or "node"
    path = items(metadata.get("langgraph_path"))
    try:
        path_text = _path_text(tuple(path))
    except TypeError:  # a part of it has no hash
        path_text = _path_text.__wrapped__(path)
    return Step(
        name=node_name,
        node=node_name,
        step=integer(metadata.get("langgraph_step")),
        path=path_text,
        checkpoint_ns=word(metadata.get("langgraph_checkpoint_ns")),
    )


@lru_cache(maxsize=CACHED_NAMES)
def _path_text(path: Sequence[Any]) -> str | None:
    parts = first(path, GRAPH_PATH_PARTS, "parts of a LangGraph path")
    return "/".join(filter(None, map(name, parts))) or None


def is_resumed(inputs: Any) -> bool:
    """Tells whether these inputs resume an interrupted graph: none at all, or LangGraph's resume command."""
    is_command = type(inputs).__module__ == "langgraph.types"
    return inputs is None or (is_command and attribute(inputs, "resume") is not None)


def finish(recorder: "Recorder", run: Run) -> None:
    """Ends a chain or graph that LangGraph or LangChain reports as finished."""
    if run.inside is not None and _is_at_breakpoint(run.inside):
        recorder.interrupt(run)
    else:
        recorder.finish(run)


def _is_at_breakpoint(inside: Any) -> bool:
    """Tells whether a graph has stopped at one of its breakpoints (`interrupt_before`, `interrupt_after`).

    LangGraph reports a normal end; only the loop in its frame knows.
    """
    if not isinstance(inside, InStreamingChain) or graph_of(inside.frame) is None:
        return False
    return attribute(inside.frame.f_locals.get("loop"), "status") in ("interrupt_before", "interrupt_after")


def fail(recorder: "Recorder", run: Run, error: BaseException) -> None:
    """Ends a run that raised `error`, which LangGraph may have raised as control flow."""
    if waits(error):
        recorder.interrupt(run)
    elif "GraphBubbleUp" in _signals(error):
        recorder.finish(run)
    else:
        recorder.fail(run, error)


def waits(error: BaseException) -> bool:
    """Tells whether LangGraph raised `error` because the graph waits to be resumed: interrupted, or drained."""
    return not {"GraphInterrupt", "GraphDrained"}.isdisjoint(_signals(error))


def _signals(error: BaseException) -> set[str]:
    """Returns the names of LangGraph's classes that an exception is of. An application may use these names, too."""
    return {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "langgraph.errors"}
