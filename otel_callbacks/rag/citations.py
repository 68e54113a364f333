"""Which documents an answer cites, when it cites them by number or by name in one of the customary marks.

A mark is `[…]`, the target of a link, `【…】`, or what follows `Source:` or `References:`; not in code. It holds,
between commas or semicolons, with or without a label (`doc 3`, `source: foo.md`, `^1`):

- a name: the document's id, or its source, file name, path, URL or title in its metadata, or the last part of a path.
  What several documents are called cites them all. Names come first: if `3` is somebody's id, `[3]` is no number;
- a number or a range of numbers: the place of the document among those given, from 1. Out of range, it is none.

Of a long answer the first and the last 10,000 characters are looked at, and in these a thousand references.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from otel_callbacks.operations import Document
from otel_callbacks.operations.payload import head_and_tail, text

_MAX_ANSWER = 20_000  # characters of its head and tail
_MAX_REFERENCES = 1_000
_MAX_NAME = 4_096

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MARK = re.compile(
    r"""\[([^\[\]\n]{1,200})\]
    | (?<=\])\(([^()\s]{1,400})\)
    | 【([^【】\n]{1,200})】
    | \b(?:sources?|references?|citations?):([^()\[\]【】\n]{1,400})""",
    re.IGNORECASE | re.VERBOSE,
)
_HINTS = "[【:"  # without one of these, an answer has no mark
_BETWEEN = re.compile(r"[,;†]")
_LABEL = re.compile(
    r"(?:source|document|doc|chunk|ref|reference|citation|id)s?(?::\s*|\s+)|\^|#", re.IGNORECASE
)
_NUMBERS = re.compile(r"(\d{1,4})(?:\s*[-–]\s*(\d{1,4}))?")
_NAMES = ("source", "file_name", "filename", "file_path", "path", "url", "title")


def cited(documents: Sequence[Document], answer: str) -> list[bool]:
    """Whether the answer cites each document; `documents` are in the order in which the prompt numbers them."""
    answer = head_and_tail(answer, _MAX_ANSWER)
    if not any(hint in answer for hint in _HINTS):
        return [False] * len(documents)
    names = _names(documents)
    numbered = not any(name.isdigit() for name in names)
    found: set[int] = set()
    for reference in set(islice(_references(_CODE.sub(" ", answer)), _MAX_REFERENCES)):
        known = names.get(reference.casefold())
        if known is not None:
            found |= known
        elif numbered and (numbers := _NUMBERS.fullmatch(reference)):
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            found.update(range(first - 1, min(last, len(documents))))
    return [at in found for at in range(len(documents))]


def _references(answer: str) -> Iterator[str]:
    """What stands in the marks, whole and in its pieces, each with and without its label."""
    for mark in _MARK.finditer(answer):
        inside = next(group for group in mark.groups() if group is not None)
        for piece in {inside, *_BETWEEN.split(inside)}:
            reference = piece.strip(" \t\"'.<>")
            yield reference
            yield _LABEL.sub("", reference, count=1) if _LABEL.match(reference) else reference


def _names(documents: Sequence[Document]) -> Mapping[str, set[int]]:
    """The documents that bear each name."""
    names: dict[str, set[int]] = {}
    for at, document in enumerate(documents):
        given = [document.id, *(document.metadata.get(key) for key in _NAMES)]
        for name in filter(None, map(text, given)):
            if len(name) > _MAX_NAME:
                continue
            for form in {name, name.replace("\\", "/").rstrip("/").rpartition("/")[2]}:
                names.setdefault(form.casefold(), set()).add(at)
    return names
