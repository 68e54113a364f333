"""The LlamaIndex callback handler, and the gate: who holds a handler decides what is traced.

LlamaIndex's callback events see no agent, tool or workflow, its dispatcher sees everything. So the handler ignores
the events it is given. That it is there is what counts: the dispatcher client asks the gate, for every operation
that has no traced parent, which handler is in charge.
"""

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Unpack

from llama_index import core
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LegacyBaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType
from opentelemetry.context import get_current

from otel_callbacks.last_trace import HasLastTrace
from otel_callbacks.llama_index.registration import register
from otel_callbacks.operations import Inference
from otel_callbacks.options import Options, recorder
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import enclosing_run
from otel_callbacks.runtime.faults import guarded

_MAX_REMEMBERED = 64


class OTelCallbackHandler(HasLastTrace, LegacyBaseCallbackHandler):
    """Traces LlamaIndex with OpenTelemetry.

    Put it in `Settings.callback_manager = CallbackManager([OTelCallbackHandler()])` or set
    `llama_index.core.global_handler` to trace everything, in the callback manager of one component to trace that
    component alone, or use `instrument()` for the whole process; any combination gives one span per operation.

    Args:
        options: see `otel_callbacks.options.Options`; all are optional.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message says what would be.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._join(recorder(**options))

    def _join(self, recorder: Recorder) -> None:
        """Makes this a handler that records with `recorder`, which a handler for both frameworks shares."""
        LegacyBaseCallbackHandler.__init__(self, [], [])
        self._recorder = recorder
        register(_gate.recorder_for)

    def trace_id(self, run_id: str) -> str | None:
        """The trace, in hex, of an operation that goes on or of the outermost one of a call that is over.

        None if unknown; remembered are the last 4,096 calls.

        Args:
            run_id: the id under which LlamaIndex's dispatcher reports the operation, its `active_span_id`.
        """
        return self._recorder.trace_id(run_id)

    def on_event_start(
        self,
        event_type: Any,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        """Refuses a model call whose budget is spent; else does nothing, for the dispatcher tells more.

        The dispatcher has told of the call already, and swallows what its clients raise.
        """
        if event_type is CBEventType.LLM and self._recorder.enforces:
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
        run.recorder.refuse(run)


class Gate:
    """Knows which handler is in charge of an operation that no traced one encloses.

    The handler in `Settings` comes first, then the global one, then the component's own, then that of `instrument()`.

    LlamaIndex hands the handlers on: a `CallbackManager([])` takes over the very list of the manager in `Settings`,
    and the global handler is put into every manager made meanwhile. What was only handed on must not count, or
    tracing could not be switched off again.

    Attributes:
        instrumented: the handler of `instrument()`.
    """

    def __init__(self) -> None:
        self.instrumented: OTelCallbackHandler | None = None
        # the lists of handlers seen in Settings, each with the manager that it was seen in first
        self._of_settings: OrderedDict[int, tuple[list[Any], weakref.ref[CallbackManager]]] = OrderedDict()
        self._global: weakref.WeakSet[OTelCallbackHandler] = weakref.WeakSet()

    def recorder_for(self, instance: Any) -> Recorder | None:
        """The recorder of the handler in charge of `instance`; None if nobody traces it.

        Asked for every operation of a process that holds no handler, so written to be quick about a None.
        """
        everywhere = None if core.global_handler is None else self._global_handler()
        manager = Settings._callback_manager
        settled = None if manager is None or not manager.handlers else self._in_settings(manager)
        handler = settled or everywhere or self._of_component(instance) or self.instrumented
        return None if handler is None else handler._recorder

    def _global_handler(self) -> OTelCallbackHandler | None:
        handler = core.global_handler
        if not isinstance(handler, OTelCallbackHandler):
            return None
        self._global.add(handler)
        return handler

    def _in_settings(self, manager: CallbackManager) -> OTelCallbackHandler | None:
        handlers = manager.handlers
        handler = _first_of_ours(handlers)
        if handler is None:
            return None
        known = self._of_settings.get(id(handlers))
        if known is None or known[0] is not handlers:
            if handler in self._global:
                return None
            known = self._of_settings[id(handlers)] = (handlers, weakref.ref(manager))
            if len(self._of_settings) > _MAX_REMEMBERED:
                self._of_settings.popitem(last=False)
        return handler if known[1]() is manager else None

    def _of_component(self, instance: Any) -> OTelCallbackHandler | None:
        """The handler in the callback manager of a component or of its model; an agent only has its model's."""
        fields = getattr(instance, "__dict__", None)
        if not fields:
            return None
        manager = fields.get("callback_manager") or fields.get("_callback_manager")
        if manager is not None and manager.handlers and (found := self._given(manager.handlers)) is not None:
            return found
        if (model := fields.get("llm") or fields.get("_llm")) is not None:
            return self._of_component(model)
        if isinstance(agents := fields.get("agents"), dict):  # of an AgentWorkflow
            return next((found for agent in agents.values() if (found := self._of_component(agent))), None)
        return None

    def _given(self, handlers: list[Any]) -> OTelCallbackHandler | None:
        """Our handler among these, unless it was only handed on."""
        handler = _first_of_ours(handlers)
        known = self._of_settings.get(id(handlers))
        handed_on = handler in self._global or (known is not None and known[0] is handlers)
        return None if handed_on else handler


def _first_of_ours(handlers: Iterable[Any]) -> OTelCallbackHandler | None:
    return next((handler for handler in handlers if isinstance(handler, OTelCallbackHandler)), None)


_gate = Gate()
