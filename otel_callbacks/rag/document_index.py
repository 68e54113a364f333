"""Tells quickly which of many documents may be in a prompt, so that only these are compared with it.

A document that stands in a prompt, altered or not, has some words in a row in common with it. The index knows the rows
of the documents. It consists of parts; the oldest goes as a whole once all its documents are forgotten.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.rag.in_prompt import every_word, first_and_last_words, rows_of

_FEW_WORDS = (
    8  # those at both ends of a text may stand together with others; of so few words, no row may be left
)


class DocumentIndex:
    """The rows of words of documents, which are added in the order of their numbers."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def add(self, number: int, document: Document) -> None:
        """Adds a document."""
        if not self._parts or self._parts[-1].documents >= limits.DOCUMENTS_PER_INDEX_PART:
            self._parts.append(_Part())
        self._parts[-1].add(number, document)

    def forget_before(self, number: int) -> None:
        """Forgets the parts whose documents all have smaller numbers."""
        while self._parts and self._parts[0].last < number:
            del self._parts[0]

    def find(self, prompt: str) -> Iterable[Sequence[int]] | None:
        """Returns the documents that may be in a prompt, equal ones together; None if it is too long to tell."""
        words = every_word(prompt)
        if words is None:
            return None
        rows = rows_of(words)
        return chain.from_iterable(part.find(rows) for part in tuple(self._parts))


class _Part:
    """The rows of some documents. Of documents with the same id and text, the first stands for all."""

    def __init__(self) -> None:
        self.documents = 0
        self.last = 0
        self._by_row: dict[int, tuple[int, ...]] = {}
        self._always: set[int] = set()  # with so few words that they may be in any prompt
        self._first: dict[int, int] = {}  # by the hash of id and text
        self._equal: dict[int, list[int]] = {}  # by the first

    def add(self, number: int, document: Document) -> None:
        self.documents += 1
        self.last = number
        first = self._first.setdefault(hash((document.id, document.content)), number)
        self._equal.setdefault(first, []).append(number)
        if first != number:
            return
        words = first_and_last_words(document.content or "")
        if len(words) < _FEW_WORDS:
            self._always.add(number)
            return
        rows = rows_of(words)
        known = self._by_row.keys() & rows
        self._by_row.update(dict.fromkeys(rows - known, (number,)))
        for row in known:
            self._by_row[row] += (number,)

    def find(self, rows: set[int]) -> list[list[int]]:
        hits = map(self._by_row.__getitem__, self._by_row.keys() & rows)
        return [self._equal[first] for first in self._always.union(*hits)]
