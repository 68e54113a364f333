"""Where in a payload the provider's words are: at its top, or in one of the envelopes that providers and SDKs use."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any

from otel_callbacks.limits import ANSWERS_READ, CACHED_TYPES, first
from otel_callbacks.operations.payload import attribute, items, mapping_or_fields, word
from otel_callbacks.operations.providers.usage_counts import COUNT_KEYS

Layers = list[Mapping[str, Any]]

_ENVELOPES = {
    "response": "the events of a Responses stream; the last chunk of Cohere's",
    "data": "the events of Mistral's stream",
    "message": "the first event of Anthropic's stream",
    "delta": "its last event but one",
    "meta": "Cohere's answers",
    "x_groq": "the last chunk of Groq's stream",
    "response_metadata": "LangChain's messages, which LlamaIndex may carry",
}
"""The keys of envelopes, with the provider or SDK that uses each."""
_METADATA = "metadata"
"""An envelope of Bedrock's stream. In OpenAI's Responses the same name holds the application's own data."""
_BEDROCK = "aws.bedrock"
_DEPTH = 2
"""Envelopes inside envelopes: the last chunk of Cohere's stream has its `meta` in its `response`."""

_USAGE_KEYS = dict.fromkeys(
    ("billed_units", "usage", "token_usage", "usage_metadata", "usageMetadata", "tokens", "token_count")
)
"""The keys of usage reports. Cohere's `billed_units` come before the `tokens`, which are not what it bills."""
_CHOICES = dict.fromkeys(("choices", "candidates")).keys()
REPORTING = frozenset((*_USAGE_KEYS, *_CHOICES, *COUNT_KEYS))
"""The keys without one of which a mapping has no usage report."""


def layers(payload: Any, provider: str | None) -> Layers:
    """Returns the fields of a payload, and of the envelopes in it."""
    top = mapping_or_fields(payload)
    if not top:
        return []
    found = [top]
    if provider == _BEDROCK or not _ENVELOPES.keys().isdisjoint(top):
        _add_envelopes(found, top, provider, _DEPTH)
    return found


def _add_envelopes(found: Layers, outer: Mapping[str, Any], provider: str | None, depth: int) -> None:
    for key in filter(outer.__contains__, _ENVELOPES):
        if fields := mapping_or_fields(outer.get(key)):
            found.append(fields)
            if depth > 1:
                _add_envelopes(found, fields, provider, depth - 1)
    if provider == _BEDROCK and (fields := mapping_or_fields(outer.get(_METADATA))):
        found.append(fields)


def usage_reports_in(found: Layers) -> Layers:
    """Returns the fields of the usage reports in the layers of a payload, the most telling first."""
    reports: Layers = []
    for fields in found:
        for key in filter(fields.__contains__, _USAGE_KEYS):
            reports += _inside(fields.get(key))
        if not _CHOICES.isdisjoint(fields):  # Moonshot's stream
            said = [choice["usage"] for choice in _choices(fields) if "usage" in choice]
            reports += [mapping_or_fields(report) for report in said if report is not None]
    if reports:
        return reports
    # Ollama puts its counts beside the other details, and LlamaIndex copies counts to the top
    for fields in found:
        if not COUNT_KEYS.isdisjoint(fields):
            return [fields]
    return []


def _inside(report: Any) -> Layers:
    """Returns the fields of a report, or of those that Cohere's newer API puts into its `usage`."""
    known = mapping_or_fields(report)
    inner = [known[key] for key in filter(known.__contains__, _COHERES) if known[key] is not None]
    if inner:
        return [*map(mapping_or_fields, inner)]
    return [known] if known else []


_COHERES = ("billed_units", "tokens")


def _choices(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Returns the fields of the choices beside these fields."""
    found = [
        first(items(fields[key]), ANSWERS_READ, "answers of a model call")
        for key in filter(fields.__contains__, _CHOICES)
    ]
    return map(mapping_or_fields, chain.from_iterable(found))


FINISH_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "finishReason")
"""The keys under which providers report why an answer stopped."""


def finish_reasons_in(found: Layers) -> list[str | None]:
    """Returns why each answer in a payload stopped; None for one that goes on or has no reason."""
    for fields in found:
        if not _CHOICES.isdisjoint(fields) and (choices := list(_choices(fields))):
            return [*map(_reason, choices)]
    for fields in found:
        reason = _reason(fields) or (_status(fields) if "object" in fields else None)
        if reason is not None:
            return [reason]
    return []


def _reason(fields: Mapping[str, Any]) -> str | None:
    for key in filter(fields.__contains__, FINISH_KEYS):
        said = fields.get(key)
        if (reason := word(said) or enum_word(said)) is not None:  # most are words
            return reason
    return None


@lru_cache(maxsize=CACHED_TYPES)
def _chunk_reader(kind: type) -> Callable[[Any], tuple[Any, Any, Any]] | None:
    """Returns what reads choices, usage and undeclared fields of a class whose chunks say why they end only there."""
    declared = getattr(kind, "model_fields", None)
    says = _TELLING.intersection(declared) if type(declared) is dict else frozenset()
    return attrgetter("choices", "usage", "__pydantic_extra__") if says == {"choices", "usage"} else None


@lru_cache(maxsize=CACHED_TYPES)
def _choice_reader(kind: type) -> Callable[[Any], tuple[Any, Any]] | None:
    """Returns what reads finish reason and undeclared fields of choices of a class that says nothing else."""
    declared = getattr(kind, "model_fields", None)
    says = _TELLING_OF_CHOICES.intersection(declared) if type(declared) is dict else frozenset()
    return attrgetter("finish_reason", "__pydantic_extra__") if says == {"finish_reason"} else None


_TELLING_OF_CHOICES = frozenset((*FINISH_KEYS, "usage"))
_TELLING = _TELLING_OF_CHOICES.union(_ENVELOPES, (_METADATA,), REPORTING)


def goes_on(payload: Any) -> bool:
    """Tells at a look whether a payload is a chunk as OpenAI's client makes them, with neither end nor usage.

    Where it returns False, the payload must be read to know. A class of the application's may make it raise anything.
    """
    reader = _chunk_reader(type(payload))  # type: ignore[arg-type]
    if reader is None:
        return False
    choices, usage, undeclared = reader(payload)
    if usage is not None or undeclared or len(choices) != 1:
        return False
    (choice,) = choices
    of_choice = _choice_reader(type(choice))  # type: ignore[arg-type]
    return of_choice is not None and not any(of_choice(choice))


_STATUSES = {"completed": "stop", "failed": "error", "cancelled": "error"}
"""What the statuses of OpenAI's Responses say; that of an incomplete response has details."""


def _status(fields: Mapping[str, Any]) -> str | None:
    if word(fields.get("object")) != "response":
        return None
    incomplete = mapping_or_fields(fields.get("incomplete_details"))
    return word(incomplete.get("reason")) or _STATUSES.get(word(fields.get("status")) or "")


def enum_word(value: Any) -> str | None:
    """Returns a word, or the value of an enum member: Google's and OpenRouter's SDKs use enums."""
    if (found := word(value)) is not None or not issubclass(type(value), Enum):
        return found
    return word(attribute(value, "value")) or word(attribute(value, "name"))


def first_word(found: Layers, keys: tuple[str, ...]) -> str | None:
    """Returns the first word under one of these keys."""
    for fields in found:
        for key in filter(fields.__contains__, keys):
            if (value := word(fields[key])) is not None:
                return value
    return None
