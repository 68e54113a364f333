"""The documents of a trace: those a retriever found, a reranker kept, a prompt contained and an answer cited."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_callbacks import limits, semconv
from otel_callbacks.operations import Document, document_keys
from otel_callbacks.rag.citations import cited
from otel_callbacks.rag.document_index import DocumentIndex
from otel_callbacks.rag.in_prompt import in_prompt, token_share

Attributes = dict[str, str | int | float | Sequence[str]]

_LONG_ENOUGH = 40  # characters that do not stand in a prompt by chance


class InPromptDocuments(NamedTuple):
    """The documents that are in one prompt, and what part of its tokens they make, from 0 to 1."""

    documents: Sequence[Document]
    token_share: float


class _Result:
    """What one retriever found, or one reranker kept.

    Attributes:
        documents: those of them that are searched for in prompts.
        numbers: the number of each of these in the trace.
        reranked: for each of these, whether it has been through a reranker.
        kept: how many have been through a reranker, in all; None if no reranker was involved.
        superseded: a later reranker chose among these documents.
    """

    __slots__ = ("_places", "documents", "kept", "numbers", "reranked", "superseded")

    def __init__(self, documents: Sequence[Document], reranked: Sequence[bool], kept: int | None) -> None:
        self.documents = documents
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

    def leave_out_longest(self) -> None:
        """Forgets documents that are too long to be kept."""
        most = limits.TRACE_DOCUMENT_CHARACTERS
        if any(len(each.content or "") > most for each in self.documents):
            kept = [at for at, each in enumerate(self.documents) if len(each.content or "") <= most]
            self.documents = [self.documents[at] for at in kept]
            self.reranked = [self.reranked[at] for at in kept]
            _log_forgotten()


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
    _results: list[_Result] = field(default_factory=list)
    _ranks: dict[int, int] = field(
        default_factory=dict
    )  # of documents without an id, by the hash of the text
    _documents: dict[int, tuple[_Result, Document]] = field(
        default_factory=dict
    )  # by number, the oldest first
    _characters: int = 0  # of these documents
    _newest: int = (
        0  # the number of the newest document; that of the newest when a prompt was searched last, and
    )
    _searched: int = 0
    _indexed: int = 0  # of the newest one that is in the index
    _index: DocumentIndex = field(default_factory=DocumentIndex)

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
            self._add(_Result(documents, [False] * len(documents), None))
        else:
            reranked = [inside.is_reranked(document) for document in documents]
            self._add(_Result(documents, reranked, sum(reranked)))

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
        self._add(_Result(documents, [True] * len(documents), len(documents) + unread))

    def add_inside(self, inside: "TraceDocuments") -> None:
        """Adds what was returned inside a retrieval whose own documents are unknown."""
        for key, rank in inside._ranks.items():
            self._ranks.setdefault(key, self.retrieved + rank)
        self.retrieved += inside.retrieved
        if inside.kept is not None:
            self.kept = (self.kept or 0) + inside.kept
        for result in inside._results:
            self._append(result)

    def is_reranked(self, document: Document) -> bool:
        """Tells whether the newest document that equals this one has been through a reranker."""
        keys = document_keys(document)
        for result in reversed(self._results):
            if (at := result.place(keys)) is not None:
                return result.reranked[at]
        return False

    def _add(self, result: _Result) -> None:
        if result.kept is not None:
            self.kept = (self.kept or 0) + result.kept
        self._append(result)

    def _sources(self, candidates: Sequence[Document]) -> Sequence[_Result]:
        """Returns the results that a reranker chose from: the newest with all candidates, else the newest with each."""
        left = [document_keys(document) for document in candidates[: limits.TRACE_DOCUMENTS]]
        newest_first = self._results[::-1]
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

    def _append(self, result: _Result) -> None:
        """Adds the documents of a result to those that prompts are searched for."""
        result.leave_out_longest()
        if not result.documents:
            return
        result.numbers = range(self._newest + 1, self._newest + 1 + len(result.documents))
        self._documents |= {
            number: (result, each) for number, each in zip(result.numbers, result.documents, strict=True)
        }
        self._newest += len(result.documents)
        self._characters += sum(len(each.content or "") for each in result.documents)
        self._results.append(result)
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
        oldest = self._results[0]
        left = len(oldest.documents)
        while left and self._are_too_many():
            left -= 1
            _, document = self._documents.pop(oldest.numbers[left])
            self._characters -= len(document.content or "")
        oldest.leave_first(left)
        if not left:
            del self._results[0]
        _log_forgotten()

    def _add_to_index(self) -> None:
        for number in range(self._indexed + 1, self._newest + 1):
            if number in self._documents:
                self._index.add(number, self._documents[number][1])
        self._indexed = self._newest
        self._index.forget_before(self._results[0].numbers[0])

    def find_in(self, prompt: str) -> InPromptDocuments:
        """Finds the documents that are in a prompt."""
        may_be_there = self._may_be_in(prompt)
        sought = [each for result, each in may_be_there if not result.superseded]
        shares = in_prompt(sought, prompt)
        found = [each for each, share in zip(sought, shares, strict=True) if share]
        share = token_share(sought, shares, prompt)
        superseded = [each for result, each in may_be_there if result.superseded]
        return InPromptDocuments(found + _unchanged(superseded, sought, prompt), share)

    def _may_be_in(self, prompt: str) -> Sequence[tuple[_Result, Document]]:
        """Returns the documents with which a prompt is compared, the oldest first."""
        compared = min(self._searched, self._indexed)
        self._searched = self._newest
        indexed = self._index.find(prompt) if compared else None
        if indexed is None:
            return list(self._documents.values())
        numbers = set(range(compared + 1, self._newest + 1))
        for equal in indexed:
            numbers.update(equal if len(equal) == 1 else equal[-self._copies_in(prompt, equal[-1]) :])
        return list(filter(None, map(self._documents.get, sorted(numbers))))

    def _copies_in(self, prompt: str, number: int) -> int:
        """Returns how often a document may be in a prompt: as often as its beginning is there, at least once."""
        document = self._documents.get(number)
        beginning = (document[1].content or "").strip()[:_LONG_ENOUGH] if document else ""
        return max(1, prompt.count(beginning)) if beginning else 1

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
    known = {(each.id, each.content) for each in sought} if dropped else set()
    found: list[Document] = []
    for each in dropped:
        text = (each.content or "").strip()
        if len(text) >= _LONG_ENOUGH and (each.id, each.content) not in known and text in prompt:
            known.add((each.id, each.content))
            found.append(each)
    return found


def _log_forgotten() -> None:
    limits.log_reached("TRACE_DOCUMENTS", "some documents of a trace are not searched for in later prompts")
