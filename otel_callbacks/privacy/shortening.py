"""Cuts texts to an allowance, after secrets have been removed from them."""

import unicodedata
from collections.abc import Callable
from json.encoder import encode_basestring

from otel_callbacks.limits import COMBINING_CHARACTERS, SEARCHED_CHARACTERS, SECRET_CHARACTERS
from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.base64_data import RECOGNISED_FROM, replace_base64
from otel_callbacks.privacy.pattern import MARK
from otel_callbacks.runtime.encodable import well_formed

_SEARCHED_PER_STEP = 4_000  # characters that are searched for base64 data in one step
_DESCRIBED_PER_STEP = 1_000  # characters of base64 data that are decoded and hashed in one step
_ZERO_WIDTH_JOINER = "\u200d"


def shorten(text: str, allowance: Allowance, clean: Callable[[str], str]) -> str:
    """Cleans a text and cuts it to the allowance; a text that was cut ends with a mark that states its size.

    The text is cleaned a little beyond the cut, so that a secret there is recognised and removed whole.
    """
    size = len(text)
    if size >= RECOGNISED_FROM:
        text = replace_base64(text)
        allowance.take_steps(
            min(size, SEARCHED_CHARACTERS) // _SEARCHED_PER_STEP + (size - len(text)) // _DESCRIBED_PER_STEP
        )
    left = max(0, allowance.characters)
    beyond = len(text) - left - SECRET_CHARACTERS
    seen = text if beyond <= 0 else text[: int(left) + SECRET_CHARACTERS]
    shown = clean(well_formed(seen))
    if shown is not seen:
        allowance.take_steps(shown.count(MARK))
    escaped = len(encode_basestring(shown))
    if beyond <= 0 and allowance.take_characters(escaped):
        return shown
    allowance.cut = True
    mark = f"…[cut, {size:,} characters]"
    end = len(shown) - (SECRET_CHARACTERS if beyond > 0 else 0)
    fitting = min(left - len(mark) - 2, left * len(shown) / escaped - len(mark))
    shown = _cut(shown, min(end, int(fitting))) + mark
    while not allowance.take_text(shown) and len(shown) > len(mark):  # escapes are not spread evenly
        fitting = (len(shown) - len(mark)) * left / len(encode_basestring(shown))
        shown = _cut(shown, min(int(fitting), len(shown) - len(mark) - 1)) + mark
    return shown


def _cut(text: str, end: int) -> str:
    """Returns the beginning of a text, without separating a character from those that combine with it."""
    end = max(0, end)
    for _ in range(COMBINING_CHARACTERS):
        if not 0 < end < len(text):
            break
        following = text[end]
        joined = unicodedata.combining(following) or unicodedata.category(following) in ("Mn", "Me", "Cf")
        if not joined and text[end - 1] != _ZERO_WIDTH_JOINER:
            break
        end -= 1
    return text[:end]
