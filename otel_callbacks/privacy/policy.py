"""The content policy: which content is recorded, where, and what is removed from it first."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Literal, TypeVar, cast, get_args

from otel_callbacks.limits import (
    ATTRIBUTE_CHARACTERS,
    CACHED_POLICIES,
    MESSAGES_WRITTEN,
    SHORTEST_HASH_KEY,
    SMALLEST_CAP,
    SPAN_CHARACTERS,
)
from otel_callbacks.privacy.redactor import Redactor, Rule

logger = logging.getLogger("otel_callbacks")

_T = TypeVar("_T")

Where = Literal["none", "spans", "events", "both"]
History = Literal["whole", "new"]
Kind = Literal[
    "instructions",
    "prompts",
    "answers",
    "tool_definitions",
    "tool_arguments",
    "tool_results",
    "queries",
    "documents",
    "exceptions",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable of the official instrumentations; its four values are the keys of `_MODES`."""
EVENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
"""Another variable of the official instrumentations: `false` switches the events off."""
HASH_KEY_VARIABLE = "OTEL_CALLBACKS_CONTENT_HASH_KEY"

_MODES: dict[str, Where] = {
    "NO_CONTENT": "none",
    "SPAN_ONLY": "spans",
    "EVENT_ONLY": "events",
    "SPAN_AND_EVENT": "both",
}


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Which content is recorded (none by default), where, and what is removed from it first.

    Credentials are always removed: the values under the keys of secrets, and texts that look like credentials.

    Attributes:
        where: "none", "spans" (attributes), "events" (log records), or "both".
        kinds: which content; all of `KINDS` by default. "instructions" are system messages.
        redact: what else to remove from every text, key and attribution label: "emails", "cards", "phones",
            "personal" (all three), regular expressions, functions from text to text. If a function fails, the text is
            dropped and the span is kept. After 1,000 findings the rest of a text is left out.
        redact_keys: keys, in any spelling, whose values are removed as well.
        hashed: replaces each text by a keyed hash (HMAC-SHA256), so that equal texts can be counted without being
            read. A hash without a key could be undone by trying likely texts.
        hash_key: the key, at least 16 characters. Hashes are comparable across processes with the same key. None
            reads `OTEL_CALLBACKS_CONTENT_HASH_KEY`.
        cap: the most characters that one attribute takes as JSON; None is no limit.
        span_cap: the same for all content of a span; the default is 256 KB in any script. It also limits a span to
            640 fields, items, texts and findings, which take time; None limits it to 4,000.
        max_messages: a longer conversation keeps its first system message and the newest ones. None keeps all that
            are read, which are the newest 1,000.
        history: "whole" records every message of every call, as the conventions ask. "new" records each message in
            full the first time that it is sent in a trace, with a `hash`; afterwards a part
            `{"type": "reference", "hash": …}` stands for its parts. An agent's conversation then takes as much room as
            it is long, not the square of it. Pictures, data frames and `diff` put it together again; other back ends
            show the references.

    Raises:
        TypeError: `kinds`, `redact` or `redact_keys` is not a list or tuple, or a rule of `redact` has a wrong type.
        ValueError: another argument is wrong. The message names it and what would be right.
    """

    where: Where = "none"
    kinds: Collection[Kind] = KINDS
    redact: Sequence[Rule] = ()
    redact_keys: Sequence[str] = ()
    hashed: bool = False
    hash_key: str | bytes | None = field(default=None, repr=False)
    cap: int | None = ATTRIBUTE_CHARACTERS
    span_cap: int | None = SPAN_CHARACTERS
    max_messages: int | None = MESSAGES_WRITTEN
    history: History = "whole"
    captures: bool = field(init=False, repr=False, compare=False)
    """Whether any content is recorded; if not, none is even read."""
    label: Callable[[str], str] = field(init=False, repr=False, compare=False)
    """Cleans an attribution label, or another name that may come from a user."""
    redactor: Redactor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("kinds", "redact", "redact_keys"):
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name)))
        if self.where not in get_args(Where):
            raise ValueError(f"content={self.where!r} is not known; use one of {_listed(get_args(Where))}")
        if self.history not in get_args(History):
            raise ValueError(
                f"history={self.history!r} is not known; use one of {_listed(get_args(History))}"
            )
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise ValueError(f"kinds={unknown[0]!r} is not known; use some of {_listed(KINDS)}")
        for name, least in (("cap", SMALLEST_CAP), ("span_cap", SMALLEST_CAP), ("max_messages", 1)):
            _check_limit(name, getattr(self, name), least)
        if self.hashed:
            object.__setattr__(self, "hash_key", _hash_key(self.hash_key))
        object.__setattr__(self, "captures", self.where != "none")
        object.__setattr__(self, "redactor", Redactor(self.redact, self.redact_keys))
        object.__setattr__(self, "label", self.redactor.label)

    @property
    def spans(self) -> bool:
        """Tells whether content is recorded as attributes of spans."""
        return self.where in ("spans", "both")

    @property
    def events(self) -> bool:
        """Tells whether content is recorded as log records."""
        return self.where in ("events", "both")

    def allows(self, kind: Kind) -> bool:
        """Tells whether this kind of content is recorded."""
        return self.where != "none" and kind in self.kinds

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Cleans attribution labels. Their credentials have already been removed, so only `redact` matters."""
        return {name: self.label(text) for name, text in labels.items()} if self.redact else labels

    @classmethod
    def parse(cls, value: "ContentPolicy | str | None") -> "ContentPolicy":
        """Makes a policy from the `content` argument; None reads the environment.

        Raises:
            ValueError: the string is not "none", "spans", "events" or "both".
            TypeError: the value is neither a string nor a policy nor None.
        """
        if value is None:
            return cls.from_environment()
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            known = _listed(get_args(Where))
            raise TypeError(f"content must be a ContentPolicy or one of {known}, not {type(value).__name__}")
        return _everything_to(value)

    @classmethod
    def from_environment(cls) -> "ContentPolicy":
        """Reads the variables of the official instrumentations; logs a warning for an unknown value and ignores it."""
        where = _from_variable(CAPTURE_VARIABLE, _MODES, "NO_CONTENT")
        if not _from_variable(EVENT_VARIABLE, {"TRUE": True, "FALSE": False}, "TRUE"):
            where = {"events": "none", "both": "spans"}.get(where, where)  # type: ignore[assignment]
        return cls(where)


