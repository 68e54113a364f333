"""Translates LlamaIndex's model calls and their answers into `Inference` operations."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from inspect import BoundArguments
from operator import attrgetter
from types import FrameType
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts.prompt_type import PromptType

from otel_callbacks.limits import COMPONENT_CLASSES_CACHED, ITEMS_READ, PREDICT_FRAMES_SEARCHED
from otel_callbacks.llama_index import messages
from otel_callbacks.operations import Inference, PromptTemplate, providers
from otel_callbacks.operations.payload import (
    attribute,
    is_a,
    items,
    join_lines,
    mapping,
    mapping_or_fields,
    text,
    word,
)
from otel_callbacks.rag import usage_estimate
from otel_callbacks.rag.prompt import Prompt
from otel_callbacks.runtime.faults import guarded

_URL_KEYS = ("api_base", "base_url", "azure_endpoint", "endpoint", "endpoint_url")
_MODEL_KEYS = ("model", "model_name", "model_id", "deployment_name", "engine")
_UNKNOWN = "unknown"
PREDICT = ("predict", "apredict", "stream", "astream")
"""The methods of a model that fill in a template and call another method with it."""
_TEMPLATE_KEYS = ("prompt_type", "prompt_name", "name", "prompt_version", "version")
_ASK_FOR_USAGE = dict.fromkeys(
    ("openai", "azure.ai.openai"),
    'to get it, make the model with additional_kwargs={"stream_options": {"include_usage": True}}',
)


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _beside_text(kind: type) -> Callable[[Any], tuple[Any, Any, Any]] | None:
    """Returns what reads payload, extras and extras of the message of a class of answers; None if it is no answer."""
    if kind is CompletionResponse:  # it has no message
        return attrgetter("raw", "additional_kwargs", "additional_kwargs")
    is_answer = issubclass(kind, ChatResponse) or issubclass(kind, CompletionResponse)
    return attrgetter("raw", "additional_kwargs", "message.additional_kwargs") if is_answer else None


class ReceivedAnswer:
    """The part of an answer that has arrived: the whole, or the chunks so far.

    A stream's finish reason and usage may be in any chunk, so every chunk is read.

    Attributes:
        last: the answer, or the last chunk.
        with_content: whether content is recorded.
        pieces: the text of the chunks, if content is recorded.
        finish_reasons: those that came last; None if the answer came as a whole, and everything is in its payload.
        counts: the last chunk that had any.
        chunks_with_counts: how many had.
    """

    last: Any = None
    finish_reasons: Sequence[str | None] | None = (None,)
    counts: Any = None
    chunks_with_counts = 0

    def __init__(self, provider: str | None, *, with_content: bool) -> None:
        self._provider = provider
        self.with_content = with_content
        self.pieces: list[str] = []

    def add(self, response: Any, *, is_whole: bool = False) -> None:
        """Adds a chunk or a whole answer."""
        try:
            beside_text = _beside_text(type(response))  # type: ignore[arg-type]
        except Exception:  # a class of the application's that has no hash
            return
        if beside_text is None:
            return
        before, self.last = self.last, response  # a stream's last chunk is reported again at its end
        if self.with_content and response is not before and (delta := text(attribute(response, "delta"))):
            self.pieces.append(delta)
        try:
            raw, extra, of_message = beside_text(response)
            has_extras = extra or of_message if type(extra) is type(of_message) is dict else True
            if not has_extras:
                if raw is None or (not is_whole and providers.goes_on(raw)):
                    return  # most chunks have nothing but text
                if is_whole and before is None:
                    self.finish_reasons = None
                    return
        except Exception:  # it lacks one of them, or its class is the application's
            raw, has_extras = attribute(response, "raw"), True
        payloads = [raw, *(_extras(response) if has_extras else ())]
        found = [providers.layers(payload, self._provider) for payload in payloads]
        reasons = next((said for each in found if any(said := providers.finish_reasons_in(each))), None)
        if reasons is not None:
            self.finish_reasons = reasons
        if any(map(providers.usage_reports_in, found)):
            self.counts = response
            self.chunks_with_counts += response is not before


def provider_of(kind: type, family: str) -> str | None:
    """Returns the provider from the package of a class: `llama_index.{family}.{provider}`."""
    return _provider(kind, f"llama_index.{family}.")


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _provider(kind: type, prefix: str) -> str | None:
    for ancestor in kind.__mro__:
        if ancestor.__module__.startswith(prefix):
            return providers.provider_name(ancestor.__module__[len(prefix) :].partition(".")[0])
    return None


def _first_word(fields: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """Returns the first word under one of the keys; None without one."""
    if fields.keys().isdisjoint(keys):
        return None
    return next(filter(None, map(word, map(fields.get, filter(fields.__contains__, keys)))), None)


def fields_of(instance: Any) -> Mapping[str, Any]:
    """Returns the fields of a component."""
    try:
        fields = instance.__dict__
    except Exception:  # it has none, or its code fails
        return {}
    return fields if type(fields) is dict else mapping(fields)


def model_of(instance: Any, fields: Mapping[str, Any]) -> str | None:
    """Returns the name of the model that a component with these fields is configured to call."""
    name = _first_word(fields, _MODEL_KEYS)
    if name is None:  # a property that may look the model up in a table, and raise for an unknown one
        name = word(attribute(attribute(instance, "metadata"), "model_name"))
    return None if name == _UNKNOWN else name


def endpoint_of(fields: Mapping[str, Any], provider: str | None) -> tuple[str | None, int | None]:
    """Returns host and port of the server that a model with these fields calls."""
    return providers.endpoint(provider, _first_word(fields, _URL_KEYS))


def start_inference(
    instance: Any, arguments: BoundArguments, with_content: bool, *, completion: bool, stream: bool
) -> Inference:
    """Returns the operation of a model call that starts. A chat model chats even when it completes a text."""
    provider, fields = provider_of(type(instance), "llms"), fields_of(instance)
    address, port = endpoint_of(fields, provider)
    operation = Inference(
        name=model_of(instance, fields),
        text_completion=completion and not _is_chat_model(instance),
        provider=provider,
        integration=type(instance).__name__,
        server_address=address,
        server_port=port,
        stream=True if stream else None,
    )
    given, keywords = split(arguments)
    additional = mapping(fields.get("additional_kwargs"))
    private = {"generation_config": attribute(instance, "_generation_config")}  # LlamaIndex's GoogleGenAI
    providers.set_parameters(operation, providers.PARAMETERS, private, fields, additional, keywords)
    operation.billing = providers.requested_billing(provider, fields, additional, keywords)
    if with_content:
        sent = _sent(given, keywords)
        operation.input_messages = (
            messages.text_message("user", sent) if completion else messages.conversation(sent)
        )
        operation.tool_definitions = providers.tool_definitions(keywords.get("tools"))
    return operation


def prompt_template() -> PromptTemplate | None:
    """Returns the template with which a method of `PREDICT` calls the model, from the frame of that method."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(PREDICT_FRAMES_SEARCHED):
        if frame is None:
            return None
        if frame.f_code.co_name in PREDICT and frame.f_globals.get("__name__") == LLM.__module__:
            known = mapping(attribute(frame.f_locals.get("prompt"), "metadata"))
            kind, prompt_name, name, prompt_version, version = map(word, map(known.get, _TEMPLATE_KEYS))
            return PromptTemplate(
                prompt_name or name or (kind if kind != PromptType.CUSTOM.value else None),
                prompt_version or version,
                mapping(frame.f_locals.get("prompt_args")),
            )
        frame = frame.f_back
    return None


