"""Translates calls of LangChain's retrievers, vector stores, embedding models and rerankers into operations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any

from langchain_core.documents import Document as LangChainDocument
from pydantic import BaseModel

from otel_callbacks.langchain.inference import MODEL_KEYS, URL_KEYS, first_attribute
from otel_callbacks.limits import COMPONENT_CLASSES_CACHED, DOCUMENTS_READ, first
from otel_callbacks.operations import (
    Document,
    Embedding,
    Operation,
    Rerank,
    Retrieval,
    ScoreKind,
    Usage,
    providers,
    without_retriever_scores,
)
from otel_callbacks.operations.payload import (
    attribute,
    integer,
    is_a,
    is_list,
    items,
    mapping,
    mapping_or_fields,
    name,
    number,
    word,
)
from otel_callbacks.runtime.faults import guarded

Scored = tuple[LangChainDocument, float, ScoreKind | None]
ScoreOf = Callable[[LangChainDocument, str | None, Mapping[str, Any]], tuple[float | None, ScoreKind | None]]
"""Returns the score of a document with this id and metadata, and what it measures."""

_COLLECTION_KEYS = ("_collection_name", "collection_name", "index_name")
_RETRIEVER_FIELDS = ("vectorstore", "search_kwargs", "k")
_PYDANTIC_LOOKUP = getattr(BaseModel, "__getattr__", None)
_FIELDS = ("id", "page_content", "metadata")
_read_fields = attrgetter(*_FIELDS)
_NO_PROVIDERS = {"langchain_core", "langchain_community", "langchain_classic", "langchain_tests"}


# --- retrievers and vector stores --------------------------------------------------------------------------------


def start_retrieval(metadata: Mapping[str, Any], retriever: Any) -> Retrieval:
    """Returns the operation of a retriever that starts.

    The provider is the class of the vector store, which LangChain reports. The data source is the name of the store's
    collection or index.
    """
    read = _reader_of(retriever)
    store = read("vectorstore")
    arguments = mapping_or_fields(read("search_kwargs"))
    return Retrieval(
        name=first_attribute(store, _COLLECTION_KEYS),
        provider=word(metadata.get("ls_vector_store_provider")),
        top_k=integer(arguments.get("k")) or integer(read("k")),
        embedding_model=word(metadata.get("ls_embedding_model")) or _embedding_model(store),
    )


def _reader_of(retriever: Any) -> Callable[[str], Any]:
    """Returns a function that returns attributes of a retriever; None for those that it does not have.

    Pydantic takes long to say that a field is missing, so the fields of its models are looked up without it.
    """
    kind: type = type(retriever)
    return mapping_or_fields(retriever).get if _has_fields_only(kind) else partial(attribute, retriever)


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _has_fields_only(kind: type) -> bool:
    """Tells whether what we read of a retriever of this class is a field of a pydantic model, or missing."""
    return (
        issubclass(kind, BaseModel)
        and not issubclass(kind, Mapping)
        and getattr(kind, "__getattr__", None) is _PYDANTIC_LOOKUP
        and kind.__getattribute__ is object.__getattribute__
        and not any(name in vars(each) for each in kind.__mro__ for name in _RETRIEVER_FIELDS)
    )


def start_search(store: Any, top_k: int | None) -> Retrieval:
    """Returns the operation of a vector store search without a retriever."""
    operation = Retrieval()
    add_store(operation, store, top_k)
    return operation


def add_store(operation: Retrieval, store: Any, top_k: int | None) -> None:
    """Adds what the vector store knows and its retriever does not."""
    operation.top_k = operation.top_k or top_k
    if operation.provider is None:
        operation.provider = type(store).__name__
        operation.name = operation.name or first_attribute(store, _COLLECTION_KEYS)
        operation.embedding_model = operation.embedding_model or _embedding_model(store)


def _embedding_model(store: Any) -> str | None:
    return first_attribute(attribute(store, "embeddings"), MODEL_KEYS)


@guarded
def finish_retrieval(operation: Retrieval, found: Any, above: Operation | None) -> None:
    """Adds the documents to a retrieval, with the store's scores, else with those a retriever left in the metadata.

    If `above` is a retrieval, whose retriever calls this one, it gets the scores, too.
    """
    if not is_list(found):
        return
    returned = first(items(found), DOCUMENTS_READ, "documents of a retrieval")
    operation.unread_documents = len(items(found)) - len(returned)
    known = _KnownScores(operation.store_scores)
    documents, kinds = [], set()
    for each in map(_without_score, returned):
        if each is not None:
            document, kind = _document(each, known.score)
            documents.append(document)
            if document.score is not None:
                kinds.add(kind)
    operation.documents = documents
    operation.score_kind = kinds.pop() if len(kinds) == 1 else None
    if isinstance(above, Retrieval):
        above.store_scores = (*above.store_scores, *operation.store_scores)


def finish_search(operation: Retrieval, result: Any, kind: ScoreKind | None) -> None:
    """Adds the result to the search of a vector store. `kind` is what its scores are."""
    add_scores(operation, result, kind)
    finish_retrieval(operation, result, above=None)


def _without_score(found: Any) -> LangChainDocument | None:
    """Returns the document of a search result, which may be a tuple with a score and a vector."""
    if type(found) is LangChainDocument:  # nearly always
        return found
    if is_a(found, tuple):
        found = next(iter(items(found)), None)
    return found if is_a(found, LangChainDocument) else None


class _KnownScores:
    """Looks up the scores that stores and rerankers returned with documents. The latest score counts."""

    def __init__(self, scored: Sequence[Scored]) -> None:
        self._by_object = {id(document): (score, kind) for document, score, kind in scored}
        self._by_id = {name(attribute(document, "id")): (score, kind) for document, score, kind in scored}
        self._by_id.pop(None, None)

    def score(
        self, document: LangChainDocument, identity: str | None, metadata: Mapping[str, Any]
    ) -> tuple[float | None, ScoreKind | None]:
        """Returns a document's score and the kind of score, else what its metadata has."""
        if self._by_object:
            known = self._by_object.get(id(document)) or self._by_id.get(identity)
            if known is not None:
                return known
        if "relevance_score" in metadata and (relevance := number(metadata["relevance_score"])) is not None:
            return relevance, "relevance"
        score = number(metadata["score"]) if "score" in metadata else None
        if score is None and type(document) is not LangChainDocument:
            score = number(attribute(document, "score"))  # of an integration's own class
        return score, None


