"""Translates LangChain's chain runs into workflows, agents and steps."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.langchain import langgraph, messages
from otel_callbacks.operations import AgentInvocation, Operation, Step, Workflow, providers
from otel_callbacks.operations.payload import word
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded

Metadata = Mapping[str, Any]

_START_NODE = "__start__"
_TYPE_NAMES = ("Runnable", "LangGraph", "StateGraph")
_RUNNABLES = {
    *("RunnableSequence", "RunnableParallel", "RunnableMap", "RunnableLambda", "RunnablePassthrough"),
    *("RunnableAssign", "RunnablePick", "RunnableBranch", "RunnableEach", "RunnableWithFallbacks"),
    "RunnableGenerator",
}
"""The names of LangChain's runnables; behind `<` some say what is in them."""
_SEARCHES = (
    "chat_retriever_chain",
    "retrieve_documents",
)  # LangChain's names of chains that only find documents


def is_plumbing(name: str | None, run_type: str | None = None, is_node: bool = False) -> bool:
    """Tells whether a chain is a prompt, a parser, or a runnable, graph or node that the application did not name."""
    if is_node:
        return name == _START_NODE
    return run_type is not None or not name or name.startswith(_TYPE_NAMES) or name == "Prompt"


def is_unnamed(name: str | None, run_type: str | None) -> bool:
    """Tells whether a chain is a prompt, a parser or a runnable with the name of its class, and so no graph or node."""
    return run_type is not None or (name is not None and name.partition("<")[0] in _RUNNABLES)


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
    if graph is None and (parent is not None or run_type is not None):
        above = parent.operation.name if parent is not None else None
        rewrites = name == "LLMChain" and above == "ConversationalRetrievalChain"
        return Step(name=name, in_search=True) if rewrites or name in _SEARCHES else Step(name=name)
    own_name = langgraph.entrypoint_name(graph) if is_plumbing(name) else name
    if graph is not None and langgraph.is_agent(graph):
        graph_name = word(getattr(graph, "name", None))
        return AgentInvocation(name=own_name if is_plumbing(graph_name) else graph_name)
    return Workflow(name=own_name)


def read_inputs(operation: Operation, graph: Any, inputs: Any) -> None:
    """Adds what goes into a chain, and the tools of an agent."""
    if isinstance(operation, Workflow | AgentInvocation):
        operation.input_messages = messages.state_messages(inputs, "user")
    if isinstance(operation, AgentInvocation):
        operation.tool_definitions = providers.definitions_without_parameters(langgraph.tools_of(graph))


@guarded  # an unreadable state must not keep the span from ending
def finish_chain(operation: Operation, inputs: Any, outputs: Any) -> None:
    """Adds what came out of a chain, and what went in if only its end says so, as a stream's does."""
    if not isinstance(operation, Workflow | AgentInvocation):
        return
    operation.input_messages = operation.input_messages or messages.state_messages(inputs, "user")
    is_agent = isinstance(operation, AgentInvocation)
    operation.output_messages = (messages.agent_answer if is_agent else messages.result_messages)(outputs)
