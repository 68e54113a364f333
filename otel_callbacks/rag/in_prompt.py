"""Which of the retrieved documents are in a prompt, even if a template, a splitter or a budget has altered them.

A document that stands in the prompt unchanged, or in quotes, is found character by character. The others are compared
by their words, without punctuation, spacing, case, escapes and Unicode's variants. In Chinese and Japanese a character
is a word. A near-duplicate counts if the prompt has something of it that no other found document has. The work has a
bound, however long the texts are.
"""

import functools
import re
import sys
import unicodedata
from codecs import unicode_escape_decode
from collections.abc import Callable, Sequence
from itertools import chain, compress
from json.encoder import encode_basestring, encode_basestring_ascii
from math import ceil

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.rag.token_estimate import estimate
from otel_callbacks.runtime.encodable import well_formed

_SAMPLE = 1_000  # characters of each end, from which the bytes of the whole are estimated
_LEAST_WORD = 4  # bytes that a word takes on average, at least
_SHORT = 40  # characters below which a text may stand within other words by chance

_IN_A_ROW, _IN_A_ROW_UNSPACED = 4, 8
_ENOUGH_ROWS, _ENOUGH_SHARE = 2, 0.1

_Rows = set[int]  # hashes

_UNSPACED = (  # scripts without spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u0670\u0900-\u0963\u0970-\u0dff"
_LETTERS = f"[^\\W_{_UNSPACED}]"
_WORD = f"[{_UNSPACED}]|{_LETTERS}+(?:[{_MARKS}]+{_LETTERS}*)*"
_NOISE = r"[^\w\s]{32,}"  # among it, heaps of accents, which take long to normalise
_HAS_UNSPACED = f"[{_UNSPACED}]"
_FOREIGN_SIGNS = f"[^\\w\x00-\x7f{_MARKS}]+"
_compiled = functools.cache(re.compile)  # these take 5 ms, and only texts that are not ASCII need them
_ASCII_SIGNS_TO_SPACES = bytes(
    byte if byte >= 0x80 or chr(byte).isalnum() else ord(" ") for byte in range(256)
)
_SENTENCE = "\ufdfa"  # one sign of 18 letters
_CODE_POINTS = re.compile(r"\\u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*")
_ESCAPED = 3  # a text has three times as many bytes when each of its characters is escaped
_BETWEEN_ESCAPES = 20  # bytes; one escape is read for so many bytes that are compared
_WRITINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: repr(text)[1:-1],  # a list of documents that was put into a template
    lambda text: encode_basestring(text)[1:-1],
    lambda text: encode_basestring_ascii(text)[1:-1],
)
"""How a text may stand in a prompt, character by character: unchanged, as Python writes it, as JSON writes it."""
_ESCAPE = re.compile(r"\\[nrtbf]|&(?:amp|lt|gt|quot|apos|nbsp|#\d+|#x[0-9a-fA-F]+);")


def in_prompt(documents: Sequence[Document], prompt: str) -> list[float]:
    """Returns how much of each document is in the prompt, from 0 (nothing) to 1 (all of it).

    A text that was retrieved twice counts twice only if the prompt has it twice. A document without content never
    counts. Only the head and tail of a long prompt are searched: 1 MB for unchanged texts, 40 KB for altered ones, and
    less in scripts other than Latin. After 5 MB over all documents, 40 KB are searched for the rest, too.
    """
    texts = [(document.content or "").strip() for document in documents]
    shares = [0.0] * len(documents)
    rest = _take_whole(texts, shares, _ends(prompt, limits.PROMPT_BYTES_SEARCHED))
    if 0.0 in compress(shares, texts):  # a text was not found
        _take_by_words(texts, shares, rest.text())
    return shares


