"""Texts as they may be written: well formed, without blobs, and no longer than there is room."""

import hashlib
import re
import unicodedata
from binascii import a2b_base64
from collections.abc import Callable
from json.encoder import encode_basestring
from math import inf

from otel_callbacks.privacy.patterns import MARK
from otel_callbacks.privacy.redaction import REACH
from otel_callbacks.runtime.encodable import well_formed

_SEPARATOR = 4  # characters of JSON around an item: quotes or brackets, comma, space
_MARK = 48  # the room that the mark of something cut needs
MAX_STEPS = 640
_MAX_HASHED = 600_000  # characters: what can be found, decoded and hashed within 5 ms
_MAX_SCANNED = 1_000_000
_SCANNED = 4_000  # characters that can be searched for blobs in one step
_DESCRIBED = 1_000  # characters of a blob that can be decoded and hashed in one step
_BLOB_HEAD = 1_024
_MAX_BLOBS = 200  # of one text that are described
_BASE64 = re.compile(r"[A-Za-z0-9+/_\r\n-]+")
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+/-]*)(?:;[\w.=+-]*)*;base64,(?P<data>[A-Za-z0-9+/_%=-]{64,})")
_ZERO_WIDTH_JOINER = "\u200d"


class Room:
    """How much may still be written.

    Attributes:
        left: characters of JSON.
        steps: what takes about as long as an item: of texts, what is found in them, and searching long ones, too.
        cut: whether something did not fit.
    """

    __slots__ = ("cut", "left", "steps")

    def __init__(self, characters: float = inf, steps: int = MAX_STEPS) -> None:
        self.left = characters
        self.steps = steps
        self.cut = False

    def for_one_more(self, around: int = _SEPARATOR) -> bool:
        """Takes the room that an item needs for being there; False if it needs to stay out.

        Args:
            around: characters of JSON around its text.
        """
        self.left -= around
        self.steps -= 1
        fits = self.left >= _MARK and self.steps >= 0
        self.cut = self.cut or not fits
        return fits

    def take(self, text: str) -> bool:
        """Takes the room of a text; False if it is longer than what is left."""
        return len(text) <= self.left and self.take_characters(len(encode_basestring(text)))

    def take_characters(self, count: int) -> bool:
        """Takes the room of so many characters of JSON; False if there is less."""
        if count > self.left:
            return False
        self.left -= count
        return True

    def take_steps(self, count: int) -> None:
        """Takes the time that texts need; not where everything is to be written, however long it takes."""
        if self.left < inf:
            self.steps -= count

    def part(self, share: float) -> "Room":
        """A room within this one, to be given back by `close`."""
        return Room(min(1.0, share) * self.left, self.steps)

    def close(self, part: "Room", share: float) -> None:
        """Takes what was written in a part."""
        if self.left < inf:
            self.left -= min(1.0, share) * self.left - part.left
        self.steps = part.steps
        self.cut = self.cut or part.cut


def shorten(text: str, room: Room, clean: Callable[[str], str]) -> str:
    """The text, cleaned and cut to the room there is, with its size if not all of it is shown.

    What is cut off is looked at as far as a secret may reach.
    """
    size = len(text)
    if size >= _BLOB_HEAD:
        text = without_blobs(text)
        room.take_steps(min(size, _MAX_SCANNED) // _SCANNED + (size - len(text)) // _DESCRIBED)
    left = max(0, room.left)
    beyond = len(text) - left - REACH
    seen = text if beyond <= 0 else text[: int(left) + REACH]
    shown = clean(well_formed(seen))
    if shown is not seen:
        room.take_steps(shown.count(MARK))
    escaped = len(encode_basestring(shown))
    if beyond <= 0 and room.take_characters(escaped):
        return shown
    room.cut = True
    mark = f"…[cut, {size:,} characters]"
    end = len(shown) - (REACH if beyond > 0 else 0)
    fitting = min(left - len(mark) - 2, left * len(shown) / escaped - len(mark))
    shown = _cut(shown, min(end, int(fitting))) + mark
    while not room.take(shown) and len(shown) > len(mark):  # escapes are not spread evenly
        fitting = (len(shown) - len(mark)) * left / len(encode_basestring(shown))
        shown = _cut(shown, min(int(fitting), len(shown) - len(mark) - 1)) + mark
    return shown


def _cut(text: str, end: int) -> str:
    """The beginning of a text, without tearing a character from what is joined to it."""
    end = max(0, end)
    for _ in range(8):
        if not 0 < end < len(text):
            break
        following = text[end]
        joined = unicodedata.combining(following) or unicodedata.category(following) in ("Mn", "Me", "Cf")
        if not joined and text[end - 1] != _ZERO_WIDTH_JOINER:
            break
        end -= 1
    return text[:end]


def without_blobs(text: str) -> str:
    """The text with base64 data described instead of repeated."""
    head = text[:_BLOB_HEAD]
    if len(text) <= _MAX_SCANNED:
        text = _DATA_URL.sub(_described, text, _MAX_BLOBS) if ";base64," in text else text
    elif head.startswith("data:"):
        return f"<{head[5:].partition(';')[0]}: {told(*describe(text.partition(',')[2]))}>"
    if len(text) >= _BLOB_HEAD and _BASE64.fullmatch(head) and _is_mixed(head):
        return f"<base64: {told(*describe(text))}>"
    return text


def _described(match: re.Match[str]) -> str:
    return f"<{match['mime']}: {told(*describe(match['data']))}>"


def _is_mixed(text: str) -> bool:
    """Whether there are upper and lower case and digits as in data, and not as in a word or a number."""
    return sum(map(str.isdigit, text)) * 50 > len(text) and not (text.isupper() or text.islower())


def describe(base64: str) -> tuple[int, str | None]:
    """Size in bytes and SHA-256 of what base64 text stands for; no hash of what would take too long."""
    if len(base64) > _MAX_HASHED:
        return len(base64) * 3 // 4, None
    try:
        data = a2b_base64(base64.replace("-", "+").replace("_", "/"))
    except ValueError:  # not base64 after all
        data = base64.encode("utf-8", "replace")
    return len(data), hashlib.sha256(data).hexdigest()


def told(size: int, digest: str | None) -> str:
    """Size and SHA-256 in words."""
    return f"{size:,} bytes" if digest is None else f"{size:,} bytes, sha256 {digest}"
