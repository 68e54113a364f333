"""Translates LlamaIndex's engines, workflows, agents and their steps into operations."""

from dataclasses import replace
from inspect import BoundArguments
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow
from llama_index.core.agent.workflow.base_agent import (
    DEFAULT_AGENT_DESCRIPTION,
    DEFAULT_AGENT_NAME,
    BaseWorkflowAgent,
)
from llama_index.core.agent.workflow.workflow_events import AgentOutput, ToolCall
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.constants import DEFAULT_PIPELINE_NAME
from llama_index.core.memory.types import DEFAULT_CHAT_STORE_KEY
from llama_index.core.schema import QueryBundle
from llama_index.core.workflow import Event, StopEvent
from llama_index.core.workflow import Workflow as LlamaWorkflow

from otel_callbacks.limits import DESCRIPTION_CHARACTERS, ITEMS_READ
from otel_callbacks.llama_index import messages
from otel_callbacks.llama_index.inference import finish_reason_of
from otel_callbacks.operations import (
    AgentInvocation,
    Message,
    Step,
    Text,
    ToolExecution,
    Workflow,
    providers,
)
from otel_callbacks.operations.payload import (
    attribute,
    is_a,
    items,
    mapping,
    mapping_or_fields,
    text,
    word,
)
from otel_callbacks.runs.run import Run

_AGENT_PLUMBING = {"init_run", "setup_agent", "parse_agent_output", "aggregate_tool_results"}
_ANSWERS = (Response, PydanticResponse, AgentChatResponse, AgentOutput)


# --- engines and pipelines ---------------------------------------------------------------------------------------


