"""Puts conversations together whose messages are in full only once in a trace (`ContentPolicy(history="new")`)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import AttributeValue, json_list
from otel_callbacks.explore.spans.records import SpanRecord

_NAMES = (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES)
_OF_THE_CALL = ("finish_reason",)  # of an answer, not of the same message in a history
_HASH = "sha256:"

_Message: TypeAlias = Mapping[str, Any]


def with_whole_messages(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Returns the spans of a trace with every message in full, as `history="whole"` records them.

    A reference whose message is on none of the spans stays as it is.
    """
    held = list(spans)
    by_hash = {
        identity: message
        for span in held
        for messages in _recorded(span).values()
        for message in messages
        if (identity := _hash(message)) is not None
    }
    return [_whole(span, by_hash) for span in held] if by_hash else held


def _recorded(span: SpanRecord) -> dict[str, list[_Message]]:
    """Returns the messages of a span with hashes, by attribute."""
    found: dict[str, list[_Message]] = {}
    for name in _NAMES:
        value = span.attributes.get(name)
        if isinstance(value, str) and _HASH in value:  # parsing takes long, and few spans have any
            messages = [each for each in json_list(value) or () if isinstance(each, Mapping)]
            found[name] = messages
    return found


def _whole(span: SpanRecord, by_hash: Mapping[str, _Message]) -> SpanRecord:
    changed: dict[str, AttributeValue] = {
        name: json.dumps(list(_in_full(messages, by_hash)), ensure_ascii=False)
        for name, messages in _recorded(span).items()
        if messages
    }
    return replace(span, attributes={**span.attributes, **changed}) if changed else span


def _in_full(messages: Iterable[_Message], by_hash: Mapping[str, _Message]) -> Iterator[_Message]:
    for message in messages:
        found = by_hash.get(_referenced(message) or _hash(message) or "")
        if found is None:
            yield message
            continue
        own = {key: message[key] for key in _OF_THE_CALL if key in message}
        yield {key: value for key, value in found.items() if key not in ("hash", *_OF_THE_CALL)} | own


def _hash(message: _Message) -> str | None:
    """Returns the hash of a message that is in full."""
    return _ours(message.get("hash"))


def _referenced(message: _Message) -> str | None:
    """Returns the hash that stands for a message."""
    parts = message.get("parts")
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], Mapping):
        return None
    return _ours(parts[0].get("hash")) if parts[0].get("type") == "reference" else None


def _ours(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(_HASH) else None
