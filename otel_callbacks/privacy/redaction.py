"""Takes secrets, and what else a policy names, out of keys and texts."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache, partial
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.privacy.patterns import PERSONAL, without, without_secrets
from otel_callbacks.runtime.faults import faults

Rule = str | re.Pattern[str] | Callable[[str], str]
"""The name of a kind of personal data, an expression whose matches are removed, or a function from text to text."""

REDACTED = "[redacted]"
DROPPED = "[dropped: a redactor failed]"
REACH = 256
"""How many characters past the end of a text that is cut must be seen, so that no secret is cut in half."""

_SECRET_KEY = re.compile(
    r"apikey|passw(or)?d|passphrase|secret(?!ar)|credential|authorization|bearer|cookie|connectionstring"
    r"|(access|account|private|signing|encryption|subscription)key"
    r"|^(auth|dsn|jwt|pass|pwd|passcode|sas)$|(access|api|auth|bearer|refresh|session)tokens$"
)
_TOKEN_OF_TEXT = re.compile(
    r"^(bos|cls|continuation|eos|first|last|mask|new|next|nextpage|page|pad|sep|stop|unk)token$"
)


def hides(key: str) -> str | None:
    """Whether the value under a key is a secret: "all" of it, "text" unless it is a number, or None.

    A number under a `…token` is a count or a price, `max_tokens` and `token_count` are none of ours.
    """
    letters = _normal(key)
    if _SECRET_KEY.search(letters):
        return "all"
    if letters.endswith("token") and not _TOKEN_OF_TEXT.search(letters):
        return "text"
    return None


_GENERATED = frozenset((semconv.OPERATION_NAME, semconv.RESPONSE_ID, semconv.TOOL_CALL_ID))
"""Attributes that providers make up, each a new one, so that looking them through would never be cached."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What makes LangGraph's names of tasks differ from each other."""

_UUID_LENGTH = 36


@lru_cache(maxsize=4096)
def safe_name(name: str) -> str:
    """A name, address or other short text of the application's, without credentials; cached, because names repeat."""
    return without_secrets(name)


def make_safe(attributes: MutableMapping[str, Any], clean: Callable[[str], str] = safe_name) -> None:
    """Takes credentials, or what else `clean` removes, out of attributes that hold names and numbers, not content."""
    for name, value in attributes.items():
        if type(value) is str:
            same = value if len(value) < _UUID_LENGTH else _UUID.sub("", value)
            if name not in _GENERATED and clean(same) != same:
                attributes[name] = clean(value)
        elif isinstance(value, (list, tuple)):
            attributes[name] = [clean(item) if type(item) is str else item for item in value]


class Redactor:
    """What one policy removes: secrets always, and its rules.

    Raises:
        TypeError, ValueError: a rule or key is not what it should be.
    """

    def __init__(self, rules: Sequence[Rule], keys: Sequence[str]) -> None:
        self._removers = [without_secrets, *map(_remover, rules)]
        self._keys = frozenset(map(_normal, keys))
        self.key = lru_cache(maxsize=4096)(self._key)
        self.label = lru_cache(maxsize=4096)(self.clean)

    def _key(self, key: str) -> tuple[str, str | None]:
        """A key as it may be shown, and whether its value is a secret, see `hides`; the policy's own keys hide all."""
        return self.clean(key), "all" if _normal(key) in self._keys else hides(key)

    def clean(self, text: str) -> str:
        """The text without what is removed; nothing of it if a redactor fails, which is reported once."""
        try:
            for remove in self._removers:
                text = remove(text)
            return text if type(text) is str else DROPPED
        except Exception as error:  # a redactor of the application's, which must not cost the span
            faults.report("a redactor of the content policy", error)
            return DROPPED


def _normal(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _remover(rule: Rule) -> Callable[[str], str]:
    if isinstance(rule, str):
        named = {**PERSONAL, "personal": tuple(each for group in PERSONAL.values() for each in group)}
        if rule not in named:
            raise ValueError(
                f"redact={rule!r} is not known; use one of {', '.join(map(repr, named))}, a compiled regular"
                " expression, or a function from text to text"
            )
        return partial(without, named[rule])
    if isinstance(rule, re.Pattern):
        return partial(rule.sub, REDACTED)
    if callable(rule):
        return rule
    raise TypeError(f"redact must hold names, regular expressions and functions, not {type(rule).__name__}")
