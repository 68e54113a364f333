"""The documents of a trace: those a retriever found, a reranker kept, a prompt contained and an answer cited."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_callbacks import limits, semconv
from otel_callbacks.operations import Document, document_keys
from otel_callbacks.rag.citations import cited
from otel_callbacks.rag.in_prompt import in_prompt, token_share
from otel_callbacks.rag.kept_documents import KeptDocuments, SearchResult

Attributes = dict[str, str | int | float | Sequence[str]]

_LONG_ENOUGH = 40  # characters that do not stand in a prompt by chance


class InPromptDocuments(NamedTuple):
    """The documents that are in one prompt, and what part of its tokens they make, from 0 to 1."""

    documents: Sequence[Document]
    token_share: float


@dataclass(slots=True)
class TraceDocuments:
    """The documents of a trace. Its outermost run holds them until it ends.

    A retrieval holds what the retrievers and rerankers inside it return, until it returns its own documents.

    Attributes:
        retrieved: how many documents the retrievers found.
        kept: how many the rerankers kept; None without a reranker. Of rerankers in a row the last one counts.
        in_prompt: the names of the documents that were in a prompt; a dictionary, for its order.
        cited: the names of those that an answer cited.
    """

    retrieved: int = 0
    kept: int | None = None
    in_prompt: dict[str, None] = field(default_factory=dict)
    cited: dict[str, None] = field(default_factory=dict)
    _ranks: dict[int, int] = field(default_factory=dict)  # of those without an id, by the hash of the text
    _kept: KeptDocuments = field(default_factory=KeptDocuments)

    def add_retrieved(
        self, documents: Sequence[Document], unread: int = 0, inside: "TraceDocuments | None" = None
    ) -> None:
        """Adds the documents that a retriever found.

        Args:
            documents: those that were read.
            unread: how many more there are.
            inside: what the retrievers and rerankers inside it returned. Only what the outermost returns counts.
        """
        for rank, document in enumerate(documents, self.retrieved + 1):
            if document.id is None:
                self._ranks.setdefault(hash(document.content), rank)
        self.retrieved += len(documents) + unread
        if inside is None or inside.kept is None:
            self._add(SearchResult(documents, [False] * len(documents), None))
        else:
            reranked = [inside.is_reranked(document) for document in documents]
            self._add(SearchResult(documents, reranked, sum(reranked)))

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

    def add_inside(self, inside: "TraceDocuments") -> None:
        """Adds what was returned inside a retrieval whose own documents are unknown."""
        for key, rank in inside._ranks.items():
            self._ranks.setdefault(key, self.retrieved + rank)
        self.retrieved += inside.retrieved
        if inside.kept is not None:
            self.kept = (self.kept or 0) + inside.kept
        for result in inside._kept.results:
            self._kept.add(result)

    def is_reranked(self, document: Document) -> bool:
        """Tells whether the newest document that equals this one has been through a reranker."""
        keys = document_keys(document)
        for result in reversed(self._kept.results):
            if (at := result.place(keys)) is not None:
                return result.reranked[at]
        return False

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
        found = [each for each, share in zip(sought, shares, strict=True) if share]
        share = token_share(sought, shares, prompt)
        if len(sought) < len(may_be_there):
            superseded = [each for result, each in may_be_there if result.superseded]
            found += _unchanged(superseded, sought, prompt)
        return InPromptDocuments(found, share)

    def add_model_call(self, found: InPromptDocuments, answer: str) -> Attributes:
        """Adds the documents that a model call had in its prompt and cited; returns the attributes of its span."""
        names = self._names(found.documents)
        are_cited = cited(found.documents, answer)
        cited_names = [name for name, is_cited in zip(names, are_cited, strict=True) if is_cited]
        names, cited_names = list(dict.fromkeys(names)), list(dict.fromkeys(cited_names))
        self.in_prompt.update(dict.fromkeys(names))
        self.cited.update(dict.fromkeys(cited_names))
        attributes: Attributes = {semconv.RAG_DOCUMENTS_IN_PROMPT: len(names)}
        if names:
            attributes[semconv.RAG_PROMPT_DOCUMENTS] = names
            attributes[semconv.RAG_CONTEXT_TOKEN_SHARE] = found.token_share
        if cited_names:
            attributes[semconv.RAG_DOCUMENTS_CITED] = len(cited_names)
            attributes[semconv.RAG_CITED_DOCUMENTS] = cited_names
        return attributes

    def _names(self, documents: Sequence[Document]) -> list[str]:
        """Returns the documents' ids; for documents without an id, their ranks among those that were retrieved."""
        if all(each.id is not None for each in documents):
            return [each.id or "" for each in documents]
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
