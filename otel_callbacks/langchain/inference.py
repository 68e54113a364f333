"""Translates LangChain's model calls and their answers into `Inference` operations."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, filterfalse, islice, repeat
from operator import attrgetter, contains
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk, LLMResult

from otel_callbacks.langchain import messages
from otel_callbacks.limits import ANSWERS_READ, ITEMS_READ, MESSAGE_BLOCKS_READ, first
from otel_callbacks.operations import Inference, Operation, PromptTemplate, limit_parts, providers
from otel_callbacks.operations.payload import (
    attribute,
    attributes,
    integer,
    is_a,
    items,
    join_lines,
    mapping,
    mappings,
    number,
    text,
    word,
    words,
)
from otel_callbacks.rag import usage_estimate
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded

if TYPE_CHECKING:
    from otel_callbacks.rag.prompt import Prompt

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
_OWN_SETTINGS = {
    *("stop", "stop_sequences", "effort", "reasoning_effort", "thinking_level", "output_config"),
    *("guardrail_config", "guardrails", "model_kwargs", "format", "response_mime_type", "response_schema"),
    *("seed", "random_seed", "top_k", "top_p", "num_predict"),
}
"""The settings that some models send without saying so in `invocation_params`."""
_PROVIDERS_IDS = ("resp_", "msg_", "chatcmpl-", "cmpl-", "gen-")
_ASK_FOR_USAGE = dict.fromkeys(
    ("openai", "azure.ai.openai"),
    "to get it, make the model with stream_usage=True",
)
_PARAMETERS: providers.Parameters = {
    **providers.PARAMETERS,
    "stream": ("stream", lambda value: True if value is True else None),
}


def start_inference(
    serialized: Any,
    model: Any,
    metadata: Mapping[str, Any],
    sent: Any,
    keywords: Mapping[str, Any],
    *,
    completion: bool,
) -> Inference:
    """Returns the operation of a model call that starts.

    Args:
        serialized: LangChain's description of the model. Only the server's address and what decides the price are
            read: the rest may hold secrets.
        model: the model, of which a few settings are read that no callback carries; None if it is not known.
        metadata: the run's metadata, with the model's `ls_` keys.
        sent: the messages, or the texts for a text model.
        keywords: the callback's keyword arguments. `invocation_params` is what the integration will send, `options`
            what the caller passed to this call.
        completion: the model completes text instead of a conversation.
    """
    options, parameters, described = mappings(
        keywords.get("options"), keywords.get("invocation_params"), serialized
    )
    provider = providers.provider_name(word(metadata.get("ls_provider")))
    operation = Inference(
        name=word(metadata.get("ls_model_name")) or _first_word(parameters, MODEL_KEYS),
        text_completion=completion,
        provider=provider,
        integration=_integration(described, parameters),
    )
    asked = [parameters, options]
    if "model_kwargs" in parameters:
        asked.insert(0, mapping(parameters["model_kwargs"]))
    if (arguments := described.get("kwargs")) is not None and is_a(arguments, Mapping):  # type: ignore[type-abstract]
        known = mapping(arguments)
        address = providers.endpoint(provider, _first_word(known, URL_KEYS))
        operation.server_address, operation.server_port = address
        asked.insert(0, known)  # else it hides its arguments, and may use any address
    if "ls_max_tokens" in metadata:
        operation.max_tokens = integer(metadata["ls_max_tokens"])
    if "ls_temperature" in metadata:
        operation.temperature = number(metadata["ls_temperature"])
    if (stop := options.get("stop")) is not None or "ls_stop" in metadata:
        operation.stop_sequences = words(stop) or words(metadata.get("ls_stop"))
    if "ls_structured_output_format" in options:
        operation.output_type = "json"
    fields = mapping(attribute(model, "__dict__"))
    own = {}
    if not _OWN_SETTINGS.isdisjoint(fields):
        own = {key: fields[key] for key in filter(fields.__contains__, _OWN_SETTINGS)}
    providers.set_parameters(operation, _PARAMETERS, own, parameters)
    operation.billing = providers.requested_billing(provider, *asked)
    if provider in providers.DEARER_SOUND and messages.has_sound(sent):
        operation.billing = providers.with_uncounted_sound(operation.billing)
    if completion and (integer(keywords.get("batch_size")) or 1) > 1:
        operation.request = keywords.get("invocation_params")
    if "prompt_name" in metadata and (name := word(metadata["prompt_name"])):
        operation.prompt_template = PromptTemplate(name, word(metadata.get("prompt_version")))
    return operation


def find_summaries(run: Run | None, sent: Sequence[Any]) -> None:
    """Notes whether the conversation was made shorter, by LangChain or the provider, if the run is recorded."""
    if run is None or not run.span.is_recording():
        return
    chat = items(sent)[-ITEMS_READ:]
    for message in chat if _may_be_marked(chat) else ():
        fields = message.__dict__ if is_a(message, BaseMessage) else {}
        details, marks, content = map(fields.get, _MARKS)
        if (
            (type(details) is dict and "context_editing" in details)
            or (type(marks) is dict and word(marks.get("lc_source")) == "summarization")
            or (type(content) is not str and providers.has_compaction(content))
        ):
            run.operation.compacted = True
            return


def _may_be_marked(chat: Sequence[Any]) -> bool:
    """Tells quickly whether a message may have a mark, which hardly any conversation has."""
    try:
        details, marks, contents = zip(*map(_marks, chat), strict=True)
    except Exception:  # there is no message, or one of the application's own kind
        return bool(chat)
    if {*map(type, details), *map(type, marks)} != {dict} or {*map(type, contents)} != {str}:
        return True
    return any(map(contains, details, repeat("context_editing"))) or any(
        map(contains, marks, repeat("lc_source"))
    )


_MARKS = ("response_metadata", "additional_kwargs", "content")
"""Where a message says that it lost a part or stands for others: by LangChain's edits, its summaries, a provider's."""
_marks = attrgetter(*_MARKS)


def _integration(described: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """Returns the name of the model's class, else the name that the integration gives itself."""
    path = items(described.get("id"))
    return (word(path[-1]) if path else None) or word(parameters.get("_type"))


