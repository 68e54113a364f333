"""LangChain's retrievers, vector stores, embedding models and rerankers to operations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.documents import Document as LangChainDocument

from otel_callbacks.langchain.translate import (
    MODEL_KEYS,
    URL_KEYS,
    Metadata,
    conversation_id,
    first_attribute,
)
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

_MAX_DOCUMENTS = 1_000
_COLLECTION_KEYS = ("_collection_name", "collection_name", "index_name")
_NO_PROVIDERS = {"langchain_core", "langchain_community", "langchain_classic", "langchain_tests"}


# --- retrievers and vector stores --------------------------------------------------------------------------------


def retrieval(metadata: Metadata, retriever: Any) -> Retrieval:
    """A retriever that starts.

    A vector store's class is the provider, as LangChain reports it; a collection or index that the store has a
    name for is the data source.
    """
    store = attribute(retriever, "vectorstore")
    arguments = mapping_or_fields(attribute(retriever, "search_kwargs"))
    return Retrieval(
        name=first_attribute(store, _COLLECTION_KEYS),
        provider=word(metadata.get("ls_vector_store_provider")),
        top_k=integer(arguments.get("k")) or integer(attribute(retriever, "k")),
        embedding_model=_embedding_model(store),
        conversation_id=conversation_id(metadata),
    )


def search(store: Any, top_k: int | None) -> Retrieval:
    """A search in a vector store that no retriever stands before."""
    operation = Retrieval()
    complete_search(operation, store, top_k)
    return operation


def complete_search(operation: Retrieval, store: Any, top_k: int | None) -> None:
    """Adds what the store knows and the retriever before it did not."""
    operation.top_k = operation.top_k or top_k
    if operation.provider is None:
        operation.provider = type(store).__name__
        operation.name = operation.name or first_attribute(store, _COLLECTION_KEYS)
        operation.embedding_model = operation.embedding_model or _embedding_model(store)


def _embedding_model(store: Any) -> str | None:
    return first_attribute(attribute(store, "embeddings"), MODEL_KEYS)


@guarded
def finish_retrieval(operation: Retrieval, found: Any, above: Operation | None) -> None:
    """Completes a retrieval; a score is what the store said, else what a retriever left in the metadata.

    A retriever that has another one find its documents (`above`) learns the scores, too.
    """
    if not is_list(found):
        return
    given = [document for document in map(_unscored, items(found)[:_MAX_DOCUMENTS]) if document is not None]
    known = _Known(operation.store_scores)
    scores = list(map(known.score, given))
    kinds = {kind for score, kind in scores if score is not None}
    operation.score_kind = kinds.pop() if len(kinds) == 1 else None
    operation.documents = [
        _document(document, score) for document, (score, _) in zip(given, scores, strict=True)
    ]
    if isinstance(above, Retrieval):
        above.store_scores = (*above.store_scores, *operation.store_scores)


def finish_search(operation: Retrieval, result: Any, kind: ScoreKind | None) -> None:
    """Completes a direct search in a vector store, whose scores are of this kind."""
    note_scores(operation, result, kind)
    finish_retrieval(operation, result, above=None)


def _unscored(found: Any) -> LangChainDocument | None:
    """The document of a search result, which may come with a score, and a vector."""
    if is_a(found, tuple):
        found = next(iter(items(found)), None)
    return found if is_a(found, LangChainDocument) else None


class _Known:
    """The scores that were told of documents; what was told last holds."""

    def __init__(self, scored: Sequence[Scored]) -> None:
        self._of_object = {id(document): (score, kind) for document, score, kind in scored}
        self._of_id = {_id_of(document): (score, kind) for document, score, kind in scored}
        self._of_id.pop(None, None)

    def score(self, document: LangChainDocument) -> tuple[float | None, ScoreKind | None]:
        """A document's score and its kind: what was told of it, else what its metadata has."""
        told = self._of_object.get(id(document)) or self._of_id.get(_id_of(document))
        if told is not None:
            return told
        if (relevance := _relevance(document)) is not None:
            return relevance, "relevance"
        return number(_metadata(document).get("score")), None


@guarded
def note_scores(operation: Retrieval, result: Any, kind: ScoreKind | None) -> None:
    """Keeps what a store said of its documents, for when the retrieval ends."""
    if is_a(result, list):
        operation.store_scores = (*operation.store_scores, *_scored(items(result)[:_MAX_DOCUMENTS], kind))


def _scored(result: Sequence[Any], kind: ScoreKind | None) -> Iterator[Scored]:
    for found in result:
        document, score, *_ = (*(items(found) if is_a(found, tuple) else ()), None, None)
        if is_a(document, LangChainDocument) and (told := number(score)) is not None:
            yield document, told, kind


def _document(document: LangChainDocument, score: float | None) -> Document:
    content = attribute(document, "page_content")
    return Document(
        id=_id_of(document),
        score=score,
        content=str.__str__(content) if is_a(content, str) else None,
        metadata=_metadata(document),
    )


def _id_of(document: LangChainDocument) -> str | None:
    return name(attribute(document, "id"))


def _metadata(document: LangChainDocument) -> Mapping[str, Any]:
    return mapping(attribute(document, "metadata"))


# --- what a store's scores are -----------------------------------------------------------------------------------


