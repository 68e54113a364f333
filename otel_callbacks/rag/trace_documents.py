"""The documents of a trace: those a retriever found, a reranker kept, a prompt contained and an answer cited."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_callbacks import limits, semconv
from otel_callbacks.operations import Document
from otel_callbacks.rag.citations import cited
from otel_callbacks.rag.in_prompt import in_prompt, token_share

Attributes = dict[str, str | int | float | Sequence[str]]

_LONG_ENOUGH = 40  # characters that do not stand in a prompt by chance


class InPromptDocuments(NamedTuple):
    """The documents that are in one prompt, and what part of its tokens they make, from 0 to 1."""

    documents: Sequence[Document]
    token_share: float


@dataclass(slots=True)
class TraceDocuments:
    """The documents of a trace. Its outermost run holds them until it ends.

    Attributes:
        retrieved: how many documents the retrievers found.
        kept: how many the rerankers kept; None without a reranker.
        in_prompt: the names of the documents that were in a prompt; a dictionary, for its order.
        cited: the names of those that an answer cited.
    """

    retrieved: int = 0
    kept: int | None = None
    in_prompt: dict[str, None] = field(default_factory=dict)
    cited: dict[str, None] = field(default_factory=dict)
    _documents: list[Document] = field(default_factory=list)
    _reranked: list[Document] | None = None
    _characters: int = 0

    def add_retrieved(self, documents: Sequence[Document]) -> None:
        """Adds the documents that a retriever found, as long as there is room."""
        self.retrieved += len(documents)
        self._documents += self._that_fit(documents, self._documents)

    def add_reranked(self, documents: Sequence[Document]) -> None:
        """Adds the documents that a reranker kept. From now on the others count only if a prompt has them unchanged."""
        self.kept = (self.kept or 0) + len(documents)
        self._reranked = self._reranked or []
        self._reranked += self._that_fit(documents, self._reranked)

    def _that_fit(self, documents: Sequence[Document], known: Sequence[Document]) -> list[Document]:
        fitting: list[Document] = []
        for document in documents[: limits.TRACE_DOCUMENTS - len(known)]:
            self._characters += len(document.content or "")
            if self._characters > limits.TRACE_DOCUMENT_CHARACTERS:
                break
            fitting.append(document)
        if len(fitting) < len(documents):
            limits.log_reached(
                "TRACE_DOCUMENTS", "further documents of a trace are not searched for in prompts"
            )
        return fitting

    def find_in(self, prompt: str) -> InPromptDocuments:
        """Finds the documents that are in a prompt."""
        sought = self._documents if self._reranked is None else self._reranked
        shares = in_prompt(sought, prompt)
        found = [each for each, share in zip(sought, shares, strict=True) if share]
        share = token_share(sought, shares, prompt)
        if self._reranked is not None:
            found += self._dropped_by_reranker(prompt)
        return InPromptDocuments(found, share)

    def _dropped_by_reranker(self, prompt: str) -> list[Document]:
        """Returns the documents that the reranker dropped and that are in the prompt nevertheless, unchanged."""
        kept = {(each.id, each.content) for each in self._reranked or ()}
        others = ((each, (each.content or "").strip()) for each in self._documents)
        return [
            each
            for each, text in others
            if len(text) >= _LONG_ENOUGH and (each.id, each.content) not in kept and text in prompt
        ]

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
        ranks = {each.content: rank for rank, each in reversed([*enumerate(self._documents, 1)])}
        return [f"#{ranks.get(each.content, '?')}" if each.id is None else each.id for each in documents]

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
