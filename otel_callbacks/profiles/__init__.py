"""Extra attributes that a back end reads, made from those that a finished span has; nothing that is there changes.

May import `semconv.py`, `limits.py` and `runtime`. Each profile is one function, in the file of its name: from the
attributes of a span and its start (nanoseconds since 1970) to extra ones. So a handler, one destination of `configure`
and `replay` use the same. `reading.py` says what a span is, and what its input, output and documents are. The names
that only one back end has are in its profile.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

from otel_callbacks.profiles import (
    cost_draft,
    langfuse,
    langsmith,
    mlflow,
    openinference,
    released_genai,
)
from otel_callbacks.runtime.faults import guarded

Profile: TypeAlias = Callable[[Mapping[str, Any], int], dict[str, Any]]

PROFILES: Final[Mapping[str, Profile]] = {
    "released_genai": released_genai.extra,
    "openinference": openinference.extra,
    "mlflow": mlflow.extra,
    "langfuse": langfuse.extra,
    "langsmith": langsmith.extra,
    "cost_draft": cost_draft.extra,
}
DEFAULT: Final = ("released_genai",)

_guarded = {name: guarded(profile) for name, profile in PROFILES.items()}


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of profiles as they were given.

    Raises:
        TypeError: they are one text instead of several.
        ValueError: there is no profile with this name, or two of them exclude each other.
    """
    if isinstance(names, str):
        raise TypeError(f"profiles={names!r} must be a list or tuple, such as ({names!r},)")
    found = tuple(names)
    for name in found:
        if name not in PROFILES:
            raise ValueError(f"profiles: {name!r} is not known; use {', '.join(map(repr, PROFILES))}")
    if {"released_genai", "cost_draft"} <= set(found):
        raise ValueError("profiles: 'cost_draft' stands in place of 'released_genai'; use one of them")
    return found


def extra_attributes(names: Sequence[str], attributes: Mapping[str, Any], started: int) -> dict[str, Any]:
    """Returns the attributes that profiles add to those of a span, the most important of each first.

    A fault in a profile costs its attributes only.
    """
    if len(names) == 1:
        alone = _guarded[names[0]](attributes, started) or {}
        if attributes.keys().isdisjoint(alone):
            return alone
        return {name: alone[name] for name in alone if name not in attributes}
    made = [(_guarded[name](attributes, started) or {}).items() for name in names]
    extra: dict[str, Any] = {}
    for name, value in filter(None, chain.from_iterable(zip_longest(*made))):
        if name not in attributes:
            extra.setdefault(name, value)
    return extra
