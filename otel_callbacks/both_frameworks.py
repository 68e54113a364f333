"""The handler where both frameworks are installed, and its process-wide switch.

LlamaIndex takes seconds to import, so whoever uses LangChain alone does not wait for it: the handler's class gets
LlamaIndex's half when the application imports LlamaIndex, and so do the handlers that exist by then.
"""

import sys
import weakref
from abc import ABCMeta
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from otel_callbacks import langchain
from otel_callbacks.handlers.options import Options, handler_for
from otel_callbacks.langchain.instrumentor import instrumented
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime.faults import guarded

_R = TypeVar("_R")
_ROOM = "otel_callbacks.llama_index"

if TYPE_CHECKING:
    from otel_callbacks import llama_index

    class OTelCallbackHandler(langchain.OTelCallbackHandler, llama_index.OTelCallbackHandler):
        """Traces LangChain, LangGraph and LlamaIndex. All arguments are optional; `__init__` says what they mean."""

else:

    class OTelCallbackHandler(langchain.OTelCallbackHandler, metaclass=ABCMeta):
        """Traces LangChain, LangGraph and LlamaIndex. All arguments are optional; `__init__` says what they mean."""

        def _join(self, recorder: Recorder) -> None:
            super()._join(recorder)
            _handlers.add(self)


_handlers: "weakref.WeakSet[OTelCallbackHandler]" = weakref.WeakSet()
_process_wide: tuple[OTelCallbackHandler, bool] | None = None
"""The handler that `instrument` switched on last, and whether it traces all rerankers."""


def instrument(
    handler: OTelCallbackHandler | None = None,
    *,
    embeddings: bool = False,
    rerankers: bool = False,
    **options: Unpack[Options],
) -> OTelCallbackHandler:
    """Traces every call of the process in both frameworks.

    Args:
        handler: the handler to use; by default a new one.
        embeddings: also trace LangChain's embedding models, which have no callbacks. LlamaIndex's always are.
        rerankers: also trace every reranker. LlamaIndex's always are, except in asynchronous calls.
        options: the arguments of the new handler.
    """
    global _process_wide
    handler = handler_for(handler, OTelCallbackHandler, options)
    langchain.instrument(handler, embeddings=embeddings, rerankers=rerankers)
    _process_wide = handler, rerankers
    if (room := _room()) is not None:
        room.instrument(handler, rerankers=rerankers)
    return handler


def trace_reranker(reranker: _R, *, handler: OTelCallbackHandler | None = None) -> _R:
    """Traces a reranker: a document compressor of LangChain, or a node postprocessor of LlamaIndex.

    See `otel_callbacks.langchain.trace_reranker` and `otel_callbacks.llama_index.trace_reranker`.
    """
    room = _room()
    trace: Any = langchain.trace_reranker
    if room is not None and import_module(f"{_ROOM}.rerankers").is_node_postprocessor(reranker):
        trace = room.trace_reranker
    return trace(reranker, handler=handler)  # type: ignore[no-any-return]


def _room() -> Any:
    """Returns our half for LlamaIndex; None as long as the application has not imported LlamaIndex."""
    return sys.modules[_ROOM] if _is_complete() else None


def _is_complete() -> bool:
    return len(OTelCallbackHandler.__bases__) == 2


@guarded
def _import_room(_: ModuleType) -> None:
    """Imports our half for LlamaIndex, once its core is there."""
    import_module(_ROOM)


@guarded
def _import_core(_: ModuleType) -> None:
    """Imports LlamaIndex's core if its workflows are used without it; not if the core imports the workflows now."""
    is_llama_index = "llama_index_instrumentation" in sys.modules  # or another module of this name
    if is_llama_index and "llama_index.core" not in sys.modules:
        import_module("llama_index.core")


@guarded
def _complete(room: ModuleType) -> None:
    """Gives the class its second half, and the handlers what it needs."""
    if _is_complete():
        return
    OTelCallbackHandler.__bases__ = (langchain.OTelCallbackHandler, room.OTelCallbackHandler)
    for handler in list(_handlers):
        handler._join(handler._recorder)
    if _process_wide is not None and instrumented() is _process_wide[0]:  # it has not been switched off again
        room.instrument(_process_wide[0], rerankers=_process_wide[1])


def _wait_for_llama_index() -> None:
    from wrapt import register_post_import_hook  # LlamaIndex needs it, too

    register_post_import_hook(_complete, _ROOM)  # at once if it is there already
    register_post_import_hook(_import_room, "llama_index.core")
    register_post_import_hook(_import_core, "workflows")


_wait_for_llama_index()