def score_kind(store: Any) -> ScoreKind | None:
    """What `similarity_search_with_score` of this store returns; None for a store that is not known here.

    Only what the integrations of LangChain document, and only where the method is theirs: a subclass may return
    something else. No name of a method and no value of a score is taken for a hint.
    """
    method = type(store).similarity_search_with_score
    known = _SCORE_KINDS.get(method.__qualname__.partition(".")[0])
    return known(store) if known is not None and method.__module__.startswith("langchain_") else None


def _of_faiss(store: Any) -> ScoreKind | None:
    """The index decides: FAISS' METRIC_INNER_PRODUCT is 0, METRIC_L2 is 1."""
    kinds: dict[Any, ScoreKind] = {0: "similarity", 1: "distance"}
    return kinds.get(getattr(attribute(store, "index"), "metric_type", None))


def _of_qdrant(store: Any) -> ScoreKind | None:
    """The collection's metric decides, unless sparse vectors are searched, too."""
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
    "FAISS": _of_faiss,
    "InMemoryVectorStore": lambda store: "similarity",
    "MongoDBAtlasVectorSearch": lambda store: "similarity",
    "PGVector": lambda store: "distance",
    "QdrantVectorStore": _of_qdrant,
    "RedisVectorStore": lambda store: "distance",
}


# --- embedding models --------------------------------------------------------------------------------------------


def embedding(model: Any, count: int | None) -> Embedding:
    """An embedding call of `count` texts that starts."""
    provider = _provider_of(model)
    address, port = providers.endpoint(provider, first_attribute(model, URL_KEYS))
    return Embedding(
        name=first_attribute(model, MODEL_KEYS),
        provider=provider,
        server_address=address,
        server_port=port,
        count=count,
    )


def complete_embedding(operation: Embedding, model: Any) -> None:
    """Adds what an inner model knows and the one around it did not."""
    operation.name = operation.name or first_attribute(model, MODEL_KEYS)
    operation.provider = operation.provider or _provider_of(model)


def _provider_of(component: Any) -> str | None:
    """The provider, from the package that the class is in: `langchain_{provider}`."""
    kind: type = type(component)
    return _provider(kind)


@lru_cache(maxsize=256)
def _provider(kind: type) -> str | None:
    for ancestor in kind.__mro__:
        package = ancestor.__module__.partition(".")[0]
        if package.startswith("langchain_") and package not in _NO_PROVIDERS:
            of_azure = package == "langchain_openai" and "azure" in ancestor.__module__
            return providers.provider_name("azure" if of_azure else package.removeprefix("langchain_"))
    return None


@guarded
def finish_embedding(operation: Embedding, vectors: Any) -> None:
    """Completes an embedding call with the length of its vectors, one or a list of them."""
    first = vectors[0] if isinstance(vectors, Sequence) and len(vectors) else None
    vector = first if hasattr(first, "__len__") else vectors if first is not None else None
    operation.dimension_count = len(vector) if vector is not None else None


@guarded
def note_usage(operation: Embedding, response: Any) -> None:
    """Adds the tokens that a response of the provider's client reports; a batch may take several."""
    billed = getattr(attribute(response, "meta"), "billed_units", None)
    for report in (attribute(response, "usage"), billed, response):
        usage = providers.read_usage(report)
        if usage is not None and usage.input_tokens is not None:
            before = operation.usage.input_tokens if operation.usage is not None else None
            operation.usage = Usage(input_tokens=(before or 0) + usage.input_tokens)
            return


# --- rerankers ---------------------------------------------------------------------------------------------------


def rerank(compressor: Any, candidates: Any, above: Operation | None) -> Rerank:
    """A reranker that starts on its candidates, which the retrieval above it, if there is one, has found."""
    known = _Known(above.store_scores if isinstance(above, Retrieval) else ())
    return Rerank(
        name=_rerank_model(compressor),
        provider=_provider_of(compressor),
        top_n=integer(attribute(compressor, "top_n")),
        candidates=_documents(candidates, lambda document: known.score(document)[0]),
    )


def complete_rerank(operation: Rerank, compressor: Any) -> None:
    """Adds what a reranker in a pipeline knows and the pipeline did not."""
    operation.name = operation.name or _rerank_model(compressor)
    operation.provider = operation.provider or _provider_of(compressor)
    operation.top_n = operation.top_n or integer(attribute(compressor, "top_n"))


def _rerank_model(compressor: Any) -> str | None:
    """The model's name, which may be that of the scoring model inside."""
    return first_attribute(compressor, MODEL_KEYS) or first_attribute(
        attribute(compressor, "model"), MODEL_KEYS
    )


@guarded
def finish_rerank(operation: Rerank, kept: Any, above: Operation | None) -> None:
    """Completes a rerank with the documents that were kept, and the scores that the reranker left in them.

    They are the documents' scores in the retrieval above, too.
    """
    documents = _documents(kept, _relevance)
    if documents is None:
        return
    operation.documents = without_retriever_scores(documents, operation.candidates or ())
    if isinstance(above, Retrieval):
        new = zip(kept, operation.documents, strict=True)
        told = [(document, reranked.score) for document, reranked in new if reranked.score is not None]
        note_scores(above, told, "relevance")


def _relevance(document: LangChainDocument) -> float | None:
    return number(_metadata(document).get("relevance_score"))


def _documents(found: Any, score: Callable[[LangChainDocument], float | None]) -> list[Document] | None:
    if not is_list(found):
        return None
    given = items(found)[:_MAX_DOCUMENTS]
    return [_document(document, score(document)) for document in given if is_a(document, LangChainDocument)]