@guarded  # an unreadable prompt must not cost the call its span
def read_prompt(prompt: "Prompt", sent: Sequence[Any], tools: Any) -> None:
    """Reads the messages, or the texts for a text model, into what `prompt` asks for: its weights or its text."""
    chat = items(sent)
    if chat and is_a(chat[0], BaseMessage):
        prompt.sent = chat, tools, messages.FORM
        if prompt.weights is not None:
            prompt.weighed = prompt.weights.weigh(*prompt.sent)
    if prompt.trace_documents is not None:
        prompt.find_documents(join_lines(map(messages.text_in, chat[-ITEMS_READ:])))


@guarded
def estimate_prompt(operation: Inference, sent: Sequence[Any]) -> None:
    """Notes about how many tokens the messages or texts have."""
    usage_estimate.estimate_prompt(operation, map(messages.text_in, items(sent)[-ITEMS_READ:]))


@guarded
def answer_text(choices: Iterable[Generation]) -> str:
    """Returns the whole text of a model's answers."""
    return "\n".join(text(attribute(choice, "text")) or "" for choice in choices)


def is_end_mark(token: Any, chunk: Any) -> bool:
    """Tells whether LangChain added this chunk to mark the end of the stream; the provider did not send it."""
    if text(token) or items(token):
        return False
    message = attribute(chunk, "message") if is_a(chunk, ChatGenerationChunk) else None
    return (
        is_a(message, AIMessageChunk)
        and word(attribute(message, "chunk_position")) == "last"
        and attribute(message, "usage_metadata") is None
        and not mapping(attribute(message, "response_metadata"))
    )


def add_chunk(operation: Operation, chunk: Any) -> None:
    """Notes the usage in a chunk; few chunks have any."""
    message = attribute(chunk, "message") if is_a(chunk, ChatGenerationChunk) else None
    usage = attribute(message, "usage_metadata") if is_a(message, AIMessageChunk) else None
    if usage is not None and isinstance(operation, Inference):
        providers.add_chunk_usage(operation, usage)


def is_content(event: Any) -> bool:
    """Tells whether a protocol event carries a piece of the answer."""
    return word(mapping(event).get("event")) == "content-block-delta"


def complete_run(run: Run, response: Any, *, cut: bool = False) -> None:
    """Adds the response to the run of a model call. `cut` means that the call failed before the answer ended."""
    if isinstance(run.operation, Inference):
        with_content, streamed = run.recorder.wants_content(run), run.first_chunk is not None
        finish_inference(run.operation, response, with_content=with_content, streamed=streamed, cut=cut)
        if run.operation.request is not None:
            share_usage(run, run.operation, response)
        if run.prompt is not None and run.prompt.trace_documents is not None:
            run.prompt.answer = answer_text(choices_of(response)) or ""


