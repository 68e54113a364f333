"""Removes secrets, and what else a content policy names, from keys, texts and attributes."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache, partial
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.limits import CACHED_NAMES
from otel_callbacks.privacy.patterns import PERSONAL, remove_patterns, remove_secrets
from otel_callbacks.runtime.faults import faults

Rule = str | re.Pattern[str] | Callable[[str], str]
"""The name of a kind of personal data, a regular expression whose matches are removed, or a function on texts."""

REDACTED = "[redacted]"
DROPPED = "[dropped: a redactor failed]"

_SECRET_KEY = re.compile(
    r"apikey|passw(or)?d|passphrase|secret(?!ar)|credential|authorization|bearer|cookie|connectionstring"
    r"|(access|account|admin|app|application|auth|client|consumer|deploy|encryption|functions|hmac|license|master"
    r"|openai|private|security|service|shared|signing|subscription|webhook)key"
    r"|^(auth|dsn|jwt|pass|pwd|passcode|sas)$|(access|api|auth|bearer|refresh|session)tokens$"
)
_TOKEN_OF_TEXT = re.compile(
    r"^(bos|cls|continuation|eos|first|last|mask|new|next|nextpage|page|pad|sep|stop|unk)token$"
)


def secret_part(key: str) -> str | None:
    """Returns what is secret of the value under a key: "all" of it, "text" unless it is a number, or None.

    A number under a `…token` is a count or a price. `max_tokens` and `token_count` name no secrets.
    """
    letters = _letters_and_digits(key)
    if _SECRET_KEY.search(letters):
        return "all"
    if letters.endswith("token") and not _TOKEN_OF_TEXT.search(letters):
        return "text"
    return None


GENERATED = frozenset((semconv.OPERATION_NAME, semconv.RESPONSE_ID, semconv.TOOL_CALL_ID))
"""Attributes with a new value in each call, which are not searched: the result could never come from the cache."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""LangGraph's task names contain one. It is left out of the cached name, which would otherwise never repeat."""

_UUID_LENGTH = 36
_LISTS, _TEXTS = (list, tuple), frozenset((str,))


@lru_cache(maxsize=CACHED_NAMES)
def redact_name(name: str) -> str:
    """Removes credentials from a name, address or other short text of the application; cached, as names repeat."""
    return remove_secrets(name)


def redact_unique(text: str) -> str:
    """Removes credentials from a text that differs in every call, if only by a UUID in it."""
    searched = text if len(text) < _UUID_LENGTH else _UUID.sub("", text)
    return text if redact_name(searched) == searched else redact_name(text)


def redact_attributes(
    attributes: MutableMapping[str, Any], clean: Callable[[str], str] = redact_name
) -> None:
    """Removes credentials, or whatever `clean` removes, from attributes that hold names and numbers, not content."""
    for name, value in attributes.items():
        if type(value) is str:
            searched = value if len(value) < _UUID_LENGTH else _UUID.sub("", value)
            if name not in GENERATED and clean(searched) != searched:
                attributes[name] = clean(value)
        elif isinstance(value, _LISTS):
            texts = _TEXTS.issuperset(map(type, value))
            attributes[name] = tuple(
                map(clean, value) if texts else [clean(item) if type(item) is str else item for item in value]
            )


class Redactor:
    """Removes secrets always, and what the rules and keys of one policy name.

    Raises:
        TypeError: a rule is neither a name, a regular expression nor a function.
        ValueError: a rule is an unknown name.
    """

    def __init__(self, rules: Sequence[Rule], keys: Sequence[str]) -> None:
        self._rules = [remove_secrets, *map(_rule_function, rules)]
        self._keys = frozenset(map(_letters_and_digits, keys))
        self.redact_key = lru_cache(maxsize=CACHED_NAMES)(self._redact_key)
        self.label = lru_cache(maxsize=CACHED_NAMES)(self.clean)

    def _redact_key(self, key: str) -> tuple[str, str | None]:
        """Cleans a key, and returns it with what is secret of its value, see `secret_part`; "all" for the policy's."""
        return self.clean(key), "all" if _letters_and_digits(key) in self._keys else secret_part(key)

    def clean(self, text: str) -> str:
        """Removes secrets and what the rules name; drops the whole text if a rule fails, which is logged once."""
        try:
            for rule in self._rules:
                text = rule(text)
            return text if type(text) is str else DROPPED
        except Exception as error:  # a function of the application must not cost the span
            faults.report("a redactor of the content policy", error)
            return DROPPED


def _letters_and_digits(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _rule_function(rule: Rule) -> Callable[[str], str]:
    if isinstance(rule, str):
        named = {**PERSONAL, "personal": tuple(each for group in PERSONAL.values() for each in group)}
        if rule not in named:
            raise ValueError(
                f"redact={rule!r} is not known; use one of {', '.join(map(repr, named))}, a compiled regular"
                " expression, or a function from text to text"
            )
        for pattern in named[rule]:
            pattern.compile()  # now, and not in a call of the application
        return partial(remove_patterns, named[rule])
    if isinstance(rule, re.Pattern):
        return partial(rule.sub, REDACTED)
    if callable(rule):
        return rule
    raise TypeError(f"redact must hold names, regular expressions and functions, not {type(rule).__name__}")
