"""Matching of model names that an invoice, a response and a console spell differently.

`claude-haiku-4-5-20251001`, `us.anthropic.claude-haiku-4-5-20251001-v1:0` and "Claude Haiku 4.5 (Amazon Bedrock
Edition)" are the same model. So are dated snapshots: good enough to compare sums, too coarse to look up a price.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import TypeAlias

from otel_callbacks.limits import MODEL_NAMES_REMEMBERED

Model: TypeAlias = tuple[str, ...]
"""The parts of a model's name that matter: first the words, then the numbers, because spellings order them freely."""

_SNAPSHOT = re.compile(r"[-@:](20\d\d-\d\d-\d\d|20\d{6}|\d{3,4})(?![a-z0-9])|-v\d+(:\d+)?$")
_OWNERS = re.compile(r"^([a-z-]+\.)+(?=[a-z])")
_PART = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"\d{1,2}")

# Words after a model's name that make it another model: smaller, faster, for audio …
_VARIANTS = re.compile(
    "mini|nano|micro|lite|flash|turbo|pro|max|codex|audio|realtime|transcribe|tts|image|search|preview"
)


@lru_cache(maxsize=MODEL_NAMES_REMEMBERED)
def model_of_name(name: str) -> Model:
    """Returns the model in an id (`models/gemini-2.5-pro`) or a title ("Claude Opus 5")."""
    name = name.strip().lower().rpartition("/")[2]
    return _words_first(_PART.findall(_SNAPSHOT.sub("", _OWNERS.sub("", name))))


def model_within(text: str, models: Collection[Model]) -> Model | None:
    """Returns the model with the longest name that a text mentions; None if it mentions none of `models`."""
    parts = _PART.findall(text.lower())
    for model in sorted(models, key=len, reverse=True):
        length = len(model)
        for start in range(len(parts) - length + 1):
            next_part = parts[start + length] if start + length < len(parts) else ""
            if _words_first(parts[start : start + length]) == model and not _extends_name(next_part):
                return model
    return None


def _extends_name(part: str) -> bool:
    return bool(_VARIANTS.fullmatch(part) or _NUMBER.fullmatch(part))


def _words_first(parts: list[str]) -> Model:
    return tuple(sorted(parts, key=lambda part: _NUMBER.fullmatch(part) is not None))