@guarded
def add_scores(operation: Retrieval, result: Any, kind: ScoreKind | None) -> None:
    """Keeps the scores that a store returned until the retrieval ends."""
    if is_a(result, list):
        returned = first(items(result), DOCUMENTS_READ, "documents of a retrieval")
        operation.store_scores = (*operation.store_scores, *_scored(returned, kind))


def _scored(result: Sequence[Any], kind: ScoreKind | None) -> Iterator[Scored]:
    for found in result:
        document, score, *_ = (*(items(found) if is_a(found, tuple) else ()), None, None)
        if is_a(document, LangChainDocument) and (known := number(score)) is not None:
            yield document, known, kind


def _document(document: LangChainDocument, score_of: ScoreOf) -> tuple[Document, ScoreKind | None]:
    """Returns a document, and the kind of its score."""
    try:
        identity, content, metadata = _read_fields(document)
    except Exception:  # a field is missing, or the application's own kind of document fails
        identity, content, metadata = (attribute(document, field) for field in _FIELDS)
    identity = word(identity) if type(identity) is str else name(identity)
    metadata = mapping(metadata)
    if type(content) is not str:
        content = str.__str__(content) if is_a(content, str) else None
    score, kind = score_of(document, identity, metadata)
    return Document(identity, score, content, metadata), kind


# --- what a store's scores are -----------------------------------------------------------------------------------


def score_kind(store: Any) -> ScoreKind | None:
    """Returns the kind of score that `similarity_search_with_score` of this store returns; None for an unknown store.

    The table below has what LangChain's integrations document. It applies only where the method is the
    integration's own: a subclass may return something else. Method names and score values are not used to guess.
    """
    method = type(store).similarity_search_with_score
    known = _SCORE_KINDS.get(method.__qualname__.partition(".")[0])
    return known(store) if known is not None and method.__module__.startswith("langchain_") else None


def _faiss_kind(store: Any) -> ScoreKind | None:
    """Reads the metric of the index: FAISS' METRIC_INNER_PRODUCT is 0, METRIC_L2 is 1."""
    kinds: dict[Any, ScoreKind] = {0: "similarity", 1: "distance"}
    return kinds.get(getattr(attribute(store, "index"), "metric_type", None))


def _qdrant_kind(store: Any) -> ScoreKind | None:
    """Reads the metric of the collection; None if sparse vectors are searched, too."""
    if str(getattr(attribute(store, "retrieval_mode"), "value", "")) != "dense":
        return None
    metric = str(getattr(attribute(store, "distance"), "value", "")).lower()
    kinds: dict[str, ScoreKind] = {
        "cosine": "similarity",
        "dot": "similarity",
        "euclid": "distance",
        "manhattan": "distance",
    }
    return kinds.get(metric)


_SCORE_KINDS: dict[str, Callable[[Any], ScoreKind | None]] = {
    "Chroma": lambda store: "distance",
    "FAISS": _faiss_kind,
    "InMemoryVectorStore": lambda store: "similarity",
    "MongoDBAtlasVectorSearch": lambda store: "similarity",
    "PGVector": lambda store: "distance",
    "QdrantVectorStore": _qdrant_kind,
    "RedisVectorStore": lambda store: "distance",
}


# --- embedding models --------------------------------------------------------------------------------------------


