"""Model calls: what LlamaIndex's models and their answers say, as `Inference`."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from inspect import BoundArguments
from typing import Any

from otel_callbacks import providers
from otel_callbacks.guard import guarded
from otel_callbacks.lineage import Prompt
from otel_callbacks.llama_index import messages
from otel_callbacks.operations import Inference, Usage

_URL_KEYS = ("api_base", "base_url", "azure_endpoint", "endpoint", "endpoint_url")
_MODEL_KEYS = ("model", "model_name", "model_id", "deployment_name", "engine")
_FINISH_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_USAGE_KEYS = ("usage", "usage_metadata", "token_usage")
_UNKNOWN = "unknown"


def text(value: Any) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """A number as a float."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def integer(value: Any) -> int | None:
    """A whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(value: Any) -> tuple[str, ...] | None:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        return None
    return tuple(found for found in values if isinstance(found, str)) or None


def _output_type(asked: Any) -> str:
    return "text" if isinstance(asked, Mapping) and asked.get("type") == "text" else "json"


def _choices(value: Any) -> int | None:
    return None if value == 1 else integer(value)


def _effort(value: Any) -> str | None:
    return text(providers.as_mapping(value).get("effort"))


_PARAMETERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "n": ("choice_count", _choices),
    "frequency_penalty": ("frequency_penalty", number),
    "max_tokens": ("max_tokens", integer),
    "max_completion_tokens": ("max_tokens", integer),
    "max_output_tokens": ("max_tokens", integer),
    "max_new_tokens": ("max_tokens", integer),
    "num_predict": ("max_tokens", integer),
    "presence_penalty": ("presence_penalty", number),
    "previous_response_id": ("previous_response_id", text),
    "reasoning": ("reasoning_level", _effort),
    "reasoning_effort": ("reasoning_level", text),
    "reasoning_options": ("reasoning_level", _effort),
    "response_format": ("output_type", _output_type),
    "seed": ("seed", integer),
    "stop": ("stop_sequences", _texts),
    "stop_sequences": ("stop_sequences", _texts),
    "temperature": ("temperature", number),
    "top_k": ("top_k", integer),
    "top_p": ("top_p", number),
    "service_tier": ("request_service_tier", text),
}


class Received:
    """What has come back of an answer so far, whole or in chunks.

    A stream's finish reason and usage may be in a chunk before the last, so each is looked at.
    """

    __slots__ = ("finish_reasons", "last", "pieces", "reported_usd", "usage")

    def __init__(self) -> None:
        self.last: Any = None
        self.pieces: list[str] = []
        self.finish_reasons: list[Any] = []
        self.usage: Usage | None = None
        self.reported_usd: Decimal | None = None

    def add(self, response: Any, *, with_content: bool) -> None:
        """Takes in a chunk, or a whole answer."""
        if response is None:
            return
        if response is not self.last and with_content and (delta := getattr(response, "delta", None)):
            self.pieces.append(delta)
        self.last = response
        reasons = list(_finish_reasons(response))
        if any(reasons):
            self.finish_reasons = reasons
        self.usage = _usage(response) or self.usage
        report = providers.as_mapping(getattr(response, "raw", None)).get("usage")
        if (reported := providers.reported_usd(report)) is not None:
            self.reported_usd = reported


def provider_of(kind: type, family: str) -> str | None:
    """The provider, from the package that a model's class is in: `llama_index.{family}.{provider}`."""
    return _provider(kind, f"llama_index.{family}.")


@lru_cache(maxsize=256)
def _provider(kind: type, prefix: str) -> str | None:
    for ancestor in kind.__mro__:
        if ancestor.__module__.startswith(prefix):
            return providers.provider_name(ancestor.__module__[len(prefix) :].partition(".")[0])
    return None


def model_of(instance: Any) -> str | None:
    """The model that a component calls, as it was configured."""
    fields = getattr(instance, "__dict__", {})
    for key in _MODEL_KEYS:
        if (name := text(fields.get(key))) is not None:
            return None if name == _UNKNOWN else name
    try:  # this may look the model up in a table, and raise for one that is not in it
        name = text(instance.metadata.model_name)
    except Exception:
        return None
    return None if name == _UNKNOWN else name


def endpoint_of(instance: Any, provider: str | None) -> tuple[str | None, int | None]:
    """Host and port of the server that a model calls."""
    fields = getattr(instance, "__dict__", {})
    return providers.endpoint(
        provider, next((url for key in _URL_KEYS if (url := text(fields.get(key)))), None)
    )


