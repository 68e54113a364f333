"""Translates calls of LlamaIndex's retrievers, embedding models and rerankers into operations."""

from inspect import BoundArguments
from typing import Any

from llama_index.core.indices.vector_store import VectorIndexRetriever
from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.storage.kvstore import SimpleKVStore

from otel_callbacks.limits import DOCUMENTS_READ, ITEMS_READ, first
from otel_callbacks.llama_index import inference
from otel_callbacks.llama_index.traced_rerankers import traced_rerankers
from otel_callbacks.llama_index.workflows import query_text
from otel_callbacks.operations import Document, Embedding, Rerank, Retrieval
from otel_callbacks.operations.payload import attribute, integer, is_a, is_list, items, mapping, name, number

_CACHE_COLLECTION = "embeddings"
_TOP_K_FIELDS = ("_similarity_top_k", "similarity_top_k", "_top_k", "top_k")


def start_retrieval(retriever: Any, arguments: BoundArguments, with_content: bool) -> Retrieval:
    """Returns the operation of a retriever that starts."""
    fields = inference.fields_of(retriever)
    store, model = fields.get("_vector_store"), fields.get("_embed_model")
    operation = Retrieval(
        provider=type(store).__name__ if store is not None else None,
        top_k=next(filter(None, map(integer, map(fields.get, _TOP_K_FIELDS))), None),
        embedding_model=inference.model_of(model, inference.fields_of(model)) if model is not None else None,
        score_kind="similarity" if isinstance(retriever, VectorIndexRetriever) else None,
    )
    if with_content and arguments.args:
        operation.query = query_text(arguments.args[0])
    return operation


def finish_retrieval(operation: Retrieval, found: Any) -> None:
    """Adds the documents to a retrieval."""
    operation.documents, operation.unread_documents = _documents(found)


def start_embedding(model: Any, arguments: BoundArguments, with_content: bool) -> Embedding:
    """Returns the operation of an embedding call that starts."""
    provider, fields = inference.provider_of(type(model), "embeddings"), inference.fields_of(model)
    address, port = inference.endpoint_of(fields, provider)
    given, keywords = inference.split(arguments)
    texts = next(iter(given or keywords.values()), None)
    return Embedding(
        name=inference.model_of(model, fields),
        provider=provider,
        integration=type(model).__name__,
        server_address=address,
        server_port=port,
        count=1 if is_a(texts, str) else len(items(texts)) if is_list(texts) else None,
        cached=_is_in_cache(fields.get("embeddings_cache"), texts),
    )


def _is_in_cache(cache: Any, texts: Any) -> bool:
    """Tells whether an embedding model has nothing to send: there are no texts, or its cache in memory has all.

    Other caches would have to be asked over the network.
    """
    wanted = (texts,) if is_a(texts, str) else items(texts)
    if not wanted or not is_a(cache, SimpleKVStore):
        return is_list(texts) and not wanted
    stored = mapping(mapping(attribute(cache, "_collections_mappings")).get(_CACHE_COLLECTION))
    return len(wanted) <= ITEMS_READ and all(is_a(each, str) and each in stored for each in wanted)


def finish_embedding(operation: Embedding, vectors: Any) -> None:
    """Adds the length of the vectors to an embedding call, which returns one vector or a list."""
    first_vector = next(iter(items(vectors)), None)
    vector = items(first_vector) if is_list(first_vector) else items(vectors)
    if vector and not is_a(vector[0], dict):  # a sparse vector is a dict
        operation.dimension_count = len(vector)


def start_rerank(postprocessor: Any, arguments: BoundArguments, with_content: bool) -> Rerank | None:
    """Returns the operation of a reranker that starts; None for a postprocessor that gives no new scores."""
    kind = type(postprocessor)
    is_reranker = kind in traced_rerankers or "top_n" in mapping(attribute(postprocessor, "__dict__"))
    if not is_reranker and not any("rerank" in each.__name__.lower() for each in kind.__mro__):
        return None
    nodes, query = (*arguments.args, None, None)[:2]
    return start_rerank_of(postprocessor, nodes, query if with_content else None)


def start_rerank_of(reranker: Any, nodes: Any, query: Any) -> Rerank:
    """Returns the operation of a reranker that starts. `query` is None if it must not be recorded."""
    fields = inference.fields_of(reranker)
    model = inference.model_of(reranker, fields)
    if model is None and "llm" in fields:
        model = inference.model_of(fields["llm"], inference.fields_of(fields["llm"]))
    operation = Rerank(name=model, top_n=integer(fields.get("top_n")), may_pass_on_scores=True)
    operation.candidates, operation.unread_candidates = _documents(nodes)
    if query is not None:
        operation.query = query_text(query)
    return operation


def finish_rerank(operation: Rerank, kept: Any) -> None:
    """Adds the kept documents to a rerank."""
    operation.documents, operation.unread_documents = _documents(kept)


def _documents(nodes: Any) -> tuple[list[Document] | None, int]:
    """Returns the documents of a list of nodes that are read, and how many more there are."""
    if not is_list(nodes):
        return None, 0
    listed = first(items(nodes), DOCUMENTS_READ, "documents of a retrieval")
    unread = len(items(nodes)) - len(listed)
    return [_document(node) for node in listed if is_a(node, NodeWithScore)], unread


def _document(found: NodeWithScore) -> Document:
    node, score = attribute(found, "node"), number(attribute(found, "score"))
    if not is_a(node, BaseNode):  # type: ignore[type-abstract]
        return Document(score=score)
    return Document(
        id=name(attribute(node, "node_id")),
        score=score,
        content=_content(node),
        metadata=mapping(attribute(node, "metadata")),
    )


def _content(node: Any) -> str | None:
    try:
        content = node.get_content()
    except Exception:  # the application's own node may fail, a new kind of LlamaIndex's may have no text
        return None
    return str.__str__(content) if is_a(content, str) else None
