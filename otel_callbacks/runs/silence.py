"""One span for each model call, also where the model's client is instrumented by somebody else.

Instrumentations of clients ask the context whether a call around theirs is recorded already. OpenTelemetry's (those on
opentelemetry-util-genai) look for data under a key of their own. OpenInference's and OpenLLMetry's ask for the key that
suppresses everything, HTTP clients included, whose spans shall stay. So what we put there says yes to them alone.
"""

import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import Surroundings

_SUPPRESSED = context_api._SUPPRESS_INSTRUMENTATION_KEY
_OPENTELEMETRY = "opentelemetry.genai.client.inference.context"
_OPENLLMETRY = "suppress_language_model_instrumentation"  # also set around calls that it records itself

_CLIENTS = (
    "openinference.instrumentation.openai.",
    "openinference.instrumentation.anthropic.",
    "opentelemetry.instrumentation.openai.",
    "opentelemetry.instrumentation.anthropic",
)
"""The modules that ask. Instrumentations of frameworks must not be silenced: they may record somewhere else."""


class Silence:
    """What the context of a model call of ours holds under the keys of the others.

    Nobody takes it out again, because the end of the call may be reported in another context. Therefore it answers as
    long as the caller is in the body of the call, or of a call around it, and afterwards says that nothing is there.
    """

    __slots__ = ("_outer", "_run")
    _run: Run
    _outer: "Silence | None"
    capture_content = upload_completion = False  # opentelemetry-util-genai asks for both

    def __init__(self, run: Run, outer: "Silence | None") -> None:
        while outer is not None and not outer._run.open:
            outer = outer._outer
        self._run = run
        self._outer = outer

    def __bool__(self) -> bool:
        asking: str = sys._getframe(1).f_globals.get("__name__", "")
        return asking.startswith(_CLIENTS) and self._holds()

    def _answers_as(self) -> Any:
        theirs = sys.modules.get("opentelemetry.util.genai.invocation")
        return getattr(theirs, "InferenceData", Silence) if self._holds() else Silence

    __class__: Any = property(_answers_as)  # opentelemetry-util-genai asks by `isinstance`

    def merge(self, other: Any, *, overwrite: bool = True) -> None:
        """Takes nothing of what the silenced instrumentation knows: the call is on our span."""

    def _holds(self) -> bool:
        each: Silence | None = self
        while each is not None and not each._run.is_current():
            each = each._outer
        return each is not None


def silence_for(run: Run, around: Surroundings, *, is_inference: bool, defers: bool) -> Mapping[str, Any]:
    """Decides whose span has the usage of a model call, or else of an embedding, that starts.

    Returns:
        The entries of the context that keep instrumentations of clients silent in the body of a model call. None, if
        the usage is left to another instrumentation: because ours `defers`, or because it records the call already.
    """
    if defers or (is_inference and is_recorded_outside(around.context, around.span)):
        run.operation.deferred = True
        return {}
    if not is_inference:
        return {}
    outer: Any = around.context.get(_SUPPRESSED)
    entry = Silence(run, outer if type(outer) is Silence else None)
    return {_SUPPRESSED: entry, _OPENTELEMETRY: entry}


def is_recorded_outside(context: Context, span: Span) -> bool:
    """Tells whether another instrumentation records the model call that starts in `context`, whose span is current.

    A key alone does not tell: it may be left behind by a call that has ended.
    """
    theirs = context.get(_OPENTELEMETRY)
    if theirs is not None and type(theirs) is not Silence:
        return span.is_recording()
    # OpenLLMetry's spans of model calls are a client's; the application's, in which the key may be left, are not
    is_call = getattr(span, "kind", None) is SpanKind.CLIENT and span.is_recording()
    return is_call and bool(context.get(_OPENLLMETRY))
