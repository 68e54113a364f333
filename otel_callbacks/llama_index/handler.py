"""The LlamaIndex callback handler, and the lookup of the handler that is active for a component.

LlamaIndex's callback events do not cover agents, tools and workflows; its dispatcher reports all of them. So the
handler ignores callback events. Its presence in a callback manager is what counts: for each operation outside any
traced run, `ActiveHandlers` looks up whether a handler is active, and which.
"""

import functools
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from llama_index import core
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LegacyBaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType
from opentelemetry.context import get_current

from otel_callbacks.handlers.shared import SharedByHandlers
from otel_callbacks.limits import SETTINGS_HANDLER_LISTS_REMEMBERED
from otel_callbacks.llama_index.traced_rerankers import traced_rerankers
from otel_callbacks.operations import Inference
from otel_callbacks.runs.surroundings import enclosing_run
from otel_callbacks.runtime.faults import guarded

if TYPE_CHECKING:
    from otel_callbacks.recording.recorder import Recorder

_logger = logging.getLogger(__name__)


class OTelCallbackHandler(SharedByHandlers, LegacyBaseCallbackHandler):
    """Traces LlamaIndex with OpenTelemetry.

    To trace everything, set `Settings.callback_manager = CallbackManager([OTelCallbackHandler()])` or
    `llama_index.core.global_handler`, or call `instrument()`. To trace one component, put the handler into that
    component's callback manager. Any combination gives one span per operation.

    All arguments are optional; `__init__` says what they mean.
    """

    def _join(self, recorder: "Recorder") -> None:
        # here, because it takes 0.1 s to import, most of it for LlamaIndex's agents
        from otel_callbacks.llama_index.dispatcher_hooks import register

        LegacyBaseCallbackHandler.__init__(self, [], [])
        super()._join(recorder)
        active_handlers.all.add(self)
        register(active_handlers.recorder_for)

    def on_event_start(
        self,
        event_type: Any,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        """Refuses a model call whose budget is spent; does nothing else.

        The dispatcher has already reported the call, but it swallows exceptions, so the refusal must come from here.
        """
        if event_type is CBEventType.LLM and self._recorder.enforces_budgets:
            _refuse_current()
        return event_id

    def on_event_end(
        self, event_type: Any, payload: dict[str, Any] | None = None, event_id: str = "", **kwargs: Any
    ) -> None:
        """Does nothing."""

    def start_trace(self, trace_id: str | None = None) -> None:
        """Does nothing."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Does nothing."""


@guarded
def _refuse_current() -> None:
    run = enclosing_run(get_current())
    if run is not None and isinstance(run.operation, Inference):
        run.recorder.refuse_over_budget(run)


_is_ours = cast(
    "Callable[[Any], TypeGuard[OTelCallbackHandler]]",
    functools.partial(type.__instancecheck__, OTelCallbackHandler),
)
"""Tells whether a handler is one of ours. `isinstance` would ask the base class, an ABC, and that in Python code."""

_MODEL_FIELDS = ("llm", "_llm", "agents")
"""The fields of components that hold a model, or what has one."""


class ActiveHandlers:
    """Looks up the handler that is active for an operation outside any traced run.

    The handler in `Settings` comes first, then the global one, then the component's own, then that of `instrument()`.

    LlamaIndex passes handlers on: a `CallbackManager([])` takes over the handler list of the manager in `Settings`,
    and every new manager gets the global handler. A handler that was only passed on must not count as the
    component's own, or tracing could not be switched off again.

    Attributes:
        instrumented: the handler of `instrument()`.
        all: the handlers that exist; each may be in some component.
    """

    def __init__(self) -> None:
        self.all: weakref.WeakSet[OTelCallbackHandler] = weakref.WeakSet()
        self.instrumented: OTelCallbackHandler | None = None
        # the handler lists seen in Settings, by id, each with the manager that had it first
        self._settings_lists: OrderedDict[int, tuple[list[Any], weakref.ref[CallbackManager]]] = OrderedDict()
        self._global: weakref.WeakSet[OTelCallbackHandler] = weakref.WeakSet()
        self._said_taken_over = False

    def recorder_for(self, instance: Any) -> "Recorder | None":
        """Returns the recorder of the handler that is active for `instance`; None without one.

        Without a handler this runs at every operation of the process, so the way to None is short.
        """
        handler = None if core.global_handler is None else self._global_handler()
        manager, in_settings = Settings._callback_manager, None
        if manager is not None and (handlers := manager.handlers):
            in_settings = next(filter(_is_ours, handlers), None)
            if in_settings is not None and self._counts_in_settings(in_settings, handlers, manager):
                handler = in_settings
        if handler is None:
            handler = self._of_component(instance) or self.instrumented
        if handler is not None:
            return handler._recorder
        if in_settings is not None and not self._said_taken_over:
            self._say_taken_over()
        return None

    def _say_taken_over(self) -> None:
        """Says once that the handler in `Settings` does not count: an application that gave the list twice meant it."""
        self._said_taken_over = True
        _logger.warning(
            "LlamaIndex is not traced any more: the callback manager in Settings has the same list of handlers as"
            " the one before, which CallbackManager([]) takes over, too. To trace, give each CallbackManager a list"
            " of its own, such as CallbackManager([handler]); if it is meant to be off, Settings.callback_manager ="
            " None says so."
        )

    def _global_handler(self) -> OTelCallbackHandler | None:
        handler = core.global_handler
        if not isinstance(handler, OTelCallbackHandler):
            return None
        self._global.add(handler)
        return handler

    def _counts_in_settings(
        self, handler: OTelCallbackHandler, handlers: list[Any], manager: CallbackManager
    ) -> bool:
        """Tells whether the handler in the list of the manager in `Settings` was given to it, and not passed on."""
        known = self._settings_lists.get(id(handlers))
        if known is None or known[0] is not handlers:
            if handler in self._global:
                return False
            known = self._settings_lists[id(handlers)] = (handlers, weakref.ref(manager))
            if len(self._settings_lists) > SETTINGS_HANDLER_LISTS_REMEMBERED:
                self._settings_lists.popitem(last=False)
        return known[1]() is manager

    def _of_component(self, instance: Any) -> OTelCallbackHandler | None:
        """Returns the handler given to `trace_reranker`, else that of a component's callback manager, else its model's.

        Agents only have a model's.
        """
        # `data`, because its own length and lookup are Python code, and nearly always it is empty
        if traced_rerankers.data and (given := traced_rerankers.get(type(instance))) is not None:  # type: ignore[attr-defined]
            handler: OTelCallbackHandler = given
            return handler
        try:
            fields = instance.__dict__
        except AttributeError:
            return None
        if not fields:
            return None
        manager = fields.get("callback_manager") or fields.get("_callback_manager")
        if manager is not None and (handlers := manager.handlers):
            own: OTelCallbackHandler | None = next(filter(_is_ours, handlers), None)
            if own is not None and not self._is_passed_on(own, handlers):
                return own
        if fields.keys().isdisjoint(_MODEL_FIELDS):
            return None
        if (model := fields.get("llm") or fields.get("_llm")) is not None:
            return self._of_component(model)
        if isinstance(agents := fields.get("agents"), dict):  # an AgentWorkflow
            return next((found for agent in agents.values() if (found := self._of_component(agent))), None)
        return None

    def _is_passed_on(self, handler: OTelCallbackHandler, handlers: list[Any]) -> bool:
        """Tells whether LlamaIndex only passed on the handler in a component's list."""
        known = self._settings_lists.get(id(handlers))
        return handler in self._global or (known is not None and known[0] is handlers)


active_handlers = ActiveHandlers()