def start(
    instance: Any, arguments: BoundArguments, with_content: bool, *, completion: bool, stream: bool
) -> Inference:
    """A model call that starts. A chat model completes a text by chatting, too."""
    provider = provider_of(type(instance), "llms")
    address, port = endpoint_of(instance, provider)
    operation = Inference(
        name=model_of(instance),
        text_completion=completion and not _is_chat_model(instance),
        provider=provider,
        server_address=address,
        server_port=port,
        stream=True if stream else None,
    )
    fields = instance.__dict__
    given = arguments.kwargs
    for parameters in (fields, fields.get("additional_kwargs"), given):
        for key, value in parameters.items() if isinstance(parameters, Mapping) else ():
            if value is not None and key in _PARAMETERS:
                field, read = _PARAMETERS[key]
                setattr(operation, field, read(value))
    if provider != "openai" or operation.request_service_tier == "auto":
        operation.request_service_tier = None
    if with_content:
        sent = _sent(arguments)
        operation.input_messages = messages.text("user", sent) if completion else messages.conversation(sent)
        operation.tool_definitions = providers.tool_definitions(given.get("tools"))
    return operation


def _sent(arguments: BoundArguments) -> Any:
    """The messages or the text that a model is called with."""
    given = arguments.kwargs
    return arguments.args[0] if arguments.args else given.get("prompt", given.get("messages"))


@guarded  # what is told of prompts must not cost a call its span
def read_prompt(prompt: Prompt, arguments: BoundArguments) -> None:
    """Fills in what is asked for of a prompt."""
    sent = _sent(arguments)
    chat = [sent] if isinstance(sent, str) else list(sent or ())
    if prompt.weights is not None and not isinstance(sent, str):
        prompt.parts = messages.prompt_parts(sent, arguments.kwargs.get("tools"), prompt.weights)
    if prompt.found is not None:
        prompt.text = "\n".join(str(getattr(message, "content", message) or "") for message in chat)


def answer_text(received: Received) -> str:
    """The text of a model's answer, whole or as far as it came."""
    message = getattr(received.last, "message", None)
    return str(getattr(message, "content", None) or getattr(received.last, "text", None) or "")


chat = partial(start, completion=False, stream=False)
complete = partial(start, completion=True, stream=False)
stream_chat = partial(start, completion=False, stream=True)
stream_complete = partial(start, completion=True, stream=True)


def _is_chat_model(instance: Any) -> bool:
    try:
        return bool(instance.metadata.is_chat_model)
    except Exception:  # as in `model_of`
        return False


def finish(operation: Inference, received: Received, *, with_content: bool, cut: bool) -> None:
    """Completes a model call with what came back; `cut` says that more should have come."""
    response = received.last
    operation.usage = received.usage or operation.usage  # which the body may have told us
    operation.reported_usd = received.reported_usd or operation.reported_usd
    if response is not None:
        raw = providers.as_mapping(getattr(response, "raw", None))
        operation.response_model = text(raw.get("model")) or text(raw.get("model_version"))
        operation.response_id = text(raw.get("id")) or text(raw.get("response_id"))
        if operation.provider == "openai":
            operation.response_service_tier = text(raw.get("service_tier"))
            operation.system_fingerprint = text(raw.get("system_fingerprint"))
    reasons = received.finish_reasons or ([None] if cut else [])
    operation.finish_reasons = providers.finish_reasons_of(map(_word, reasons), cut=cut) if reasons else None
    if with_content and response is not None:
        reason = operation.finish_reasons[0] if operation.finish_reasons else None
        operation.output_messages = messages.answer(response, reason, "".join(received.pieces))


def _word(reason: Any) -> str | None:
    """A finish reason as text; Google's is an enumeration member."""
    return None if reason is None else str(getattr(reason, "name", reason))


def _finish_reasons(response: Any) -> Iterator[Any]:
    """Why each choice stopped, None where it has not."""
    raw = providers.as_mapping(getattr(response, "raw", None))
    choices = raw.get("choices")
    if isinstance(choices, list | tuple):
        for choice in choices:
            yield providers.as_mapping(choice).get("finish_reason")
        return
    extra = getattr(getattr(response, "message", None), "additional_kwargs", None) or {}
    for found in (raw, extra):
        for key in _FINISH_KEYS:
            if reason := found.get(key):
                yield reason
                return


def _usage(response: Any) -> Usage | None:
    """The usage, as the provider reported it, else as the integration copied it out."""
    raw = providers.as_mapping(getattr(response, "raw", None))
    for key in _USAGE_KEYS:
        if (report := raw.get(key)) and (usage := providers.usage_of(report)):
            return usage
    message = getattr(response, "message", None)
    for extra in (getattr(response, "additional_kwargs", None), getattr(message, "additional_kwargs", None)):
        if extra and (usage := providers.usage_of(extra.get("usage")) or providers.usage_of(extra)):
            return usage
    return providers.usage_of(raw)  # Ollama's counts lie open beside the rest
