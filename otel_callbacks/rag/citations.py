"""Which documents an answer cites, by number or by name, in one of the customary marks.

A mark is `[…]`, the target of a link, `【…】`, or what follows `Source:` or `References:`. Marks in code do not count.
A mark holds references between commas or semicolons, with or without a label (`doc 3`, `source: foo.md`, `^1`):

- A name is a document's id, or the source, file name, path, URL or title in its metadata, or the last part of a path. A
  name that several documents share cites them all. Names come first: if `3` is a document's id, `[3]` is no number.
- A number, or a range of numbers, counts the documents from 1. A number out of range cites nothing.

Only the first and the last 10,000 characters of a long answer are searched, and in them the first 1,000 references.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.operations.payload import head_and_tail, text

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MARK = re.compile(
    r"""\[([^\[\]\n]{1,200})\]
    | (?<=\])\(([^()\s]{1,400})\)
    | 【([^【】\n]{1,200})】
    | \b(?:sources?|references?|citations?):([^()\[\]【】\n]{1,400})""",
    re.IGNORECASE | re.VERBOSE,
)
_BETWEEN = re.compile(r"[,;†]")
_LABEL = re.compile(
    r"(?:source|document|doc|chunk|ref|reference|citation|id)s?(?::\s*|\s+)|\^|#", re.IGNORECASE
)
_NUMBERS = re.compile(r"(\d{1,4})(?:\s*[-–]\s*(\d{1,4}))?")
_NAMES = ("source", "file_name", "filename", "file_path", "path", "url", "title")


def cited(documents: Sequence[Document], answer: str) -> list[bool]:
    """Tells of each document whether the answer cites it.

    Args:
        documents: in the order in which the prompt numbers them.
        answer: the text of the answer.
    """
    answer = head_and_tail(answer, limits.ANSWER_CHARACTERS_SEARCHED)
    if "[" not in answer and "【" not in answer and ":" not in answer:  # it has no mark
        return [False] * len(documents)
    names = _names(documents)
    numbered = not any(name.isdigit() for name in names)
    found: set[int] = set()
    for reference in set(islice(_references(_CODE.sub(" ", answer)), limits.ANSWER_REFERENCES_READ)):
        known = names.get(reference.casefold())
        if known is not None:
            found |= known
        elif numbered and (numbers := _NUMBERS.fullmatch(reference)):
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            found.update(range(first - 1, min(last, len(documents))))
    return [at in found for at in range(len(documents))]


def _references(answer: str) -> Iterator[str]:
    """Yields what stands in the marks, whole and in pieces, each with and without its label."""
    for mark in _MARK.finditer(answer):
        inside = next(group for group in mark.groups() if group is not None)
        for piece in {inside, *_BETWEEN.split(inside)}:
            reference = piece.strip(" \t\"'.<>")
            yield reference
            yield _LABEL.sub("", reference, count=1) if _LABEL.match(reference) else reference


def _names(documents: Sequence[Document]) -> Mapping[str, set[int]]:
    """Returns the numbers of the documents, from 0, by each name that they have."""
    names: dict[str, set[int]] = {}
    for at, document in enumerate(documents):
        found = [document.id, *(document.metadata.get(key) for key in _NAMES)]
        for name in filter(None, map(text, found)):
            if len(name) > limits.DOCUMENT_NAME_CHARACTERS:
                continue
            for form in {name, name.replace("\\", "/").rstrip("/").rpartition("/")[2]}:
                names.setdefault(form.casefold(), set()).add(at)
    return names
