"""The current span that heals itself.

Frameworks call back at start and end in different copies of the context (an asynchronous end event runs in a copy).
So a detach token taken at the start is useless at the end, and the ended span would stay current for good. Therefore
the context gets a stand-in. It is attached once and never detached by token: it answers with its run's span while that
run is open, and afterwards with whatever was current outside.
"""

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from otel_callbacks.runs.context_variable import attach, current_context
from otel_callbacks.runs.run import BodyLabels, Run

STAND_IN_KEY = context_api.create_key("otel_callbacks-stand-in")
"""Where a context has the stand-in that was attached last."""
SPAN_KEY = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""Where a context has the current span."""


def context_with(span: Span, context: Context) -> Context:
    """Returns `context` with another current span, as `trace.set_span_in_context` does."""
    return Context({**context, SPAN_KEY: span})


def span_in(context: Context) -> Span:
    """Returns the current span of `context`, as `trace.get_current_span` does."""
    span = context.get(SPAN_KEY)
    return span if type(span) is CurrentSpan else trace.get_current_span(context)


_NONE: Mapping[str, Any] = {}


_Below = tuple[Context, "CurrentSpan | None", "_Below | None"]
"""What a stand-in was attached on top of: a context, a sibling, and what that was attached on top of.

The sibling is the stand-in that the context was made for, if it does not enclose the new one: an item of the same
batch, or a stream that is read meanwhile. It may end first, or go on.
"""


class CurrentSpan(Span):
    """Stands in the context for the span of a run, and for the span outside once the run has ended.

    Args:
        run: the run.
        outer: the span outside, as it stands in the context.
        enclosing: stands for the run outside; `outer` is its span or a span within it.
        inside: as `Run.inside`, for a hidden run, which ends when this is closed.
        hidden_labels: who pays in the body of that hidden run, if its call added labels.
    """

    hidden_labels: BodyLabels | None = None
    _inside: Callable[[], bool] | None = None
    _open = True
    _attached: Context | None = None
    _below: _Below | None = None

    def __init__(
        self,
        run: Run,
        outer: Span,
        enclosing: "CurrentSpan | None",
        inside: Callable[[], bool] | None = None,
        hidden_labels: BodyLabels | None = None,
    ) -> None:
        self.run = run
        self.outer = outer
        self.enclosing = enclosing
        if inside is not None:
            self._inside = inside
        if hidden_labels is not None:
            self.hidden_labels = hidden_labels

    def attach(self, context: Context, entries: Mapping[str, Any] = _NONE) -> None:
        """Makes this the current span, on top of `context`, with `entries` beside it."""
        beside: CurrentSpan | None = context.get(STAND_IN_KEY)  # type: ignore[assignment]
        if beside is not None and beside is not self.enclosing and beside._attached is context:
            self._below = (context, beside, beside._below)
        else:
            self._below = (context, None, None)
        self._attached = Context({**context, **entries, STAND_IN_KEY: self, SPAN_KEY: self})
        attach(self._attached)

    def close(self) -> None:
        """Answers with the span outside from now on, and puts the context back if nothing was attached since."""
        self._open = False
        attached, below = self._attached, self._below
        if attached is not None and current_context() is attached:
            while below is not None and below[1] is not None and not below[1]._open:
                below = below[2]
            if below is not None:
                attach(below[0])
        self._attached = self._below = self._inside = None

    def is_current(self) -> bool:
        """Tells whether the caller is in the body of the run, or of the hidden run."""
        run = self.run
        return (
            self._open
            and run.open
            and (run.inside is None or run.inside())
            and (self._inside is None or self._inside())
        )

    def body_labels(self) -> BodyLabels:
        """Returns who pays in the body of the run, or of the hidden run."""
        return self.run.body_labels if self.hidden_labels is None else self.hidden_labels

    def _live(self) -> Span:
        span: Span = self
        while type(span) is CurrentSpan:  # `isinstance` is slow with abstract classes such as `Span`
            span = span.run.span if span.is_current() else span.outer
        return span

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._live(), name)

    def get_span_context(self) -> SpanContext:
        """Returns the identity of the live span."""
        return self._live().get_span_context()

    def is_recording(self) -> bool:
        """Tells whether the live span records."""
        return self._live().is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Sets an attribute of the live span."""
        self._live().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Sets attributes of the live span."""
        self._live().set_attributes(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Adds an event to the live span."""
        self._live().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Adds a link to the live span."""
        self._live().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Renames the live span."""
        self._live().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Sets the status of the live span."""
        self._live().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Records an exception on the live span."""
        self._live().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: the run ends its span, not the code that finds it current."""
