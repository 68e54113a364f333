"""What content is recorded, where, and what is done to it before."""

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, TypeVar, cast, get_args

from otel_callbacks.privacy.redaction import Redactor, Rule

logger = logging.getLogger("otel_callbacks")

_T = TypeVar("_T")

Where = Literal["none", "spans", "events", "both"]
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
"""The environment variable of the official packages; its four values are the keys of `_MODES`."""
EVENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
"""Of the official packages, too: `false` takes the events away again."""
HASH_KEY_VARIABLE = "OTEL_CALLBACKS_CONTENT_HASH_KEY"

_MIN_HASH_KEY = 16
_MIN_CAP = 256
_MODES: dict[str, Where] = {
    "NO_CONTENT": "none",
    "SPAN_ONLY": "spans",
    "EVENT_ONLY": "events",
    "SPAN_AND_EVENT": "both",
}


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Which content is recorded (none by default), where, and what is done to it before anything is written.

    Credentials are always removed: what stands under the key of a secret, and what looks like one.

    Attributes:
        where: "none", "spans" (attributes), "events" (log records), or "both".
        kinds: which content; by default all, see `KINDS`. "instructions" are system messages.
        redact: what else is removed from every text, key and attribution label: "emails", "cards", "phones",
            "personal" (the three), regular expressions, functions from text to text. A function that fails costs
            the text, not the span. After a thousand findings the rest of a text is left out.
        redact_keys: what else is removed with all that stands under it, in any spelling of the key.
        hashed: writes a keyed hash (HMAC-SHA256) in the place of each text, so that equal ones can be counted
            without being read. Without a key a hash could be undone by trying likely texts.
        hash_key: the key, the same in all processes whose hashes are to be compared; None is the value of
            `OTEL_CALLBACKS_CONTENT_HASH_KEY`.
        cap: characters that one attribute may take as JSON; None is no limit.
        span_cap: the same for all content of a span: by default 256 KB in any script. What takes time takes room,
            too: at most 640 fields, items, texts and findings of a span are written; without a cap 4,000.
        max_messages: of a longer conversation only the first system message and the newest are kept; None keeps
            as many as are read, the newest 1,000.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it and what would be right.
    """

    where: Where = "none"
    kinds: Collection[Kind] = KINDS
    redact: Sequence[Rule] = ()
    redact_keys: Sequence[str] = ()
    hashed: bool = False
    hash_key: str | bytes | None = field(default=None, repr=False)
    cap: int | None = 49_152
    span_cap: int | None = 65_536
    max_messages: int | None = 100
    redactor: Redactor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("kinds", "redact", "redact_keys"):
            object.__setattr__(self, name, _several(name, getattr(self, name)))
        if self.where not in get_args(Where):
            raise ValueError(f"content={self.where!r} is not known; use one of {_listed(get_args(Where))}")
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise ValueError(f"kinds={unknown[0]!r} is not known; use some of {_listed(KINDS)}")
        for name, least in (("cap", _MIN_CAP), ("span_cap", _MIN_CAP), ("max_messages", 1)):
            _check_limit(name, getattr(self, name), least)
        if self.hashed:
            object.__setattr__(self, "hash_key", _hash_key(self.hash_key))
        object.__setattr__(self, "redactor", Redactor(self.redact, self.redact_keys))

    @property
    def spans(self) -> bool:
        """Whether content is recorded as attributes of spans."""
        return self.where in ("spans", "both")

    @property
    def events(self) -> bool:
        """Whether content is recorded as log records."""
        return self.where in ("events", "both")

    @property
    def captures(self) -> bool:
        """Whether any content is recorded at all; if not, none is even looked at."""
        return self.where != "none"

    def allows(self, kind: Kind) -> bool:
        """Whether this kind of content is recorded."""
        return self.where != "none" and kind in self.kinds

    def label(self, text: str) -> str:
        """An attribution label, or another name that a user may have given, without what is to be removed."""
        return self.redactor.label(text)

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Attribution labels without what is to be removed; credentials are never in them."""
        return {name: self.label(text) for name, text in labels.items()} if self.redact else labels

    @classmethod
    def parse(cls, value: "ContentPolicy | str | None") -> "ContentPolicy":
        """Makes a policy of the `content` argument; None asks the environment.

        Raises:
            ValueError: the value is none of "none", "spans", "events", "both".
            TypeError: the value is neither a string nor a policy.
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
        """Reads the variables the official packages read; an unknown value is warned of and means none."""
        where = _from_variable(CAPTURE_VARIABLE, _MODES, "NO_CONTENT")
        if not _from_variable(EVENT_VARIABLE, {"TRUE": True, "FALSE": False}, "TRUE"):
            where = {"events": "none", "both": "spans"}.get(where, where)  # type: ignore[assignment]
        return cls(where)


@lru_cache(maxsize=8)
def _everything_to(where: str) -> ContentPolicy:
    return ContentPolicy(cast(Where, where))  # which says what is wrong with any other word


@lru_cache(maxsize=128)
def moved(policy: ContentPolicy, where: Where) -> ContentPolicy:
    """The same policy for another place."""
    return replace(policy, where=where)


def _from_variable(name: str, meanings: dict[str, _T], default: str) -> _T:
    value = os.environ.get(name, "")
    word = value.strip().upper() or default
    if word not in meanings:
        logger.warning("%s=%r is not known; use one of %s", name, value, ", ".join(meanings))
    return meanings.get(word, meanings[default])


def _several(name: str, value: object) -> tuple[object, ...]:
    """The items of an argument that takes several."""
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
    if not isinstance(key, str | bytes) or len(key) < _MIN_HASH_KEY:
        raise ValueError(
            f"hashed=True needs a hash_key of at least {_MIN_HASH_KEY} characters, or one in {HASH_KEY_VARIABLE}"
        )
    return key.encode() if isinstance(key, str) else key


def _listed(words: Collection[str]) -> str:
    return ", ".join(map(repr, words))
