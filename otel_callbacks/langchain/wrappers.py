"""Traces calls that LangChain fires no callback for: of one object, or of all objects of a kind in the process."""

from typing import Any, TypeVar, get_args

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.method_wrapping import WrapOptions, unwrap_classes, wrap_classes, wrap_object
from otel_callbacks.langchain.wrapped_methods import (
    EMBEDDING_METHODS,
    RERANKER_METHODS,
    RETRIEVER_METHODS,
    STORE_METHODS,
    unwrap_clients,
)
from otel_callbacks.operations import ScoreKind

_E = TypeVar("_E", bound=Embeddings)
_R = TypeVar("_R", BaseRetriever, VectorStore)
_C = TypeVar("_C", bound=BaseDocumentCompressor)


def trace_embeddings(embeddings: _E, *, handler: OTelCallbackHandler | None = None) -> _E:
    """Traces the calls of an embedding model: model, number of texts, vector length, and billed tokens.

    The object itself is traced, so a vector store that already holds it is traced, too. A call inside a traced run is
    recorded below that run.

    Args:
        embeddings: the model. For a cache, the model behind it is traced: it gets only the texts the cache lacks.
        handler: records the calls outside any traced run; by default the handler of `instrument()`.

    Returns:
        The same object.

    Raises:
        TypeError: an argument has the wrong type.
    """
    _check("trace_embeddings", embeddings, Embeddings)
    behind = getattr(embeddings, "underlying_embeddings", None)
    model = behind if isinstance(behind, Embeddings) else embeddings
    wrap_object(model, EMBEDDING_METHODS, _options(handler))
    return embeddings


def trace_retriever(
    retriever: _R, *, handler: OTelCallbackHandler | None = None, score_kind: ScoreKind | None = None
) -> _R:
    """Traces a vector store, or a retriever and its vector store, with the scores that LangChain drops.

    The object itself is traced. A search is one retrieval span, whether your code or a retriever searches the store;
    the retriever may have callbacks as usual. No other method is called in place of yours, so scores are recorded
    only where the store's search calls its search with scores.

    Args:
        retriever: a retriever, or a vector store, whose `as_retriever()` is then traced as well.
        handler: records the calls outside any traced run; by default the handler of `instrument()`.
        score_kind: what the store's scores are: "similarity", "distance" or "relevance". Needed for stores that
            otel-callbacks does not know; without it, their scores have no kind.

    Returns:
        The same object.

    Raises:
        TypeError, ValueError: an argument has the wrong type or value.
    """
    _check("trace_retriever", retriever, (BaseRetriever, VectorStore))
    if score_kind is not None and score_kind not in get_args(ScoreKind):
        known = ", ".join(map(repr, get_args(ScoreKind)))
        raise ValueError(f"score_kind={score_kind!r} is not known; use one of {known}")
    options = _options(handler, score_kind)
    if isinstance(retriever, BaseRetriever):
        wrap_object(retriever, RETRIEVER_METHODS, options)
    store = getattr(retriever, "vectorstore", retriever)
    if isinstance(store, VectorStore):
        wrap_object(store, STORE_METHODS, options)
    return retriever


def trace_reranker(compressor: _C, *, handler: OTelCallbackHandler | None = None) -> _C:
    """Traces a reranker: its model and query, the candidates, and the documents it kept, in order.

    The object itself is traced.

    Args:
        compressor: the document compressor.
        handler: records the calls outside any traced run; by default the handler of `instrument()`.

    Returns:
        The same object.

    Raises:
        TypeError: an argument has the wrong type.
    """
    _check("trace_reranker", compressor, BaseDocumentCompressor)
    wrap_object(compressor, RERANKER_METHODS, _options(handler))
    return compressor


def trace_all(*, embeddings: bool, rerankers: bool) -> None:
    """Traces every embedding model, every reranker, or both, in the whole process; stops tracing the others."""
    (wrap_classes if embeddings else unwrap_classes)(Embeddings, EMBEDDING_METHODS)
    (wrap_classes if rerankers else unwrap_classes)(BaseDocumentCompressor, RERANKER_METHODS)


def untrace_all() -> None:
    """Restores what `trace_all` has changed."""
    trace_all(embeddings=False, rerankers=False)
    unwrap_clients()


def _check(function: str, component: Any, wanted: type | tuple[type, ...]) -> None:
    if not isinstance(component, wanted):
        names = [kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else (wanted,))]
        raise TypeError(
            f"{function} takes {' or '.join(names)}, not {type(component).__name__}: {component!r:.100}"
        )


def _options(handler: OTelCallbackHandler | None, score_kind: ScoreKind | None = None) -> WrapOptions:
    if handler is not None and not isinstance(handler, OTelCallbackHandler):
        raise TypeError(
            f"handler must be an OTelCallbackHandler or None, not {type(handler).__name__}: {handler!r:.100}"
        )
    return WrapOptions(handler._recorder if handler is not None else None, score_kind)
