"""Tracing what LangChain has no callback for: one object at a time, or all objects of a kind in the process."""

from typing import Any, TypeVar, get_args

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.observe import Given, unwatch_classes, watch_classes, watch_object
from otel_callbacks.langchain.watches import EMBEDDINGS, RERANKERS, RETRIEVERS, STORES, unwatch_clients
from otel_callbacks.operations import ScoreKind

_E = TypeVar("_E", bound=Embeddings)
_R = TypeVar("_R", BaseRetriever, VectorStore)
_C = TypeVar("_C", bound=BaseDocumentCompressor)


def trace_embeddings(embeddings: _E, *, handler: OTelCallbackHandler | None = None) -> _E:
    """Traces the calls of an embedding model: model, number of texts, dimensions, and the tokens that are billed.

    The object stays what and where it is; what already holds it, such as a vector store, is traced too. A call within
    a traced run is recorded with that run.

    Args:
        embeddings: the model. Of a cache, the model behind it: only what the cache lacks goes to a model.
        handler: who records a call that no traced run encloses; by default the handler of `instrument()`.

    Returns:
        The same object.

    Raises:
        TypeError: an argument is not what it should be.
    """
    _check("trace_embeddings", embeddings, Embeddings)
    behind = getattr(embeddings, "underlying_embeddings", None)
    model = behind if isinstance(behind, Embeddings) else embeddings
    watch_object(model, EMBEDDINGS, _given(handler))
    return embeddings


def trace_retriever(
    retriever: _R, *, handler: OTelCallbackHandler | None = None, score_kind: ScoreKind | None = None
) -> _R:
    """Traces a vector store, or a retriever and its vector store, with the scores that LangChain drops.

    The object stays what and where it is. A search is one retrieval, whether the store is searched directly or by a
    retriever, which may have its callbacks as always. What is called is never changed: there are scores where the
    store's own search goes through a search with scores.

    Args:
        retriever: a retriever, or a vector store, whose `as_retriever()` is then traced as well.
        handler: who records a call that no traced run encloses; by default the handler of `instrument()`.
        score_kind: what the store's scores are, for a store that we do not know: "similarity", "distance" or
            "relevance". Without it, the scores of such a store have no kind.

    Returns:
        The same object.

    Raises:
        TypeError, ValueError: an argument is not what it should be.
    """
    _check("trace_retriever", retriever, (BaseRetriever, VectorStore))
    if score_kind is not None and score_kind not in get_args(ScoreKind):
        known = ", ".join(map(repr, get_args(ScoreKind)))
        raise ValueError(f"score_kind={score_kind!r} is not known; use one of {known}")
    given = _given(handler, score_kind)
    if isinstance(retriever, BaseRetriever):
        watch_object(retriever, RETRIEVERS, given)
    store = getattr(retriever, "vectorstore", retriever)
    if isinstance(store, VectorStore):
        watch_object(store, STORES, given)
    return retriever


def trace_reranker(compressor: _C, *, handler: OTelCallbackHandler | None = None) -> _C:
    """Traces a reranker: its model and query, the candidates and what it kept of them, in which order.

    The object stays what and where it is.

    Args:
        compressor: the document compressor.
        handler: who records a call that no traced run encloses; by default the handler of `instrument()`.

    Returns:
        The same object.

    Raises:
        TypeError: an argument is not what it should be.
    """
    _check("trace_reranker", compressor, BaseDocumentCompressor)
    watch_object(compressor, RERANKERS, _given(handler))
    return compressor


def trace_all(*, embeddings: bool, rerankers: bool) -> None:
    """Traces every embedding model and every reranker of the process, or only what is asked for."""
    (watch_classes if embeddings else unwatch_classes)(Embeddings, EMBEDDINGS)
    (watch_classes if rerankers else unwatch_classes)(BaseDocumentCompressor, RERANKERS)


def untrace_all() -> None:
    """Puts back what `trace_all` has changed."""
    trace_all(embeddings=False, rerankers=False)
    unwatch_clients()


def _check(function: str, given: Any, wanted: type | tuple[type, ...]) -> None:
    if not isinstance(given, wanted):
        names = [kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else (wanted,))]
        raise TypeError(f"{function} takes {' or '.join(names)}, not {type(given).__name__}: {given!r:.100}")


def _given(handler: OTelCallbackHandler | None, score_kind: ScoreKind | None = None) -> Given:
    if handler is not None and not isinstance(handler, OTelCallbackHandler):
        raise TypeError(
            f"handler must be an OTelCallbackHandler or None, not {type(handler).__name__}: {handler!r:.100}"
        )
    return Given(handler._recorder if handler is not None else None, score_kind)