@cache
def _everything_to(where: str) -> ContentPolicy:
    return ContentPolicy(cast(Where, where))  # raises for an unknown word, so at most four are cached


@lru_cache(maxsize=CACHED_POLICIES)
def redirected(policy: ContentPolicy, where: Where) -> ContentPolicy:
    """Returns the same policy with another `where`."""
    return replace(policy, where=where)


def _from_variable(name: str, meanings: dict[str, _T], default: str) -> _T:
    value = os.environ.get(name, "")
    word = value.strip().upper() or default
    if word not in meanings:
        logger.warning("%s=%r is not known; use one of %s", name, value, ", ".join(meanings))
    return meanings.get(word, meanings[default])


def _as_tuple(name: str, value: object) -> tuple[object, ...]:
    """Returns the items of an argument; raises TypeError for a single item and for anything else."""
    if isinstance(value, str | re.Pattern | Callable) or not isinstance(value, Collection):
        raise TypeError(f"{name} must be a list or a tuple, not {type(value).__name__}: {value!r:.100}")
    return tuple(value)


def _check_limit(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be None or a whole number of at least {least}, not {value!r:.100}")


def _hash_key(key: str | bytes | None) -> bytes:
    key = os.environ.get(HASH_KEY_VARIABLE) if key is None else key
    if not isinstance(key, str | bytes) or len(key) < SHORTEST_HASH_KEY:
        raise ValueError(
            f"hashed=True needs a hash_key of at least {SHORTEST_HASH_KEY} characters."
            f" Pass it, or set {HASH_KEY_VARIABLE}."
        )
    return key.encode() if isinstance(key, str) else key


def _listed(words: Collection[str]) -> str:
    return ", ".join(map(repr, words))