def start_query(engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    """Returns the operation of a query engine that starts."""
    return _start_engine("query_engine", engine, arguments, with_content)


def start_chat(engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    """Returns the operation of a chat engine that starts."""
    operation = _start_engine("chat_engine", engine, arguments, with_content)
    operation.conversation_id = conversation_id(attribute(engine, "_memory"))
    return operation


def _start_engine(kind: str, engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    operation = Workflow(name=_class_name(engine) or kind)
    if with_content and arguments.args:
        operation.input_messages = messages.text_message("user", query_text(arguments.args[0]))
    return operation


def start_ingestion(pipeline: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    """Returns the operation of an ingestion pipeline that starts."""
    own_name = word(attribute(pipeline, "name"))
    return Workflow(name=own_name if own_name not in (None, DEFAULT_PIPELINE_NAME) else "ingestion_pipeline")


def start_synthesis(synthesizer: Any, arguments: BoundArguments, with_content: bool) -> Step:
    """Returns the operation of a response synthesizer that starts."""
    return Step(name="synthesis")


def start_node_parsing(parser: Any, arguments: BoundArguments, with_content: bool) -> Step:
    """Returns the operation of a node parser that starts."""
    return Step(name="node_parsing")


def query_text(query: Any) -> str | None:
    """Returns the text of a query, which may be a string or a `QueryBundle`."""
    return text(attribute(query, "query_str") if is_a(query, QueryBundle) else query)


def _class_name(instance: Any) -> str | None:
    """Returns the name of the application's own class; None for a class of LlamaIndex, which names no application."""
    kind = type(instance)
    return None if kind.__module__.startswith("llama_index.") else kind.__name__


# --- workflows, agents and their steps ---------------------------------------------------------------------------


def start_workflow(
    workflow: Any, arguments: BoundArguments, with_content: bool
) -> Workflow | AgentInvocation:
    """Returns the operation of a workflow run that starts; an agent is a workflow, too."""
    start_event = arguments.arguments.get("start_event")
    conversation = conversation_id(_field(start_event, "memory"))
    operation: Workflow | AgentInvocation
    if isinstance(workflow, BaseWorkflowAgent):
        operation = start_agent(workflow, with_content)
        operation.conversation_id = conversation
    else:
        own_name = word(attribute(workflow, "_workflow_name")) or _class_name(workflow)
        operation = Workflow(name=own_name, conversation_id=conversation)
    if with_content:
        operation.input_messages = messages.text_message("user", _field(start_event, "user_msg"))
    return operation


def _field(event: Any, name: str) -> Any:
    """Returns a field of an event, declared or not."""
    return event.get(name, None) if is_a(event, Event) else None


def start_agent(agent: Any, with_content: bool) -> AgentInvocation:
    """Returns the operation of an agent that starts, with the application's name for it."""
    instructions, tools = None, None
    if with_content:
        prompt = text(attribute(agent, "system_prompt"))
        instructions = Message("system", (Text(prompt),)) if prompt is not None else None
        metadata = [attribute(tool, "metadata") for tool in items(attribute(agent, "tools"))[:ITEMS_READ]]
        tools = ((attribute(each, "name"), attribute(each, "description")) for each in metadata)
    name = word(attribute(agent, "name"))
    description = word(attribute(agent, "description"), DESCRIPTION_CHARACTERS)
    return AgentInvocation(
        name=name if name != DEFAULT_AGENT_NAME else None,
        description=description if description != DEFAULT_AGENT_DESCRIPTION else None,
        system_instructions=instructions,
        tool_definitions=providers.definitions_without_parameters(tools or ()),
    )


def conversation_id(memory: Any) -> str | None:
    """Returns the key of the conversation in its store; None for the default key, which all conversations share."""
    known = mapping_or_fields(memory)
    key = word(known.get("session_id")) or word(known.get("chat_store_key"))
    return None if key == DEFAULT_CHAT_STORE_KEY else key


def start_step(
    name: str, workflow: Any, arguments: BoundArguments, with_content: bool
) -> Step | ToolExecution | None:
    """Returns the operation of a workflow step that starts; None for the plumbing of LlamaIndex's own agents.

    An agent's step that calls a tool becomes the tool's operation.
    """
    event = event_of(arguments)
    if is_a(event, ToolCall) and name == "call_tool":
        return ToolExecution(
            name=word(attribute(event, "tool_name")) or "tool",
            call_id=word(attribute(event, "tool_id")),
            arguments=attribute(event, "tool_kwargs") if with_content else None,
        )
    if name in _AGENT_PLUMBING and isinstance(workflow, AgentWorkflow | BaseWorkflowAgent):
        return None
    return Step(name=word(name))


def event_of(arguments: BoundArguments) -> Any:
    """Returns the event that a workflow step receives; None without one."""
    return event if is_a(event := arguments.arguments.get("ev"), Event) else None


def agent_of(workflow: Any, arguments: BoundArguments) -> Any:
    """Returns the agent that a step of an AgentWorkflow works for; None if the step's event does not name one."""
    if not isinstance(workflow, AgentWorkflow):
        return None
    return mapping(workflow.agents).get(word(attribute(event_of(arguments), "current_agent_name")) or "")


def note_answer(run: Run | None, result: AgentOutput) -> None:
    """Keeps what a step of an agent answered as the output of the agent: of each agent of an AgentWorkflow its last."""
    while run is not None and not isinstance(run.operation, AgentInvocation):
        run = run.parent
    if run is not None and run.recorder.wants_content(run):
        run.operation.output_messages = messages.text_message("assistant", attribute(result, "response"))


def answer_messages(result: Any) -> list[Message] | None:
    """Returns the answer of an engine, a workflow or an agent as messages; an agent's with its finish reason."""
    found = messages.text_message("assistant", answer_of(result))
    stopped = (
        attribute(result, "result") if is_a(result, StopEvent) and not is_a(result, AgentOutput) else result
    )
    reason = finish_reason_of(stopped) if is_a(stopped, AgentOutput) else None
    if not found or reason is None:
        return found
    return [replace(message, finish_reason=providers.message_finish_reason(reason)) for message in found]


def is_workflow(instance: Any) -> bool:
    """Tells whether the component is a workflow, which runs steps."""
    return isinstance(instance, LlamaWorkflow)


def answer_of(result: Any) -> Any:
    """Returns the answer in the result of an engine, an agent, a stream or a workflow."""
    kind = type(result)
    is_stop_event = issubclass(kind, Event) and not issubclass(kind, AgentOutput)
    answer = attribute(result, "result") if is_stop_event else result
    return attribute(answer, "response") if issubclass(type(answer), _ANSWERS) else answer
