"""Lists the methods to wrap of embedding models, vector stores, retrievers and rerankers, and records their calls.

Each `record_…` function runs before one kind of method. It starts a run, or adds the call to the run around it.
"""

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from opentelemetry.context import get_current

from otel_callbacks.langchain import retrieval
from otel_callbacks.langchain.method_wrapping import (
    MethodTable,
    StartCall,
    WrapOptions,
    WrappedCall,
    WrappedMethod,
    unwrap_object,
    wrap_object,
)
from otel_callbacks.langchain.parent_run import key_of
from otel_callbacks.limits import COMPONENT_CLASSES_CACHED
from otel_callbacks.operations import Embedding, Rerank, Retrieval
from otel_callbacks.operations.payload import integer
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import enclosing_run
from otel_callbacks.runtime.faults import guarded

Arguments = Sequence[Any]
Keywords = Mapping[str, Any]

_CLIENT_FIELDS = ("client", "async_client", "_client", "_async_client")
_RELEVANCE = ("similarity_search_with_relevance_scores", "asimilarity_search_with_relevance_scores")


def record_embedding(
    method: WrappedMethod, model: Any, arguments: Arguments, keywords: Keywords
) -> WrappedCall | None:
    """Records an embedding call. Calls that an embedding model makes to itself or an inner model belong to it."""
    around = enclosing_run(get_current())
    recorder = method.recorder_for(around)
    if recorder is None or "underlying_embeddings" in vars(model):
        return None  # a cache: the model behind it records what the cache lacks
    _wrap_clients(model)
    if around is not None and isinstance(around.operation, Embedding):
        _add(around, partial(retrieval.add_inner_model, around.operation, model))
        return None
    texts = method.argument(0, arguments, keywords)
    count = 1 if isinstance(texts, str) else len(texts) if isinstance(texts, Sequence) else None
    operation = retrieval.start_embedding(model, count)
    run = recorder.start(object(), operation, around)
    return WrappedCall(partial(retrieval.finish_embedding, operation), run) if run is not None else None


def record_client_usage(
    method: WrappedMethod, client: Any, arguments: Arguments, keywords: Keywords
) -> WrappedCall | None:
    """Reads the usage from the response of a provider's client, for the call around it. LangChain drops it."""
    around = enclosing_run(get_current())
    if around is None or not isinstance(around.operation, Embedding | Rerank):
        return None
    return WrappedCall(partial(retrieval.add_usage, around.operation))


def record_search(
    method: WrappedMethod, store: Any, arguments: Arguments, keywords: Keywords
) -> WrappedCall | None:
    """Records a vector store search, or adds its scores to the retriever's run around it."""
    around = enclosing_run(get_current())
    recorder = method.recorder_for(around)
    if recorder is None:
        return None
    kind = method.options.score_kind or retrieval.score_kind(store)
    if method.name in _RELEVANCE:
        kind = "relevance"
    top_k = integer(method.argument("k", arguments, keywords))
    if around is not None and isinstance(around.operation, Retrieval):
        _add(around, partial(retrieval.add_store, around.operation, store, top_k))
        return WrappedCall(partial(retrieval.add_scores, around.operation, kind=kind))
    operation = retrieval.start_search(store, top_k)
    run = recorder.start(object(), operation, around)
    if recorder.wants_content(run) and isinstance(query := method.argument(0, arguments, keywords), str):
        operation.query = query
    return (
        WrappedCall(partial(retrieval.finish_search, operation, kind=kind), run) if run is not None else None
    )


