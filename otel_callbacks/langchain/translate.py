"""LangChain's payloads to operations: the only place that digs in LangChain's dictionaries."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, Generation, LLMResult

from otel_callbacks.langchain import graphs, messages
from otel_callbacks.limits import DESCRIPTION_CHARACTERS
from otel_callbacks.operations import (
    AgentInvocation,
    Failure,
    Inference,
    Operation,
    Step,
    ToolExecution,
    Usage,
    Workflow,
    limit_parts,
    payload,
    providers,
)
from otel_callbacks.operations.payload import (
    attribute,
    integer,
    is_a,
    items,
    mapping,
    mapping_or_fields,
    number,
    text,
    undo_repetition,
    word,
    words,
)
from otel_callbacks.runtime.faults import guarded

Metadata = Mapping[str, Any]

_TYPE_NAMES = ("Runnable", "LangGraph", "StateGraph")
_CONVERSATION_KEYS = ("thread_id", "session_id", "conversation_id")
URL_KEYS = (
    "openai_api_base",
    "base_url",
    "azure_endpoint",
    "anthropic_api_url",
    "groq_api_base",
    "endpoint",
    "endpoint_url",
    "api_base",
)
MODEL_KEYS = ("model", "model_name", "model_id", "azure_deployment", "deployment_name", "engine")
_RESPONSE_MODEL_KEYS = ("model_name", "model", "model_id", "model_version")
_MAX_CHOICES = 128  # as many as the providers give
_MAX_BLOCKS = 1_000
_MAX_DETAILS = 100
_PARAMETERS: providers.Parameters = {
    **providers.PARAMETERS,
    "stream": ("stream", lambda value: True if value is True else None),
}


def is_plumbing(name: str | None, run_type: str | None) -> bool:
    """Whether a chain is a prompt, a parser, or a runnable or graph that nobody gave a name."""
    return run_type is not None or not name or name.startswith(_TYPE_NAMES) or name == "Prompt"


def chain(name: str | None, metadata: Metadata, graph: Any, *, outermost: bool) -> Operation:
    """A chain run: an agent, a graph node, the outermost chain or an application's sub-graph, or a step.

    Args:
        name: what LangChain calls the run.
        metadata: the run's metadata.
        graph: the compiled graph if the run is a graph's.
        outermost: no run of ours encloses it.
    """
    own_name = None if is_plumbing(name, None) else name
    if graph is not None and graphs.is_agent(graph):
        given = word(getattr(graph, "name", None))
        return AgentInvocation(
            name=own_name if is_plumbing(given, None) else given, conversation_id=conversation_id(metadata)
        )
    if graph is not None or outermost:
        return Workflow(name=own_name, conversation_id=conversation_id(metadata))
    return Step(name=name)


def conversation_id(metadata: Metadata) -> str | None:
    """The conversation as the application named it; never made up."""
    return next((given for key in _CONVERSATION_KEYS if (given := payload.name(metadata.get(key)))), None)


def inference(serialized: Any, told: Any, extra: Mapping[str, Any], *, text_completion: bool) -> Inference:
    """A model call that starts.

    Args:
        serialized: the model as LangChain describes it; only its address is read, the rest may hold secrets.
        told: the run's metadata, with the `ls_` keys of the model.
        extra: with the `invocation_params`, what the integration is going to send, and the `options`, what the
            caller passed to this call.
        text_completion: the model completes text rather than a conversation.
    """
    metadata, options = mapping(told), mapping(extra.get("options"))
    parameters = mapping(extra.get("invocation_params"))
    provider = providers.provider_name(word(metadata.get("ls_provider")))
    address, port = _endpoint(provider, serialized)
    operation = Inference(
        name=word(metadata.get("ls_model_name")) or _first_word(parameters, MODEL_KEYS),
        text_completion=text_completion,
        provider=provider,
        conversation_id=conversation_id(metadata),
        server_address=address,
        server_port=port,
        max_tokens=integer(metadata.get("ls_max_tokens")),
        temperature=number(metadata.get("ls_temperature")),
        stop_sequences=words(options.get("stop")) or words(metadata.get("ls_stop")),
        output_type="json" if "ls_structured_output_format" in options else None,
    )
    providers.set_parameters(operation, _PARAMETERS, parameters)
    return operation


def _endpoint(provider: str | None, serialized: Any) -> tuple[str | None, int | None]:
    """Host and port; none for a model that does not show its arguments, which may name any address."""
    arguments = mapping(serialized).get("kwargs")
    if not is_a(arguments, Mapping):  # type: ignore[type-abstract]
        return None, None
    return providers.endpoint(provider, _first_word(mapping(arguments), URL_KEYS))


def is_end_mark(token: Any, chunk: Any) -> bool:
    """Whether LangChain made up this chunk to say that the stream is over; the provider sent nothing."""
    if token != "" if type(token) is str else items(token):
        return False
    message = attribute(chunk, "message") if is_a(chunk, ChatGenerationChunk) else None
    return (
        is_a(message, AIMessageChunk)
        and word(attribute(message, "chunk_position")) == "last"
        and attribute(message, "usage_metadata") is None
        and not mapping(attribute(message, "response_metadata"))
    )


def is_content(event: Any) -> bool:
    """Whether a protocol event brings a piece of the answer."""
    return word(mapping(event).get("event")) == "content-block-delta"


@guarded  # what cannot be read must not cost the span its end
def finish_inference(operation: Inference, response: Any, *, with_content: bool, cut: bool = False) -> None:
    """Completes a model call with what came back; `cut` says that it ended before the answer did."""
    if not is_a(response, LLMResult):
        return  # what came back before a failure may be nothing
    choices = choices_of(response)
    details = [_response_details(choice) for choice in choices]
    operation.finish_reasons = providers.read_finish_reasons(map(_finish_reason, details), cut=cut)
    if output := mapping(attribute(response, "llm_output")):
        details.append(output)
    for found in details:
        operation.response_model = operation.response_model or _response_model(found)
        operation.response_id = operation.response_id or word(found.get("id"))
        if operation.provider == "openai":
            operation.response_service_tier = operation.response_service_tier or undo_repetition(
                found.get("service_tier")
            )
            operation.system_fingerprint = operation.system_fingerprint or undo_repetition(
                found.get("system_fingerprint")
            )
    messages_of = [message for choice in choices if (message := _message(choice)) is not None]
    operation.usage = _usage(messages_of, details) or operation.usage  # which the body may have told us
    operation.reported_usd = _reported_usd(details) or operation.reported_usd
    operation.cached = any(_is_cache_hit(message) for message in messages_of)
    if with_content:
        ends = operation.finish_reasons or (None,) * len(choices)
        answers = map(messages.answer, choices, ends)
        operation.output_messages = list(limit_parts(answers))


def choices_of(response: Any) -> list[Generation]:
    """The answers in a response, of which there may be several to one prompt."""
    if not is_a(response, LLMResult):
        return []
    rows = map(items, items(attribute(response, "generations"))[:_MAX_CHOICES])
    choices = (choice for row in rows for choice in row[:_MAX_CHOICES])
    return [choice for choice in islice(choices, _MAX_CHOICES) if is_a(choice, Generation)]


def _message(choice: Generation) -> AIMessage | None:
    message = attribute(choice, "message")
    return message if is_a(message, AIMessage) else None


def _response_details(choice: Generation) -> Mapping[str, Any]:
    """What the provider said about a choice, in one mapping."""
    message = _message(choice)
    details = dict(islice(mapping(attribute(choice, "generation_info")).items(), _MAX_DETAILS))
    if message is not None:
        details.update(islice(mapping(attribute(message, "response_metadata")).items(), _MAX_DETAILS))
        own_id = word(attribute(message, "id"))
        if "id" not in details and own_id is not None and own_id.startswith("resp_"):
            details["id"] = own_id  # the Responses API's; any other message id is LangChain's own
    return details


def _response_model(found: Mapping[str, Any]) -> str | None:
    return undo_repetition(_first_word(found, _RESPONSE_MODEL_KEYS))


def _finish_reason(found: Mapping[str, Any]) -> str | None:
    """Why the model stopped; of the Responses API only the status is known."""
    reason = _first_word(found, providers.FINISH_KEYS)
    if reason is None and word(found.get("object")) == "response":
        incomplete = mapping_or_fields(found.get("incomplete_details"))
        completed = "stop" if word(found.get("status")) == "completed" else None
        reason = word(incomplete.get("reason")) or completed
    return reason


def _usage(answers: Sequence[AIMessage], details: Sequence[Mapping[str, Any]]) -> Usage | None:
    """The usage of the call: LangChain's normal form first, then what the provider left elsewhere."""
    for message in answers:
        if usage := providers.read_usage(attribute(message, "usage_metadata")):
            return usage
    for found in details:
        for key in ("token_usage", "usage", "usage_metadata"):
            if usage := providers.read_usage(found.get(key)):
                return usage
        if usage := providers.read_usage(found):  # Ollama's counts lie open beside the rest
            return usage
    return None


