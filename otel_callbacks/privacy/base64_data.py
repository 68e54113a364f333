"""Describes base64 data (images, sound, files) by size and hash instead of repeating it."""

import hashlib
import re
from binascii import a2b_base64

from otel_callbacks.limits import DATA_URLS_DESCRIBED, HASHED_BYTES, SEARCHED_CHARACTERS

RECOGNISED_FROM = 1_024
"""How many characters of a text must look like base64 for all of it to be taken for data."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]+")
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+/-]*)(?:;[\w.=+-]*)*;base64,(?P<data>[A-Za-z0-9+/_%=-]{64,})")


def replace_base64(text: str) -> str:
    """Replaces base64 data in a text by its size and hash: data URLs, or a text that is nothing but data."""
    head = text[:RECOGNISED_FROM]
    if len(text) <= SEARCHED_CHARACTERS:
        text = _DATA_URL.sub(_describe, text, DATA_URLS_DESCRIBED) if ";base64," in text else text
    elif head.startswith("data:"):
        return f"<{head[5:].partition(';')[0]}: {size_text(*size_and_hash(text.partition(',')[2]))}>"
    if len(text) >= RECOGNISED_FROM and _BASE64.fullmatch(head) and _is_mixed(head):
        return f"<base64: {size_text(*size_and_hash(text))}>"
    return text


def _describe(match: re.Match[str]) -> str:
    return f"<{match['mime']}: {size_text(*size_and_hash(match['data']))}>"


def _is_mixed(text: str) -> bool:
    """Tells whether a text mixes upper case, lower case and digits as data does, unlike a word or a number."""
    return sum(map(str.isdigit, text)) * 50 > len(text) and not (text.isupper() or text.islower())


def size_and_hash(base64: str) -> tuple[int, str | None]:
    """Returns the size in bytes and the SHA-256 of base64 data; None for the hash of very large data."""
    if (size := len(base64) * 3 // 4) > HASHED_BYTES:
        return size, None
    try:
        data = a2b_base64(base64.replace("-", "+").replace("_", "/"))
    except ValueError:  # not base64 after all
        data = base64.encode("utf-8", "replace")
    return len(data), hashlib.sha256(data).hexdigest()


def size_text(size: int, digest: str | None) -> str:
    """Writes a size in bytes and a SHA-256 as text."""
    return f"{size:,} bytes" if digest is None else f"{size:,} bytes, sha256 {digest}"
