"""The documents of a trace: those a retriever found, a reranker kept, a prompt contained and an answer cited."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import NamedTuple

from otel_callbacks import limits, semconv
from otel_callbacks.operations import Document, document_keys
from otel_callbacks.rag.citations import cited
from otel_callbacks.rag.in_prompt import in_prompt, token_share
from otel_callbacks.rag.kept_documents import KeptDocuments, SearchResult

Attributes = dict[str, str | int | float | Sequence[str]]

DocumentCounts = Mapping[tuple[str, str | None], int]
"""How many documents an operation adds to a metric, by the metric and the data source (None: not known)."""

_ID = attrgetter("id")  # of a document
_LONG_ENOUGH = 40  # characters that do not stand in a prompt by chance


class InPromptDocuments(NamedTuple):
    """The documents that are in one prompt, and what part of its tokens they make, from 0 to 1."""

    documents: Sequence[Document]
    token_share: float


class TraceDocuments:
    """The documents of a trace. Its outermost run holds them until it ends.

    A retrieval holds what the retrievers and rerankers inside it return, until it returns its own documents.

    Attributes:
        found: how many documents the retrievers found, by data source; None for those whose source is not known.
        kept: how many the rerankers kept; None without a reranker. Of rerankers in a row the last one counts.
        in_prompt: the names of the documents that were in a prompt; a dictionary, for its order.
        cited: the names of those that an answer cited.
    """

    kept: int | None = None

    def __init__(self) -> None:
        self.found: dict[str | None, int] = {}
        self.in_prompt: dict[str, None] = {}
        self.cited: dict[str, None] = {}
        self._ranks: dict[int, int] = {}  # of those without an id, by the hash of the text
        self._kept = KeptDocuments()

    @property
    def retrieved(self) -> int:
        """How many documents the retrievers found."""
        return sum(self.found.values())

    def add_retrieved(
        self,
        documents: Sequence[Document],
        unread: int = 0,
        inside: "TraceDocuments | None" = None,
        source: str | None = None,
    ) -> DocumentCounts:
        """Adds the documents that a retriever found; returns how many.

        Args:
            documents: those that were read.
            unread: how many more there are.
            inside: what the retrievers and rerankers inside it returned. Only what the outermost returns counts.
            source: the data source; by default the one of the retrievers inside, if they all have the same.
        """
        if source is None and inside is not None:
            source = inside._only_source
        if None in map(_ID, documents):
            for rank, document in enumerate(documents, self.retrieved + 1):
                if document.id is None:
                    self._ranks.setdefault(hash(document.content), rank)
        number = len(documents) + unread
        self._count(source, number)
        if inside is None or inside.kept is None:
            self._add(SearchResult(documents, [False] * len(documents), None, source))
        else:
            reranked = [inside.is_reranked(document) for document in documents]
            self._add(SearchResult(documents, reranked, sum(reranked), source))
        return {(semconv.METRIC_RAG_DOCUMENTS, source): number}

    def add_reranked(
        self, documents: Sequence[Document], unread: int = 0, candidates: Sequence[Document] | None = None
    ) -> None:
        """Adds the documents that a reranker kept; `unread` is how many more there are.

        From now on, the others among the candidates count only if a prompt has them unchanged.
        """
        for result in self._sources(candidates or documents):
            if not result.superseded and result.kept:
                self.kept = (self.kept or 0) - result.kept
            result.superseded = True
        self._add(SearchResult(documents, [True] * len(documents), len(documents) + unread))

    def add_inside(self, inside: "TraceDocuments") -> DocumentCounts:
        """Adds what was returned inside a retrieval whose own documents are unknown; returns how many."""
        for key, rank in inside._ranks.items():
            self._ranks.setdefault(key, self.retrieved + rank)
        for source, number in inside.found.items():
            self._count(source, number)
        if inside.kept is not None:
            self.kept = (self.kept or 0) + inside.kept
        for result in inside._kept.results:
            self._kept.add(result)
        return _counts(semconv.METRIC_RAG_DOCUMENTS, inside.found)

    def is_reranked(self, document: Document) -> bool:
        """Tells whether the newest document that equals this one has been through a reranker."""
        keys = document_keys(document)
        for result in reversed(self._kept.results):
            if (at := result.place(keys)) is not None:
                return result.reranked[at]
        return False

    def _count(self, source: str | None, number: int) -> None:
        self.found[source] = self.found.get(source, 0) + number

    def _add(self, result: SearchResult) -> None:
        if result.kept is not None:
            self.kept = (self.kept or 0) + result.kept
        self._kept.add(result)

    def _sources(self, candidates: Sequence[Document]) -> Sequence[SearchResult]:
        """Returns the results that a reranker chose from: the newest with all candidates, else the newest with each."""
        left = [document_keys(document) for document in candidates[: limits.TRACE_DOCUMENTS]]
        newest_first = self._kept.results[::-1]
        for result in newest_first if left else ():
            if all(result.place(keys) is not None for keys in left):
                return (result,)
        sources = []
        for result in newest_first:
            others = [keys for keys in left if result.place(keys) is None]
            if len(others) < len(left):
                sources.append(result)
            left = others
        return sources

    def find_in(self, prompt: str) -> InPromptDocuments:
        """Finds the documents that are in a prompt."""
        may_be_there = self._kept.that_may_be_in(prompt)
        sought = [each for result, each in may_be_there if not result.superseded]
        shares = in_prompt(sought, prompt)
        found = list(compress(sought, shares))
        share = token_share(sought, shares, prompt)
        if len(sought) < len(may_be_there):
            superseded = [each for result, each in may_be_there if result.superseded]
            found += _unchanged(superseded, sought, prompt)
        return InPromptDocuments(found, share)

    def add_model_call(self, found: InPromptDocuments, answer: str) -> tuple[Attributes, DocumentCounts]:
        """Adds the documents that a model call had in its prompt and cited.

        Returns:
            The attributes of its span, and the documents that no call of the trace had, or cited, before.
        """
        named = list(zip(self._names(found.documents), found.documents, strict=True))
        cited_ones = list(compress(named, cited(found.documents, answer)))
        first_time = self._note(semconv.METRIC_RAG_DOCUMENTS_IN_PROMPT, named, self.in_prompt)
        names = list(dict(named))
        attributes: Attributes = {semconv.RAG_DOCUMENTS_IN_PROMPT: len(names)}
        if names:
            attributes[semconv.RAG_PROMPT_DOCUMENTS] = names
            attributes[semconv.RAG_CONTEXT_TOKEN_SHARE] = found.token_share
        if cited_ones:
            first_time |= self._note(semconv.METRIC_RAG_DOCUMENTS_CITED, cited_ones, self.cited)
            cited_names = list(dict(cited_ones))
            attributes[semconv.RAG_DOCUMENTS_CITED] = len(cited_names)
            attributes[semconv.RAG_CITED_DOCUMENTS] = cited_names
        return attributes, first_time

    def _note(
        self, metric: str, named: Sequence[tuple[str, Document]], known: dict[str, None]
    ) -> dict[tuple[str, str | None], int]:
        """Adds names to those that are known; returns how many are new, by metric and data source."""
        new = dict(named)
        for name in known.keys() & new.keys():
            del new[name]
        known.update(dict.fromkeys(new))
        if len(self.found) == 1:
            return {(metric, self._only_source): len(new)} if new else {}
        return _counts(metric, Counter(map(self._source_of, new.values())))

    @property
    def _only_source(self) -> str | None:
        """The data source of all documents; None if there are several, or if it is not known."""
        return next(iter(self.found)) if len(self.found) == 1 else None

    def _source_of(self, document: Document) -> str | None:
        keys = document_keys(document)
        sources = (each.source for each in reversed(self._kept.results) if each.place(keys) is not None)
        return next(filter(None, sources), None)

    def _names(self, documents: Sequence[Document]) -> list[str]:
        """Returns the documents' ids; for documents without an id, their ranks among those that were retrieved."""
        ids = list(map(_ID, documents))
        if None not in ids:
            return ids
        ranks = self._ranks
        return [
            f"#{ranks.get(hash(each.content), '?')}" if each.id is None else each.id for each in documents
        ]

    def root_attributes(self) -> Attributes:
        """Returns the attributes of the outermost span: how many documents were found, kept, in a prompt, and cited."""
        attributes: Attributes = {semconv.RAG_RESULTS_COUNT: self.retrieved}
        if self.kept is not None:
            attributes[semconv.RAG_RERANKED_COUNT] = self.kept
        attributes[semconv.RAG_DOCUMENTS_IN_PROMPT] = len(self.in_prompt)
        attributes[semconv.RAG_DOCUMENTS_CITED] = len(self.cited)
        if self.in_prompt:
            attributes[semconv.RAG_PROMPT_DOCUMENTS] = list(self.in_prompt)
        if self.cited:
            attributes[semconv.RAG_CITED_DOCUMENTS] = list(self.cited)
        return attributes


def _counts(metric: str, by_source: Mapping[str | None, int]) -> dict[tuple[str, str | None], int]:
    return {(metric, source): number for source, number in by_source.items()}


def _unchanged(dropped: Sequence[Document], sought: Sequence[Document], prompt: str) -> list[Document]:
    """Returns the documents that a reranker dropped and that are in the prompt nevertheless, unchanged."""
    known = {(each.id, each.content) for each in sought}
    found: list[Document] = []
    for each in dropped:
        text = (each.content or "").strip()
        if len(text) >= _LONG_ENOUGH and (each.id, each.content) not in known and text in prompt:
            known.add((each.id, each.content))
            found.append(each)
    return found