def split(arguments: BoundArguments) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Returns the positional and the keyword arguments of a call, most of which have one argument.

    A single list or text need not be looked up in the signature: it is nothing that `*args` or `**kwargs` gathered.
    """
    if len(arguments.arguments) == 1:
        (only,) = arguments.arguments.values()
        if type(only) is list or type(only) is str:
            return (only,), {}
    return arguments.args, arguments.kwargs


def _sent(given: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Returns the messages or the text that a model is called with."""
    return given[0] if given else keywords.get("prompt", keywords.get("messages"))


@guarded
def estimate_prompt(operation: Inference, arguments: BoundArguments) -> None:
    """Notes about how many tokens the messages or the text have."""
    sent = _sent(*split(arguments))
    texts = [text(sent)] if is_a(sent, str) else map(messages.text_in, items(sent)[-ITEMS_READ:])
    usage_estimate.estimate_prompt(operation, filter(None, texts))


@guarded  # an unreadable prompt must not cost the call its span
def read_prompt(prompt: Prompt, arguments: BoundArguments) -> None:
    """Reads the messages or the text into what `prompt` asks for: its weights or its text."""
    given, keywords = split(arguments)
    sent = _sent(given, keywords)
    chat = items(sent)
    if chat and is_a(chat[0], ChatMessage):
        prompt.sent = chat, keywords.get("tools"), messages.FORM
        if prompt.weights is not None:
            prompt.weighed = prompt.weights.weigh(*prompt.sent)
    if prompt.trace_documents is not None:
        texts = [messages.text_in(message) or "" for message in chat[-ITEMS_READ:]]
        prompt.find_documents(text(sent) or join_lines(texts))


