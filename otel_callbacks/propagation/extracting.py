"""Goes on with what another process has started: below its span, or in a new trace that links to it."""

import copy
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, SpanContext

from otel_callbacks.carriers import texts
from otel_callbacks.cost.attribution import attribute_of, refuse_text
from otel_callbacks.manual.operation_span import OperationSpan
from otel_callbacks.operations import ReceivedMessage
from otel_callbacks.runs.surroundings import outside_every_run
from otel_callbacks.runtime.faults import guarded
from otel_callbacks.runtime.scopes import run_inside

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ENTERED_KEY = context_api.create_key("otel_callbacks-extracted")


class _Entered(NamedTuple):
    """The context entry of an open `with extract(...)`.

    Attributes:
        owner: the `extract` that opened it.
        message: the operation of a message, for `link=True`.
        previous: the context to return to.
    """

    owner: "extract"
    message: "_Message | None"
    previous: Context


class extract:  # lower case because it reads as a statement: `with extract(message):`
    """Goes on with the trace that a carrier brings: what happens inside hangs below the sender's span.

    If a span of that trace is open here already, because an instrumentation has read the carrier, it stays the parent.
    A context manager, and a decorator for functions, coroutine functions and generators.

        with extract(request.headers): ...

        @extract(lambda message: message["trace"], link=True)
        def answer(message): ...

    Args:
        carrier: what `inject` wrote into: a mapping. Names may have any case, and names and texts may be bytes. Without
            a trace in it (None, for instance) the code runs as it would without `extract`. For a decorator, a function
            that gets the arguments of the call and returns the carrier.
        labels: short names of labels, such as "tenant". Incoming baggage of that name becomes a label again, and is
            passed on to nobody. Any sender can set it.
        link: True starts a new trace, whose first span (of kind CONSUMER) links to the sender's span, and to the span
            that is current here. Traces of queues stay small that way, and a conversation that waited for a day does
            not look like a call of a day. Not for the inside of a LangChain run: LangChain names that as the parent.
        name: the name of that span.

    Raises:
        TypeError: `labels` is a text, or a generator function is decorated with `link=True`.
        ValueError: a label is not spelled like `cost_centre`.
    """

    def __init__(
        self,
        carrier: Mapping[Any, Any] | Callable[..., Mapping[Any, Any] | None] | None,
        *,
        labels: Collection[str] = (),
        link: bool = False,
        name: str = "process",
    ) -> None:
        refuse_text("labels", labels)
        self._carrier: Any = carrier
        self._attributes = {key: attribute_of(key) for key in labels}
        self._link = link
        self._name = name

    def __enter__(self) -> None:
        if callable(self._carrier):
            raise TypeError("`with extract(...)` takes the carrier itself; a function is for a decorator")
        context = context_api.get_current()
        message, inside = self._entered(context) or (None, context)
        context_api.attach(context_api.set_value(_ENTERED_KEY, _Entered(self, message, context), inside))
        if message is not None:
            message.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        # without a token: the application may leave it in another copy of the context than it entered it in
        entered: _Entered | None = context_api.get_value(_ENTERED_KEY)  # type: ignore[assignment]
        if entered is None or entered.owner is not self:
            return
        if entered.message is not None:
            entered.message.__exit__(kind, error, stack)
        context_api.attach(entered.previous)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function, a coroutine function or a generator function; of a generator, each step."""
        if self._link and (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            raise TypeError(
                f"extract(link=True) cannot decorate the generator function {function.__name__}; decorate the function"
                " that reads it"
            )
        return run_inside(self._of_call, function)

    def _of_call(self, *args: Any, **kwargs: Any) -> "extract":
        if not callable(self._carrier):
            return self
        one = copy.copy(self)
        one._carrier = self._carrier_in(args, kwargs)
        return one

    @guarded  # an unexpected message must not cost the call
    def _carrier_in(self, args: Any, kwargs: Any) -> Any:
        return self._carrier(*args, **kwargs)

    @guarded
    def _entered(self, context: Context) -> "tuple[_Message | None, Context]":
        """Returns the operation of the message, and the context inside."""
        propagator = propagate.get_global_textmap()
        if not self._link:
            found = texts.read(propagator, self._carrier, context)
            found = _inside_current_span(found, context)
            return None, texts.accept_labels(found, self._attributes)
        inside = trace.set_span_in_context(INVALID_SPAN, outside_every_run(context))
        found = texts.read(propagator, self._carrier, inside)
        spans = [trace.get_current_span(each).get_span_context() for each in (found, context)]
        senders = {span.span_id: span for span in spans if span.is_valid}  # one, if it sent to itself
        found = trace.set_span_in_context(INVALID_SPAN, found)
        return _Message(self._name, senders.values()), texts.accept_labels(found, self._attributes)


def _inside_current_span(found: Context, context: Context) -> Context:
    """Returns `found` with the current span of `context`, if that is open in the same trace."""
    current, sender = trace.get_current_span(context), trace.get_current_span(found)
    if current.is_recording() and current.get_span_context().trace_id == sender.get_span_context().trace_id:
        return trace.set_span_in_context(current, found)
    return found


class _Message(OperationSpan):
    """The work on a message, linked to where it comes from."""

    def __init__(self, name: str, senders: Iterable[SpanContext]) -> None:
        super().__init__(ReceivedMessage, {"name": name})
        self._senders = senders

    def _start(self) -> None:
        super()._start()
        if self._run is not None:
            for sender in self._senders:
                self._run.span.add_link(sender)
