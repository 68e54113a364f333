"""Traces rerankers with an asynchronous method of their own, which LlamaIndex does not report."""

import functools
import inspect
from collections.abc import Iterator
from typing import Any, TypeVar

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index_instrumentation import get_dispatcher

from otel_callbacks.limits import COMPONENT_CLASSES_CACHED
from otel_callbacks.llama_index.handler import OTelCallbackHandler
from otel_callbacks.llama_index.traced_rerankers import traced_rerankers
from otel_callbacks.runtime.faults import guarded
from otel_callbacks.runtime.own_class import derive, has_own_class, original_class, set_class

_P = TypeVar("_P", bound=BaseNodePostprocessor)
_METHOD = "_apostprocess_nodes"
_PUBLIC_METHOD = "apostprocess_nodes"


def trace_reranker(reranker: _P, *, handler: OTelCallbackHandler | None = None) -> _P:
    """Traces a node postprocessor as a reranker in asynchronous calls, too.

    LlamaIndex reports every synchronous call, but an asynchronous method of the component's own only if that is
    decorated. The object itself is traced: LlamaIndex then reports its method like any other.

    Args:
        reranker: the node postprocessor.
        handler: records the calls outside any traced run; by default the handler in `Settings`, the global one, that
            of the component or that of `instrument()`.

    Returns:
        The same object.

    Raises:
        TypeError: an argument has the wrong type.
    """
    if not is_node_postprocessor(reranker):
        raise TypeError(
            f"trace_reranker takes BaseNodePostprocessor, not {type(reranker).__name__}: {reranker!r:.100}"
        )
    if handler is not None and not isinstance(handler, OTelCallbackHandler):
        raise TypeError(
            f"handler must be an OTelCallbackHandler or None, not {type(handler).__name__}: {handler!r:.100}"
        )
    if not has_own_class(reranker) or handler is not None:
        set_class(reranker, _traced_class(original_class(type(reranker)), handler))
    return reranker


def is_node_postprocessor(component: Any) -> bool:
    """Tells whether `component` is a node postprocessor of LlamaIndex's."""
    return isinstance(component, BaseNodePostprocessor)


def trace_all_rerankers() -> None:
    """Traces every reranker of a class that is known now, and of its future subclasses, from the next call on."""
    for kind in (BaseNodePostprocessor, *_subclasses(BaseNodePostprocessor)):
        method = vars(kind).get(_PUBLIC_METHOD)
        if inspect.iscoroutinefunction(method) and method not in _patches.values():
            _patches[kind] = _tracing_itself(method)
            setattr(kind, _PUBLIC_METHOD, _patches[kind])


def untrace_all_rerankers() -> None:
    """Restores the methods that `trace_all_rerankers` has changed. Rerankers that were called stay traced."""
    while _patches:
        kind, patch = _patches.popitem()
        setattr(kind, _PUBLIC_METHOD, patch.__wrapped__)


_patches: dict[type, Any] = {}


def _tracing_itself(method: Any) -> Any:
    @functools.wraps(method)
    async def traced(reranker: Any, *arguments: Any, **keywords: Any) -> Any:
        guarded(trace_reranker)(reranker)
        return await method(reranker, *arguments, **keywords)

    return traced


def _subclasses(base: Any) -> Iterator[type]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


@functools.lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _traced_class(kind: Any, handler: OTelCallbackHandler | None) -> type:
    method, methods = getattr(kind, _METHOD), {}

    @functools.wraps(method, updated=())  # the dispatcher marks the function that it is given
    async def reported(*arguments: Any, **keywords: Any) -> Any:
        return await method(*arguments, **keywords)

    if method is not BaseNodePostprocessor._apostprocess_nodes:  # the default calls the synchronous method
        methods[_METHOD] = get_dispatcher(kind.__module__).span(reported)
    traced = derive(kind, methods, functools.partial(trace_reranker, handler=handler))
    traced_rerankers[traced] = handler
    return traced