def token_share(documents: Sequence[Document], shares: Sequence[float], prompt: str) -> float:
    """Estimates what part of the prompt's tokens the documents make, from 0 to 1; `in_prompt` returned the `shares`."""
    # together, because one estimate of a long text is quicker than many of short ones
    found = "\n".join(
        [
            (document.content or "") if share == 1.0 else _beginning(document.content or "", share)
            for document, share in zip(documents, shares, strict=True)
            if share
        ]
    )
    whole = estimate(prompt) if found else 0.0
    return min(1.0, estimate(found) / whole) if whole else 0.0


def _beginning(text: str, share: float) -> str:
    return text[: ceil(share * len(text))]


def _take_whole(texts: Sequence[str], shares: list[float], prompt: str) -> "_Rest":
    """Finds the texts that stand in the prompt unchanged, the longest first; returns the prompt without them."""
    writings = _WRITINGS if "\\" in prompt else _WRITINGS[:1]
    rest = _Rest(prompt, limits.PROMPT_BYTES_SEARCHED_FOR_ALL)
    for at in _longest_first(texts):
        text = texts[at]
        if rest.left < 0:
            rest = _Rest(_ends(rest.text(), limits.PROMPT_BYTES_COMPARED), sys.maxsize)
        for write in writings if len(text) >= _SHORT else ():
            if rest.take(text, write):
                shares[at] = 1.0
                break
    return rest


class _Rest:
    """A prompt from which texts are taken, without copying it each time.

    Texts often stand in a prompt in the order in which they are sought, so each is sought from the last one on first.
    """

    def __init__(self, prompt: str, left: int) -> None:
        self.left = left  # how many more characters may be searched
        self._prompt = prompt
        self._is_taken = bytearray(len(prompt))
        self._taken: list[tuple[int, int]] = []
        self._last = 0  # where the last taken text ends
        self._end = 0  # from where on nothing is taken
        self._absent: set[str] = set()  # beginnings of texts

    def take(self, text: str, write: Callable[[str], str]) -> bool:
        """Takes a text that is written in some way; tells whether it was there."""
        head, start = write(text[:_SHORT]), self._last
        if head in self._absent:
            return False
        found = self._find(head, start)  # quicker than searching for the whole
        self.left -= found - start if found >= start else len(self._prompt)
        if found < 0:
            self._absent.add(head)
            return False
        whole = write(text)
        if found < self._end or not self._prompt.startswith(whole, found):
            found = self._find(whole, found)
            if found < 0:
                return False
        self._last = end = found + len(whole)
        if end > self._end:
            self._end = end
        self._taken.append((found, end))
        self._is_taken[found:end] = b"\1" * len(whole)
        return True

    def text(self) -> str:
        """Returns what is left, with a line break for each text that was taken."""
        borders = [0, *chain.from_iterable(sorted(self._taken)), len(self._prompt)]
        return "\n".join(map(self._prompt.__getitem__, map(slice, borders[::2], borders[1::2])))

    def _find(self, text: str, start: int) -> int:
        """Returns where a text is of which nothing is taken, from `start` on or else before; -1 if nowhere."""
        found = self._prompt.find(text, start)
        if found >= self._end:  # nearly always
            return found
        while found >= 0 and (taken := self._is_taken.find(1, found, found + len(text))) >= 0:
            free = self._is_taken.find(0, taken)
            found = self._prompt.find(text, free) if free >= 0 else -1
        return self._find(text, 0) if found < 0 and start else found


def _take_by_words(texts: Sequence[str], shares: list[float], prompt: str) -> None:
    """Finds those of the other texts of which all words, or enough of them, are in the prompt."""
    limit = limits.PROMPT_BYTES_COMPARED // len(texts)
    words = [_words(text, limit) for text in texts]
    rest = f" {' '.join(_words(prompt, limits.PROMPT_BYTES_COMPARED))} "
    for at in _longest_first(words):
        whole = f" {' '.join(words[at])} "
        if words[at] and not shares[at] and whole in rest:
            rest = rest.replace(whole, " ", 1)
            shares[at] = 1.0
    length = _row_length(words)
    there = _rows(rest.split(), length)
    rows = [_rows(each, length) for each in words]
    taken: _Rows = set().union(*(each for each, share in zip(rows, shares, strict=False) if share))
    left = [at for at, each in enumerate(rows) if each and not shares[at]]
    for at in sorted(left, key=lambda at: -len(rows[at] & there) / len(rows[at])):
        shares[at] = _share(rows[at] - taken, there)
        if shares[at]:
            taken |= rows[at]