def _reported_usd(details: Sequence[Mapping[str, Any]]) -> Decimal | None:
    reports = (found.get(key) for found in details for key in ("token_usage", "usage"))
    return next((usd for report in reports if (usd := providers.reported_usd(report)) is not None), None)


def _is_cache_hit(message: AIMessage) -> bool:
    """LangChain marks an answer from its own cache by a total cost of zero."""
    usage = mapping(attribute(message, "usage_metadata"))
    return number(usage.get("total_cost")) == 0


def tool(serialized: Any, name: Any, call_id: Any, metadata: Metadata) -> ToolExecution:
    """A tool that starts."""
    described = mapping(serialized)
    return ToolExecution(
        name=word(described.get("name")) or word(name) or "tool",
        description=word(described.get("description"), DESCRIPTION_CHARACTERS),
        call_id=word(call_id),
        conversation_id=conversation_id(metadata),
    )


@guarded
def finish_tool(operation: ToolExecution, output: Any, *, with_content: bool) -> Failure | None:
    """Completes a tool with its result; a result that says it is an error is a failure."""
    of_message = is_a(output, ToolMessage)
    result = attribute(output, "content") if of_message else output
    operation.result_size = _size(result)
    if of_message and operation.call_id is None:  # langchain-core 1.0 does not tell it at the start
        operation.call_id = word(attribute(output, "tool_call_id"))
    if with_content:
        operation.result = result
    if of_message and word(attribute(output, "status")) == "error":
        return Failure("tool_error", text(result))
    return None


def _size(result: Any) -> int | None:
    """Characters of a text, or of the texts in a list of content blocks; of a longer list nobody counts them."""
    if is_a(result, str):
        return len(text(result) or "")
    if not is_a(result, list) or len(blocks := items(result)) > _MAX_BLOCKS:
        return None
    return sum(len(text(mapping(block).get("text")) or text(block) or "") for block in blocks)


def first_attribute(of: Any, names: Sequence[str]) -> str | None:
    """The first of an object's attributes that is a text."""
    return next((found for name in names if (found := word(attribute(of, name)))), None)


def _first_word(found: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((given for key in keys if (given := word(found.get(key)))), None)
