"""The documents of a trace that prompts are searched for: the newest ones, as many as the bounds allow."""

from collections.abc import Sequence
from itertools import repeat

from otel_callbacks import limits
from otel_callbacks.operations import Document, document_keys
from otel_callbacks.rag.document_index import DocumentIndex

_BEGINNING = 40  # characters that do not stand in a prompt by chance


class SearchResult:
    """What one retriever found, or one reranker kept.

    Attributes:
        documents: those of them that are searched for in prompts.
        numbers: the number of each of these in the trace.
        reranked: for each of these, whether it has been through a reranker.
        kept: how many have been through a reranker, in all; None if no reranker was involved.
        source: the data source that all of these come from; None if it is not known, or a reranker kept them.
        superseded: a later reranker chose among these documents.
    """

    __slots__ = ("_places", "documents", "kept", "numbers", "reranked", "source", "superseded")

    def __init__(
        self,
        documents: Sequence[Document],
        reranked: Sequence[bool],
        kept: int | None,
        source: str | None = None,
    ) -> None:
        self.documents = documents
        self.source = source
        self.numbers: Sequence[int] = ()
        self.reranked = reranked
        self.kept = kept
        self.superseded = False
        self._places: dict[object, int] | None = None

    def place(self, keys: Sequence[object]) -> int | None:
        """Returns the place of the document that has one of these keys; None if it is not here."""
        if self._places is None:  # only rerankers ask for it
            self._places = {}
            for at, document in enumerate(self.documents):
                for key in document_keys(document):
                    self._places.setdefault(key, at)
        return next((self._places[key] for key in keys if key in self._places), None)

    def leave_first(self, number: int) -> None:
        """Forgets the other documents."""
        self.documents, self.numbers = self.documents[:number], self.numbers[:number]
        self.reranked = self.reranked[:number]
        self._places = None

    def leave_short(self, sizes: Sequence[int]) -> list[int]:
        """Forgets documents that are too long to be kept; returns the sizes of the others."""
        kept = [at for at, size in enumerate(sizes) if size <= limits.TRACE_DOCUMENT_CHARACTERS]
        self.documents = [self.documents[at] for at in kept]
        self.reranked = [self.reranked[at] for at in kept]
        _log_forgotten()
        return [sizes[at] for at in kept]


class KeptDocuments:
    """The documents of a trace that prompts are searched for, numbered from 1.

    Attributes:
        results: what the retrievers found and the rerankers kept, the oldest first.
    """

    _characters = 0
    _newest = 0  # the number of the newest document,
    _searched = 0  # of the newest one that a prompt was searched for,
    _indexed = 0  # and of the newest one that is in the index

    def __init__(self) -> None:
        self.results: list[SearchResult] = []
        self._documents: dict[int, tuple[SearchResult, Document]] = {}
        self._index = DocumentIndex()

    def add(self, result: SearchResult) -> None:
        """Adds the documents of a result, and forgets the oldest documents if there are too many."""
        sizes = [len(each.content or "") for each in result.documents]
        if sizes and max(sizes) > limits.TRACE_DOCUMENT_CHARACTERS:
            sizes = result.leave_short(sizes)
        if not sizes:
            return
        result.numbers = range(self._newest + 1, self._newest + 1 + len(sizes))
        self._documents.update(
            zip(result.numbers, zip(repeat(result), result.documents, strict=False), strict=True)
        )
        self._characters += sum(sizes)
        self._newest += len(sizes)
        self.results.append(result)
        while self._are_too_many():
            self._forget_oldest()
        if self._searched and len(self._documents) > limits.TRACE_DOCUMENTS_COMPARED:
            self._add_to_index()

    def _are_too_many(self) -> bool:
        return (
            len(self._documents) > limits.TRACE_DOCUMENTS
            or self._characters > limits.TRACE_DOCUMENT_CHARACTERS
        )

    def _forget_oldest(self) -> None:
        """Forgets as many of the oldest result's last documents as are too many: earlier prompts were searched."""
        oldest = self.results[0]
        left = len(oldest.documents)
        while left and self._are_too_many():
            left -= 1
            _, document = self._documents.pop(oldest.numbers[left])
            self._characters -= len(document.content or "")
        oldest.leave_first(left)
        if not left:
            del self.results[0]
        _log_forgotten()

    def _add_to_index(self) -> None:
        for number in range(self._indexed + 1, self._newest + 1):
            if number in self._documents:
                self._index.add(number, self._documents[number][1])
        self._indexed = self._newest
        self._index.forget_before(self.results[0].numbers[0])

    def that_may_be_in(self, prompt: str) -> Sequence[tuple[SearchResult, Document]]:
        """Returns the documents with which a prompt is compared, the oldest first: the new ones, and what it may have.

        All of them if there are few, or if the prompt is so long that the index cannot tell.
        """
        known = min(self._searched, self._indexed)
        self._searched = self._newest
        indexed = self._index.find(prompt) if known else None
        if indexed is None:
            return list(self._documents.values())
        numbers = set(range(known + 1, self._newest + 1))
        for equal in indexed:
            numbers.update(equal if len(equal) == 1 else equal[-self._copies_in(prompt, equal[-1]) :])
        return list(filter(None, map(self._documents.get, sorted(numbers))))

    def _copies_in(self, prompt: str, number: int) -> int:
        """Returns how often a document may be in a prompt: as often as its beginning is there, at least once."""
        _, document = self._documents.get(number, (None, None))
        beginning = (document.content or "").strip()[:_BEGINNING] if document else ""
        return max(1, prompt.count(beginning)) if beginning else 1


def _log_forgotten() -> None:
    limits.log_reached("TRACE_DOCUMENTS", "some documents of a trace are not searched for in later prompts")