def _share(own: _Rows, there: _Rows) -> float:
    """Returns the share of a text's own rows of words that are in the prompt; 0 if they may be there by chance."""
    found = len(own & there)
    enough = min(_ENOUGH_ROWS, len(own))
    return found / len(own) if found >= max(1, enough, _ENOUGH_SHARE * len(own)) else 0.0


def _longest_first(texts: Sequence[Sequence[str]]) -> list[int]:
    lengths = list(map(len, texts))
    return sorted(range(len(texts)), key=lengths.__getitem__, reverse=True)  # equally long ones stay in order


def _ends(text: str, limit: int) -> str:
    """Returns the text, or at most `limit` bytes of its head and tail."""
    if not text.isascii():
        sample = text[:_SAMPLE] + text[-_SAMPLE:]
        limit = limit * len(sample) // len(sample.encode("utf-8", "replace"))
    return text if len(text) <= limit else f"{text[: limit // 2]}\n{text[-limit // 2 :]}"


def every_word(prompt: str) -> list[str] | None:
    """Returns the words of a prompt; None if it is so long, or so full of escapes, that only some are compared."""
    limit = limits.PROMPT_BYTES_COMPARED
    if len(prompt) > limit or prompt.count("\\") + prompt.count("&") > limit // _BETWEEN_ESCAPES:
        return None
    if not prompt.isascii() and 2 * len(prompt.encode("utf-8", "replace")) > limit:
        return None
    words = _words(prompt, limit)
    return words if len(words) <= limit // _LEAST_WORD else None


def first_and_last_words(text: str) -> list[str]:
    """Returns as many words of a document as are indexed."""
    return _words(text, limits.DOCUMENT_BYTES_INDEXED)


def rows_of(words: Sequence[str]) -> set[int]:
    """Returns the hashes of all words in a row that do not stand in two texts by chance."""
    return _rows(words, _IN_A_ROW)


def _row_length(texts: Sequence[Sequence[str]]) -> int:
    """Returns how many words in a row do not stand in two texts by chance; more if the words are single characters."""
    words = sum(map(len, texts))
    characters = sum(len("".join(text)) for text in texts)
    return _IN_A_ROW if characters > 2 * words else _IN_A_ROW_UNSPACED


def _rows(words: Sequence[str], length: int) -> _Rows:
    return set(map(hash, zip(*(words[start:] for start in range(length)), strict=False)))


def _words(text: str, limit: int) -> list[str]:
    """Returns the words of a text, the same whether JSON, HTML, Markdown or a terminal wrote it."""
    text, escapes = _ends(text, limit * _ESCAPED), limit // _BETWEEN_ESCAPES + 1
    if "\\" in text:
        text = text.replace("\\\\", "\\").replace("\\\\", "\\")  # for JSON in JSON
        text = well_formed(_CODE_POINTS.sub(_decoded, text, escapes))
    if "\\" in text or "&" in text:
        text = _ESCAPE.sub(" ", text, escapes)
    if not text.isascii():  # takes longer, the more bytes a character has
        limit = limit * len(text) // (2 * len(text.encode("utf-8", "replace")))
    text = _ends(text, limit)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _compiled(_NOISE).sub(" ", text.replace(_SENTENCE, " ")))
        if _compiled(_HAS_UNSPACED).search(text):
            return _compiled(_WORD).findall(text.casefold())
        text = _compiled(_FOREIGN_SIGNS).sub(" ", text)
    text = text.casefold().encode("utf-8", "replace").translate(_ASCII_SIGNS_TO_SPACES).decode()
    return text.split()[: limit // _LEAST_WORD + 1]


def _decoded(code_points: re.Match[str]) -> str:
    return unicode_escape_decode(code_points[0])[0]
