"""Translates LangChain's chain runs into workflows, agents and steps."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.langchain import langgraph
from otel_callbacks.operations import AgentInvocation, Operation, Step, Workflow, payload
from otel_callbacks.operations.payload import word
from otel_callbacks.runs.run import Run

Metadata = Mapping[str, Any]

_START_NODE = "__start__"
_TYPE_NAMES = ("Runnable", "LangGraph", "StateGraph")
_SEARCHES = (
    "chat_retriever_chain",
    "retrieve_documents",
)  # LangChain's names of chains that only find documents
_CONVERSATION_KEYS = ("thread_id", "session_id", "conversation_id")


def is_plumbing(name: str | None, run_type: str | None = None, is_node: bool = False) -> bool:
    """Tells whether a chain is a prompt, a parser, or a runnable, graph or node that the application did not name."""
    if is_node:
        return name == _START_NODE
    return run_type is not None or not name or name.startswith(_TYPE_NAMES) or name == "Prompt"


def start_chain(
    name: str | None,
    run_type: str | None,
    metadata: Metadata,
    graph: Any,
    parent: Run | None,
    *,
    is_node: bool,
) -> Operation:
    """Returns the operation of a chain that starts: an agent, a workflow or a step.

    Args:
        name: LangChain's name of the run.
        run_type: LangChain's type of the run; None for a chain or a graph.
        metadata: the run's metadata.
        graph: the compiled graph, if the run is a graph's.
        parent: the run that encloses this one.
        is_node: the run is a graph node's.
    """
    if is_node:
        return langgraph.start_node(metadata)
    own_name = langgraph.entrypoint_name(graph) if is_plumbing(name) else name
    if graph is not None and langgraph.is_agent(graph):
        graph_name = word(getattr(graph, "name", None))
        return AgentInvocation(
            name=own_name if is_plumbing(graph_name) else graph_name,
            conversation_id=conversation_id(metadata),
        )
    if graph is not None or (parent is None and run_type is None):
        return Workflow(name=own_name, conversation_id=conversation_id(metadata))
    above = parent.operation.name if parent is not None else None
    rewrites = name == "LLMChain" and above == "ConversationalRetrievalChain"
    return Step(name=name, in_search=rewrites or name in _SEARCHES)


def conversation_id(metadata: Metadata) -> str | None:
    """Returns the conversation id that the application put into the metadata; None without one."""
    return next((found for key in _CONVERSATION_KEYS if (found := payload.name(metadata.get(key)))), None)
