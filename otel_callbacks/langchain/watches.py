"""What the calls of embedding models, vector stores, retrievers and rerankers are: which operation, or part of one.

One watch per kind of method, and one table of methods per kind of component.
"""

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from opentelemetry.context import get_current

from otel_callbacks.langchain import retrieval
from otel_callbacks.langchain.observe import (
    Call,
    Given,
    Method,
    Watch,
    Watches,
    unwatch_object,
    watch_object,
)
from otel_callbacks.operations import Embedding, Rerank, Retrieval
from otel_callbacks.operations.payload import integer
from otel_callbacks.runs.current_span import Run, enclosing_run
from otel_callbacks.runtime.faults import guarded

Arguments = Sequence[Any]
Keywords = Mapping[str, Any]

_CLIENT_KEYS = ("client", "async_client", "_client", "_async_client")
_RELEVANCE = ("similarity_search_with_relevance_scores", "asimilarity_search_with_relevance_scores")


def embed(method: Method, model: Any, arguments: Arguments, keywords: Keywords) -> Call | None:
    """Texts are embedded. What an embedding model has another do, itself or an inner one, is the same operation."""
    around = enclosing_run(get_current())
    recorder = method.recorder_in(around)
    if recorder is None or "underlying_embeddings" in vars(model):
        return None  # a cache: only what it hands on goes to a model, and is told by that
    _watch_clients(model)
    if around is not None and isinstance(around.operation, Embedding):
        _learn(around, partial(retrieval.complete_embedding, around.operation, model))
        return None
    texts = method.argument(0, arguments, keywords)
    count = 1 if isinstance(texts, str) else len(texts) if isinstance(texts, Sequence) else None
    operation = retrieval.embedding(model, count)
    run = recorder.start(object(), operation, around)
    return Call(partial(retrieval.finish_embedding, operation), run) if run is not None else None


def respond(method: Method, client: Any, arguments: Arguments, keywords: Keywords) -> Call | None:
    """The provider's client is asked for embeddings; its response has the tokens, of which LangChain says nothing."""
    around = enclosing_run(get_current())
    if around is None or not isinstance(around.operation, Embedding):
        return None
    return Call(partial(retrieval.note_usage, around.operation))


def search(method: Method, store: Any, arguments: Arguments, keywords: Keywords) -> Call | None:
    """A vector store is searched: for the retriever around it, to whose documents it adds the scores, or directly."""
    around = enclosing_run(get_current())
    recorder = method.recorder_in(around)
    if recorder is None:
        return None
    kind = method.given.score_kind or retrieval.score_kind(store)
    if method.name in _RELEVANCE:
        kind = "relevance"
    top_k = integer(method.argument("k", arguments, keywords))
    if around is not None and isinstance(around.operation, Retrieval):
        _learn(around, partial(retrieval.complete_search, around.operation, store, top_k))
        return Call(partial(retrieval.note_scores, around.operation, kind=kind))
    operation = retrieval.search(store, top_k)
    run = recorder.start(object(), operation, around)
    if recorder.wants_content(run) and isinstance(query := method.argument(0, arguments, keywords), str):
        operation.query = query
    return Call(partial(retrieval.finish_search, operation, kind=kind), run) if run is not None else None


def retrieve(method: Method, retriever: Any, arguments: Arguments, keywords: Keywords) -> Call | None:
    """A retriever is at work; it has told so by a callback, unless nobody listens to it."""
    around = enclosing_run(get_current())
    recorder = method.recorder_in(around)
    if recorder is None:
        return None
    run_id = getattr(
        keywords.get("run_manager"), "run_id", None
    )  # a retriever of the old kind is not told it
    if run_id is None and around is not None and isinstance(around.operation, Retrieval):
        return None
    if run_id in recorder.runs:
        return None
    operation = retrieval.retrieval(retriever._get_ls_params(), retriever)
    run = recorder.start(run_id or object(), operation, around)
    if recorder.wants_content(run):
        operation.query = method.argument(0, arguments, keywords)
    above = around.operation if around is not None else None
    return Call(partial(retrieval.finish_retrieval, operation, above=above), run) if run is not None else None


def rerank(method: Method, compressor: Any, arguments: Arguments, keywords: Keywords) -> Call | None:
    """Documents are reranked. What a pipeline has its compressors do is one operation."""
    around = enclosing_run(get_current())
    recorder = method.recorder_in(around)
    if recorder is None:
        return None
    if around is not None and isinstance(around.operation, Rerank):
        _learn(around, partial(retrieval.complete_rerank, around.operation, compressor))
        return None
    above = around.operation if around is not None else None
    operation = retrieval.rerank(compressor, method.argument(0, arguments, keywords), above)
    run = recorder.start(object(), operation, around)
    if recorder.wants_content(run):
        operation.query = method.argument(1, arguments, keywords)
    return Call(partial(retrieval.finish_rerank, operation, above=above), run) if run is not None else None


def _learn(run: Run, complete: Callable[[], None]) -> None:
    """Completes the operation of a run with what is only known further in; that may be its name."""
    before = run.operation.name
    complete()
    if run.operation.name != before:
        run.recorder.rename(run)


# --- the tables --------------------------------------------------------------------------------------------------


def _both(watch: Watch, *names: str) -> Watches:
    """The methods of these names and their asynchronous counterparts."""
    return tuple((prefix + name, watch) for name in names for prefix in ("", "a"))


EMBEDDINGS = _both(embed, "embed_documents", "embed_query")
STORES = _both(
    search,
    "similarity_search",
    "similarity_search_with_score",
    "similarity_search_with_relevance_scores",
    "similarity_search_by_vector",
    "similarity_search_with_score_by_vector",
    "similarity_search_by_vector_with_relevance_scores",
    "max_marginal_relevance_search",
    "max_marginal_relevance_search_by_vector",
)
RETRIEVERS: Watches = (("_get_relevant_documents", retrieve), ("_aget_relevant_documents", retrieve))
RERANKERS = _both(rerank, "compress_documents")
_CLIENTS: Watches = (("create", respond), ("embed", respond))

_clients: "weakref.WeakSet[Any]" = weakref.WeakSet()


@guarded  # a client that cannot be watched must not cost the call its span
def _watch_clients(model: Any) -> None:
    """Has the clients that an embedding model holds watched, those that are known to answer with the tokens."""
    for fields in (vars(model), getattr(model, "__pydantic_private__", None) or {}):
        for key in _CLIENT_KEYS:
            client = fields.get(key)
            if client is not None and client not in _clients and _answers(client):
                _clients.add(client)
                watch_object(client, _CLIENTS, Given())


def _answers(client: Any) -> bool:
    kind: type = type(client)
    return _has_answers(kind)


@lru_cache(maxsize=256)
def _has_answers(kind: type) -> bool:
    return any(inspect.isfunction(getattr(kind, name, None)) for name, _ in _CLIENTS)


def unwatch_clients() -> None:
    """Lets go of the clients. They are watched again when a model that is watched uses them."""
    for client in list(_clients):
        unwatch_object(client)
    _clients.clear()