def record_retrieval(
    method: WrappedMethod, retriever: Any, arguments: Arguments, keywords: Keywords
) -> WrappedCall | None:
    """Records a retriever's call, unless a handler among its callbacks already does."""
    around = enclosing_run(get_current())
    recorder = method.recorder_for(around)
    if recorder is None:
        return None
    key = key_of(getattr(keywords.get("run_manager"), "run_id", None))  # old retrievers get no run manager
    if key is None and around is not None and isinstance(around.operation, Retrieval):
        return None
    if key in recorder.runs:
        return None
    operation = retrieval.start_retrieval(retriever._get_ls_params(), retriever)
    run = recorder.start(key or object(), operation, around)
    if recorder.wants_content(run):
        operation.query = method.argument(0, arguments, keywords)
    above = around.operation if around is not None else None
    finish = partial(retrieval.finish_retrieval, operation, above=above)
    return WrappedCall(finish, run) if run is not None else None


def record_rerank(
    method: WrappedMethod, compressor: Any, arguments: Arguments, keywords: Keywords
) -> WrappedCall | None:
    """Records a reranker's call. The rerankers inside a pipeline belong to the pipeline's run."""
    around = enclosing_run(get_current())
    recorder = method.recorder_for(around)
    if recorder is None:
        return None
    if around is not None and isinstance(around.operation, Rerank):
        _add(around, partial(retrieval.add_inner_reranker, around.operation, compressor))
        return None
    above = around.operation if around is not None else None
    _wrap_clients(compressor)
    operation = retrieval.start_rerank(compressor, method.argument(0, arguments, keywords), above)
    run = recorder.start(object(), operation, around)
    if recorder.wants_content(run):
        operation.query = method.argument(1, arguments, keywords)
    return (
        WrappedCall(partial(retrieval.finish_rerank, operation, above=above), run)
        if run is not None
        else None
    )


def _add(run: Run, add: Callable[[], None]) -> None:
    """Adds what an inner component knows to the run's operation, and renames the span if the name changes."""
    before = run.operation.name
    add()
    if run.operation.name != before:
        run.recorder.rename(run)


# --- the tables --------------------------------------------------------------------------------------------------


def _sync_and_async(start: StartCall, *names: str) -> MethodTable:
    """Returns the methods of these names and their asynchronous counterparts."""
    return tuple((prefix + name, start) for name in names for prefix in ("", "a"))


EMBEDDING_METHODS = _sync_and_async(record_embedding, "embed_documents", "embed_query")
STORE_METHODS = _sync_and_async(
    record_search,
    "similarity_search",
    "similarity_search_with_score",
    "similarity_search_with_relevance_scores",
    "similarity_search_by_vector",
    "similarity_search_with_score_by_vector",
    "similarity_search_by_vector_with_relevance_scores",
    "max_marginal_relevance_search",
    "max_marginal_relevance_search_by_vector",
)
RETRIEVER_METHODS: MethodTable = (
    ("_get_relevant_documents", record_retrieval),
    ("_aget_relevant_documents", record_retrieval),
)
RERANKER_METHODS = _sync_and_async(record_rerank, "compress_documents")
_CLIENT_METHODS: MethodTable = tuple((name, record_client_usage) for name in ("create", "embed", "rerank"))

_wrapped_clients: "weakref.WeakSet[Any]" = weakref.WeakSet()


@guarded  # a client that cannot be wrapped must not cost the call its span
def _wrap_clients(model: Any) -> None:
    """Wraps the provider clients of an embedding model or reranker, whose responses may report usage."""
    for fields in (vars(model), getattr(model, "__pydantic_private__", None) or {}):
        for key in _CLIENT_FIELDS:
            client = fields.get(key)
            kind: type = type(client)
            if client is not None and client not in _wrapped_clients and _has_client_methods(kind):
                _wrapped_clients.add(client)
                wrap_object(client, _CLIENT_METHODS, WrapOptions())


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _has_client_methods(kind: type) -> bool:
    return any(inspect.isfunction(getattr(kind, name, None)) for name, _ in _CLIENT_METHODS)


def unwrap_clients() -> None:
    """Unwraps all clients. A wrapped model wraps its clients again at its next call."""
    for client in list(_wrapped_clients):
        unwrap_object(client)
    _wrapped_clients.clear()