@guarded  # an unreadable answer must not keep the span from ending
def finish_inference(
    operation: Inference, response: Any, *, with_content: bool, streamed: bool = False, cut: bool = False
) -> None:
    """Adds the response to the operation of a model call.

    Args:
        operation: the model call.
        response: LangChain's result.
        with_content: whether the text of the answer may be recorded.
        streamed: whether the answer came in chunks.
        cut: whether the call failed, or was left, before the answer ended.
    """
    if not is_a(response, LLMResult):
        return  # a call that failed may have no response
    choices = choices_of(response, cut=cut)
    details, usages, blocks = _reports_in(choices)
    output = mapping(attribute(response, "llm_output"))
    is_new = output and not (len(details) == 1 and output.keys() <= details[0].keys())  # LangChain copies it
    providers.read_answer(
        operation,
        details,
        (output,) if is_new else (),
        normal=usages[0] if usages else None,
        blocks=blocks,
        streamed=streamed,
        cut=cut,
        how_to_get_usage=None if operation.text_completion else _ASK_FOR_USAGE.get(operation.provider or ""),
    )
    if operation.api_type is None and choices and operation.provider == "openai":
        # a stream of its Chat Completions drops the ids that would tell; one of the Responses API does not
        operation.api_type = "chat_completions" if operation.integration == "ChatOpenAI" else None
    for usage in usages:
        if "total_cost" in usage and number(usage["total_cost"]) == 0:
            operation.cached = True  # LangChain marks the answers of its own cache so
    if operation.usage is None and operation.estimated_input_tokens is not None:
        usage_estimate.estimate_usage(operation, answer_text(choices) or "", cut=cut)
    if with_content and (choices or not cut):
        reasons = operation.finish_reasons or (None,) * len(choices)
        operation.output_messages = list(limit_parts(map(messages.answer, choices, reasons)))


def share_usage(run: Run, operation: Inference, response: Any) -> None:
    """Marks the other prompts of the same request, whose one usage this run's operation has.

    LangChain leaves a request's usage at its first prompt, and tells the others that theirs is empty.
    """
    if operation.usage is None:
        return
    operation.duplicate = None
    if mapping(mapping(attribute(response, "llm_output")).get("token_usage")):
        for other in list(run.open_runs.values()):
            same = getattr(other.operation, "request", None) is operation.request
            if same and other is not run:
                other.operation.duplicate = True


def choices_of(response: Any, *, cut: bool = False) -> list[Generation]:
    """Returns the answers in a response. One prompt may have several.

    LangChain makes up an answer of the error that `cut` a call, and puts the whole HTTP body of the refusal into it.
    """
    if not is_a(response, LLMResult):
        return []
    prompts = first(items(attribute(response, "generations")), ANSWERS_READ, "prompts of a model call")
    found: Iterable[Any] = chain.from_iterable(map(items, prompts))
    if cut:
        found = filterfalse(_is_made_of_error, found)
    choices = [*islice(found, ANSWERS_READ + 1)]
    if _GENERATIONS.issuperset(map(type, choices)) and len(choices) <= ANSWERS_READ:
        return choices
    return [
        each for each in first(choices, ANSWERS_READ, "answers of a model call") if is_a(each, Generation)
    ]


_GENERATIONS = {Generation, ChatGeneration, GenerationChunk, ChatGenerationChunk}
"""LangChain's own; an integration may derive others."""


def _is_made_of_error(choice: Any) -> bool:
    """Tells whether an answer is LangChain's own: whole, not merged from chunks, and without anything in it."""
    message = attribute(choice, "message")
    return type(message) is AIMessage and not (
        attribute(message, "content")
        or attribute(message, "tool_calls")
        or attribute(message, "usage_metadata") is not None
    )


_OF_CHOICE = ("message", "generation_info")
_OF_MESSAGE = ("response_metadata", "usage_metadata", "id", "content", "additional_kwargs")


def _reports_in(
    choices: Iterable[Generation],
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]], list[Any]]:
    """Returns what answers report beside their text.

    Returns:
        The provider's details about each answer, in one mapping; the usages, in LangChain's normal form; and the
        blocks among which the calls of the provider's own tools are.
    """
    details: list[dict[str, Any]] = []
    usages: list[Mapping[str, Any]] = []
    blocks: list[Any] = []
    for choice in choices:
        message, info = attributes(choice, _OF_CHOICE)
        known = {**mapping(info)}
        details.append(known)
        if not is_a(message, AIMessage):
            continue
        said, usage, identity, content, beside = attributes(message, _OF_MESSAGE)
        known.update(mapping(said))
        if "id" not in known and (own_id := word(identity)) is not None and own_id.startswith(_PROVIDERS_IDS):
            known["id"] = own_id  # the provider's; LangChain makes up all other message ids
        if usage := mapping(usage):
            usages.append(usage)
        if type(content) is not str:
            blocks += items(content)[:MESSAGE_BLOCKS_READ]
        if beside := mapping(beside):
            blocks += items(beside.get("tool_outputs"))[:MESSAGE_BLOCKS_READ]
    return details, usages, blocks


def first_attribute(component: Any, names: Sequence[str]) -> str | None:
    """Returns the first of these attributes that is a text."""
    if component is None:
        return None
    try:
        values = [*map(getattr, repeat(component), names, repeat(None))]
    except Exception:  # a property of the application's failed; the others may be right
        values = [attribute(component, name) for name in names]
    return next((found for value in values if value is not None and (found := word(value))), None)


def _first_word(found: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    if found.keys().isdisjoint(keys):
        return None
    return next((value for key in keys if (value := word(found.get(key)))), None)
