"""The instrumentor that `opentelemetry-instrument` loads, for both frameworks."""

import functools
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import requires
from types import ModuleType
from typing import Any, NamedTuple

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined] # untyped
from packaging.requirements import Requirement
from wrapt import register_post_import_hook

from otel_callbacks.handlers.option_variables import (
    INSTRUMENT_FLAGS,
    names_back_ends,
    read_flag,
    read_signal,
)
from otel_callbacks.handlers.options import recorder
from otel_callbacks.handlers.shared import handler_with
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime.faults import guarded, logger


class _Framework(NamedTuple):
    """Our room for a framework, the extra that says which versions it takes, and what is traced on request."""

    room: str
    extra: str
    on_request: Collection[str]


_FRAMEWORKS: Mapping[str, _Framework] = {
    "langchain_core": _Framework("otel_callbacks.langchain.instrumentor", "langchain", INSTRUMENT_FLAGS),
    "llama_index.core": _Framework("otel_callbacks.llama_index.instrumentor", "llama-index", ("rerankers",)),
}
"""The frameworks, by the module whose import switches their tracing on."""


class OTelCallbacksInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces LangChain, LangGraph and LlamaIndex from the moment that the application imports them.

    It imports no framework, so a process that uses none starts as quickly as before. A framework for which the
    application has called `instrument()` itself is left to the application.

    `instrument` takes the arguments of `otel_callbacks.instrument`, and the environment decides what is not given.
    """

    # of the class, because each call of the class returns the same object and runs `__init__` again
    _recorder: Callable[[], Recorder] | None = None
    _on_request: Mapping[str, bool] = {}
    _handlers: Mapping[str, Any] = {}
    _restore_signal: Callable[[], None] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Returns nothing: either framework will do, and each is looked at when it is imported."""
        return ()

    def _instrument(self, **options: Any) -> None:
        given = {name: options.pop(name) for name in INSTRUMENT_FLAGS if name in options}
        make = functools.cache(functools.partial(recorder, **options))
        if options:
            make()  # raises what is wrong with them
        self._on_request = {name: read_flag(name) for name in INSTRUMENT_FLAGS} | given
        self._handlers = {}
        self._recorder = make
        set_process_recorder(self, make)
        for module in _FRAMEWORKS:
            register_post_import_hook(self._switch_on, module)  # at once if it is there already
        register_post_import_hook(self._import_core, "workflows")
        register_post_import_hook(self._watch_celery, "celery.signals")
        if names_back_ends():
            from otel_callbacks.export.configure import configure

            guarded(configure)()  # adds them to what `opentelemetry-instrument` has set up
        if (number := read_signal()) is not None:
            from otel_callbacks.export.process_end import flush_on_signal

            self._restore_signal = guarded(flush_on_signal)(number)

    def _uninstrument(self, **_: Any) -> None:
        self._recorder = None
        self._forget_ends()
        for module, handler in self._handlers.items():
            room = import_module(_FRAMEWORKS[module].room)
            if room.instrumented() is handler:  # else the application has put its own in its place
                room.uninstrument()
        self._handlers = {}
        set_process_recorder(self, None)

    @guarded
    def _import_core(self, _: ModuleType) -> None:
        """Imports LlamaIndex's core, which switches tracing on, if its workflows are used without it."""
        is_llama_index = "llama_index_instrumentation" in sys.modules  # or another module of this name
        if self._recorder is not None and is_llama_index and "llama_index" not in sys.modules:
            with suppress(
                ModuleNotFoundError
            ):  # the workflows may be installed alone; we trace them with the core
                import_module("llama_index.core")

    def _watch_celery(self, _: ModuleType) -> None:
        if self._recorder is not None:
            from otel_callbacks.export.process_end import watch_celery

            guarded(watch_celery)()

    def _forget_ends(self) -> None:
        from otel_callbacks.export.process_end import forget_celery

        forget_celery()
        if self._restore_signal is not None:
            self._restore_signal()
            self._restore_signal = None

    @guarded
    def _switch_on(self, module: ModuleType) -> None:
        """Switches the tracing of a framework on, unless it is on or the instrumentor is off again."""
        framework = _FRAMEWORKS[module.__name__]
        if self._recorder is None or not _is_supported(framework):
            return
        room = import_module(framework.room)
        if room.instrumented() is None:
            handler = handler_with(room.OTelCallbackHandler, self._recorder())
            room.instrument(handler, **{name: self._on_request[name] for name in framework.on_request})
            self._handlers = {**self._handlers, module.__name__: handler}


def _is_supported(framework: _Framework) -> bool:
    """Tells whether we trace the installed version of a framework; logs if not."""
    wanted = [Requirement(text) for text in requires("otel-callbacks") or ()]
    versions = [each for each in wanted if each.marker and each.marker.evaluate({"extra": framework.extra})]
    conflict = get_dependency_conflicts(versions)
    if conflict is not None:
        logger.warning("%s is not traced: %s", framework.extra, conflict)
    return conflict is None
