"""Whether two names mean the same model: an invoice, a response and a console spell it each in their own way.

`claude-haiku-4-5-20251001`, `us.anthropic.claude-haiku-4-5-20251001-v1:0` and "Claude Haiku 4.5 (Amazon Bedrock
Edition)" are one. Dated snapshots are one model with it, too: good enough to compare sums, not to look up a price.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import TypeAlias

Model: TypeAlias = tuple[str, ...]
"""A model's name in its essential parts: the words, then the numbers, so that their order makes no difference."""

_SNAPSHOT = re.compile(r"[-@:](20\d\d-\d\d-\d\d|20\d{6}|\d{3,4})(?![a-z0-9])|-v\d+(:\d+)?$")
_OWNERS = re.compile(r"^([a-z-]+\.)+(?=[a-z])")
_PART = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"\d{1,2}")

# A smaller, faster or otherwise different sister of the model before it.
_SISTERS = re.compile(
    "mini|nano|micro|lite|flash|turbo|pro|max|codex|audio|realtime|transcribe|tts|image|search|preview"
)


@lru_cache(maxsize=1_024)
def model_of_name(name: str) -> Model:
    """The parts of an id (`models/gemini-2.5-pro`) or of a title ("Claude Opus 5")."""
    name = name.strip().lower().rpartition("/")[2]
    return _in_order(_PART.findall(_SNAPSHOT.sub("", _OWNERS.sub("", name))))


def model_within(text: str, models: Collection[Model]) -> Model | None:
    """The one of some models that a text mentions, the longest if there are several; None if there is none."""
    parts = _PART.findall(text.lower())
    for model in sorted(models, key=len, reverse=True):
        length = len(model)
        for start in range(len(parts) - length + 1):
            after = parts[start + length] if start + length < len(parts) else ""
            if _in_order(parts[start : start + length]) == model and not _goes_on(after):
                return model
    return None


def _goes_on(part: str) -> bool:
    return bool(_SISTERS.fullmatch(part) or _NUMBER.fullmatch(part))


def _in_order(parts: list[str]) -> Model:
    return tuple(sorted(parts, key=lambda part: _NUMBER.fullmatch(part) is not None))