def answer_text(received: ReceivedAnswer) -> str:
    """Returns the text of a model's answer, as far as it has arrived."""
    return messages.text_in(_message(received.last)) or text(attribute(received.last, "text")) or ""


start_chat = partial(start_inference, completion=False, stream=False)
start_completion = partial(start_inference, completion=True, stream=False)
start_streamed_chat = partial(start_inference, completion=False, stream=True)
start_streamed_completion = partial(start_inference, completion=True, stream=True)


def _is_chat_model(instance: Any) -> bool:
    return attribute(attribute(instance, "metadata"), "is_chat_model") is True


def finish_inference(
    operation: Inference, received: ReceivedAnswer, *, with_content: bool, cut: bool
) -> None:
    """Adds the answer to the operation of a model call. `cut` means that the call failed before the answer ended."""
    response = received.last
    answers = [attribute(response, "raw")]
    more = _extras(response) if received.finish_reasons is not None else []
    if received.counts is not None and received.counts is not response:
        more += _payloads(received.counts)
    providers.read_answer(
        operation,
        answers,
        more,
        reasons=received.finish_reasons,
        blocks=_tool_blocks(response),
        streamed=operation.stream is True,
        counted_again=received.chunks_with_counts > 1,
        cut=cut,
        how_to_get_usage=_ASK_FOR_USAGE.get(operation.provider or ""),
    )
    if operation.usage is None and operation.estimated_input_tokens is not None:
        usage_estimate.estimate_usage(operation, answer_text(received), cut=cut)
    if with_content and response is not None:
        reason = operation.finish_reasons[0] if operation.finish_reasons else None
        operation.output_messages = messages.answer(response, reason, "".join(received.pieces))


def _message(response: Any) -> ChatMessage | None:
    message = attribute(response, "message")
    return message if is_a(message, ChatMessage) else None


def _payloads(response: Any) -> list[Any]:
    """Returns what an answer holds of the provider's: its own payload, and what the integration copied of it."""
    return [attribute(response, "raw"), *_extras(response)]


def finish_reason_of(answer: Any) -> str | None:
    """Returns why an answer ended, by the provider's payload that it keeps, as an agent's does."""
    reasons = providers.finish_reasons_in(providers.layers(attribute(answer, "raw"), None))
    return reasons[0] if reasons else None


def _extras(response: Any) -> list[Any]:
    """Returns what integrations put beside the provider's payload, in an answer and in its message."""
    beside = (attribute(response, "additional_kwargs"), attribute(_message(response), "additional_kwargs"))
    return [extra for extra in map(mapping, beside) if extra]


def _tool_blocks(response: Any) -> Sequence[Any]:
    """Returns the blocks of an answer of OpenAI's Responses or of Anthropic, with the calls of its own tools."""
    raw = mapping_or_fields(attribute(response, "raw"))
    found = map(items, map(raw.get, filter(raw.__contains__, ("output", "content"))))
    own = next(filter(None, found), ())
    return own or items(mapping_or_fields(raw.get("response")).get("output"))
