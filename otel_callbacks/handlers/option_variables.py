"""The arguments of a handler as environment variables: `OTEL_CALLBACKS_DETAIL`, `OTEL_CALLBACKS_BUDGETS` and so on.

They are the defaults of every handler, and the only way to set options where no code is written
(`opentelemetry-instrument`). A value that could not be an argument is logged once and ignored; if it is about content,
no content is recorded. docs/options.md has the table; a test compares it with this file.
"""

import functools
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

from otel_callbacks.cost.budget import Budget
from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.limits import LABEL_VALUES
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.privacy.policy import HASH_KEY_VARIABLE, ContentPolicy
from otel_callbacks.runtime.faults import logger

PREFIX = "OTEL_CALLBACKS_"
INSTRUMENT_FLAGS = ("embeddings", "rerankers")
"""The arguments of `instrument` that have a variable, too."""
SIGNAL = "flush_on_signal"
"""What the function of this name takes; only `opentelemetry-instrument` reads it."""

TO = "to"
"""The argument of `configure`, which reads its variable itself."""

Check = Callable[..., object]
"""Raises TypeError, ValueError or OSError if no handler takes an option, which is given as a keyword argument."""


def variable(option: str) -> str:
    """Returns the name of an option's variable, such as OTEL_CALLBACKS_DETAIL."""
    return PREFIX + option.upper()


def read(options: Mapping[str, Any], check: Check) -> dict[str, Any]:
    """Returns the options that the environment sets; `options` has the names of all options with their types."""
    _warn_of_unknown(options)
    found = {
        name: _value(name, text, kind, check)
        for name, kind in options.items()
        if name != "content" and (text := _text(name))
    }
    if any(map(_text, ("content", *CONTENT_FIELDS))):
        found["content"] = _content_policy()
    return {name: value for name, value in found.items() if value is not _WRONG}


def read_flag(option: str) -> bool:
    """Returns what one of `INSTRUMENT_FLAGS` is; False if it is not set."""
    text = _text(option)
    return bool(text) and _parsed(option, text, _flag) is True


def read_signal() -> signal.Signals | None:
    """Returns the signal that is to flush; None if there is none."""
    text = _text(SIGNAL)
    found = _parsed(SIGNAL, text, _signal) if text else _WRONG
    return None if found is _WRONG else found


def names_back_ends() -> bool:
    """Tells whether the environment names back ends, which `configure` reads."""
    return bool(_text(TO))


def written(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Returns each option with how its value is written, those of a content policy after `content`."""
    for name, kind in options.items():
        yield name, _FORMS[_READERS.get(name, _flag if kind is bool else str)]
        if name == "content":
            yield from ((field, _FORMS[reader]) for field, reader in CONTENT_FIELDS.items())
    yield from ((name, _FORMS[_flag]) for name in INSTRUMENT_FLAGS)
    yield SIGNAL, _FORMS[_signal]
    yield TO, _FORMS[_words]


# --- how a value is written -----------------------------------------------------------------------------------------


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _signal(text: str) -> signal.Signals:
    return signal.Signals[text.upper()]


def _most(text: str) -> int | None:
    return None if text.lower() == "none" else int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _words_or_none(text: str) -> tuple[str, ...]:
    return () if text.lower() == "none" else _words(text)


def _pairs(text: str) -> dict[str, str]:
    return {name: unquote(value) for name, value in (word.split("=", 1) for word in _words(text))}


def _label_limits(text: str) -> dict[str, int]:
    labels = [word.partition("=") for word in _words(text)]
    return {name: int(limit) if equals else LABEL_VALUES for name, equals, limit in labels}


def _budgets(text: str) -> list[Budget]:
    return [Budget(**arguments) for arguments in json.loads(text, parse_float=str)]


_FORMS: Mapping[Callable[[str], Any], str] = {
    str: "a word",
    PriceBook.load: "the path of the file",
    _flag: "`true` or `false`",
    _signal: "`SIGTERM` or another signal",
    _most: "a whole number or `none`",
    _words: "`one,other`",
    _words_or_none: "`one,other` or `none`",
    _pairs: "`tenant=acme,feature=search`, with `%2C` for a comma",
    _label_limits: "`tenant=500,feature`",
    _budgets: '`[{"tenant": "acme", "usd": 5, "per": "day"}]`',
}
_READERS: Mapping[str, Callable[[str], Any]] = {
    "attribution": _pairs,
    "baggage_keys": _words,
    "budgets": _budgets,
    "metric_labels": _label_limits,
    "prices": PriceBook.load,
    "profiles": _words_or_none,
}
CONTENT_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "content_kinds": _words,
    "content_redact": _words,
    "content_redact_keys": _words,
    "content_hashed": _flag,
    "content_cap": _most,
    "content_span_cap": _most,
    "content_max_messages": _most,
    "content_history": str,
}
"""The arguments of a `ContentPolicy`, with what reads them."""


# --- what is wrong --------------------------------------------------------------------------------------------------


_WRONG: Any = object()


def _text(option: str) -> str:
    return os.environ.get(variable(option), "").strip()


@functools.cache  # so that budgets add up over all handlers, and what is wrong is logged once
def _parsed(option: str, text: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text)
    except (ImportError, KeyError, OSError, TypeError, ValueError) as error:
        shown = remove_secrets(repr(text))  # before it is cut: half an address is no longer known as one
        _warn(variable(option), f"it is written as {_FORMS[reader]}, and {shown:.100} is not: {error}")
        return _WRONG


@functools.cache
def _value(option: str, text: str, kind: Any, check: Check) -> Any:
    value = _parsed(option, text, _READERS.get(option, _flag if kind is bool else str))
    if value is not _WRONG:
        try:
            check(**{option: value})
        except (OSError, TypeError, ValueError) as error:
            _warn(variable(option), str(error))
            return _WRONG
    return value


def _content_policy() -> ContentPolicy:
    """Returns the policy that the environment describes; one that records nothing if a part of it is wrong."""
    texts = {option: text for option in CONTENT_FIELDS if (text := _text(option))}
    found = {option: _parsed(option, text, CONTENT_FIELDS[option]) for option, text in texts.items()}
    if _WRONG in found.values():
        return ContentPolicy("none")
    try:
        where = ContentPolicy.parse(_text("content") or None).where
        return ContentPolicy(
            where, **{option.removeprefix("content_"): value for option, value in found.items()}
        )
    except (TypeError, ValueError) as error:
        _warn(variable("content"), f"{error}; no content is recorded")
        return ContentPolicy("none")


@functools.cache
def _warn(name: str, problem: str) -> None:
    logger.warning("%s is ignored: %s", name, remove_secrets(problem))


def _warn_of_unknown(options: Mapping[str, Any]) -> None:
    known = {HASH_KEY_VARIABLE, *map(variable, (*options, *CONTENT_FIELDS, *INSTRUMENT_FLAGS, SIGNAL, TO))}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, 1)
            _warn(name, f"it is not known; did you mean {close[0]}?" if close else "it is not known")