def start_embedding(model: Any, count: int | None) -> Embedding:
    """Returns the operation of an embedding call that starts, with `count` texts."""
    provider = _provider_of(model)
    address, port = providers.endpoint(provider, first_attribute(model, URL_KEYS))
    return Embedding(
        name=first_attribute(model, MODEL_KEYS),
        provider=provider,
        integration=type(model).__name__,
        server_address=address,
        server_port=port,
        count=count,
        cached=count == 0,  # nothing is sent
    )


def add_inner_model(operation: Embedding, model: Any) -> None:
    """Adds what an inner embedding model knows and the outer one does not."""
    operation.name = operation.name or first_attribute(model, MODEL_KEYS)
    operation.provider = operation.provider or _provider_of(model)


def _provider_of(component: Any) -> str | None:
    """Returns the provider from the package of the class: `langchain_{provider}`."""
    kind: type = type(component)
    return _provider(kind)


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _provider(kind: type) -> str | None:
    for ancestor in kind.__mro__:
        package = ancestor.__module__.partition(".")[0]
        if package.startswith("langchain_") and package not in _NO_PROVIDERS:
            is_azure = package == "langchain_openai" and "azure" in ancestor.__module__
            return providers.provider_name("azure" if is_azure else package.removeprefix("langchain_"))
    return None


@guarded
def finish_embedding(operation: Embedding, vectors: Any) -> None:
    """Adds the length of the vectors to an embedding call, which returns one vector or a list."""
    first = vectors[0] if isinstance(vectors, Sequence) and len(vectors) else None
    vector = first if hasattr(first, "__len__") else vectors if first is not None else None
    operation.dimension_count = len(vector) if vector is not None else None


@guarded
def add_usage(operation: Embedding | Rerank, response: Any) -> None:
    """Adds what a response of the provider's client reports: tokens, searches. One batch may need several responses."""
    found = providers.layers(response, operation.provider)
    reports = providers.usage_reports_in(found)
    for report in reports:
        if (usage := providers.read_embedding_usage(report)) is not None:
            before = operation.usage.input_tokens if operation.usage is not None else None
            operation.usage = Usage(input_tokens=(before or 0) + (usage.input_tokens or 0))
            break
    billing = providers.read_billing(operation.provider, operation.name, None, [*found, *reports])
    if billing is not None and isinstance(operation, Rerank):
        operation.billing = billing


# --- rerankers ---------------------------------------------------------------------------------------------------


def start_rerank(compressor: Any, candidates: Any, above: Operation | None) -> Rerank:
    """Returns the operation of a reranker that starts. The candidates' scores come from the retrieval `above`."""
    known = _KnownScores(above.store_scores if isinstance(above, Retrieval) else ())
    operation = Rerank(
        name=_rerank_model(compressor),
        provider=_provider_of(compressor),
        top_n=integer(attribute(compressor, "top_n")),
        may_pass_on_scores=True,
    )
    if is_list(candidates):
        read, operation.unread_candidates = _read(candidates)
        operation.candidates = [_document(document, known.score)[0] for document in read]
    return operation


def add_inner_reranker(operation: Rerank, compressor: Any) -> None:
    """Adds what a reranker inside a pipeline knows and the pipeline does not."""
    operation.name = operation.name or _rerank_model(compressor)
    operation.provider = operation.provider or _provider_of(compressor)
    operation.top_n = operation.top_n or integer(attribute(compressor, "top_n"))


def _rerank_model(compressor: Any) -> str | None:
    """Returns the name of the reranker's model, which may be an object of its own."""
    return first_attribute(compressor, MODEL_KEYS) or first_attribute(
        attribute(compressor, "model"), MODEL_KEYS
    )


@guarded
def finish_rerank(operation: Rerank, kept: Any, above: Operation | None) -> None:
    """Adds the kept documents to a rerank, with the scores that the reranker put into their metadata.

    If `above` is a retrieval, it gets these scores, too.
    """
    if not is_list(kept):
        return
    read, operation.unread_documents = _read(kept)
    documents = [_document(document, _relevance)[0] for document in read]
    operation.documents = documents
    if isinstance(above, Retrieval):
        own = without_retriever_scores(documents, operation.candidates or ())
        pairs = zip(read, own, strict=True)
        scored = [(document, reranked.score) for document, reranked in pairs if reranked.score is not None]
        add_scores(above, scored, "relevance")


def _relevance(
    document: LangChainDocument, identity: str | None, metadata: Mapping[str, Any]
) -> tuple[float | None, ScoreKind | None]:
    return number(metadata.get("relevance_score")), "relevance"


def _read(found: Any) -> tuple[list[LangChainDocument], int]:
    """Returns the documents of a list that are read, and how many more there are."""
    listed = first(items(found), DOCUMENTS_READ, "documents of a rerank")
    documents = [document for document in listed if is_a(document, LangChainDocument)]
    return documents, len(items(found)) - len(listed)
