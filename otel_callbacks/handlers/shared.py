"""What the handlers of both frameworks share: how their traces are found, and how they are copied and pickled."""

import functools
import sys
import uuid
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from otel_callbacks.limits import UNPICKLED_HANDLERS
from otel_callbacks.runtime.arguments import names_arguments

if TYPE_CHECKING:  # importing a handler must be quick: what it works with is imported when one is made
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from otel_callbacks.cost.attribution import LabelSource
    from otel_callbacks.cost.budget import Budget
    from otel_callbacks.cost.pricing import Prices
    from otel_callbacks.explore.trace import Trace
    from otel_callbacks.privacy.policy import ContentPolicy, Where
    from otel_callbacks.recording.cost_metrics import MetricLabels
    from otel_callbacks.recording.recorder import Detail, InferenceSpans, Recorder

if "openai" in sys.modules:  # whose calls may soon be under way
    import otel_callbacks.cost.price_list  # noqa: F401 - it imports what must not be imported beside them


class SharedByHandlers:
    """A handler that knows its traces, and that may be copied and pickled with what holds it.

    A copy is the same handler. A pickle holds nothing of the handler, no policy, price or key: unpickled in the same
    process it is the same handler, and in another process a handler with the process-wide recorder there.
    """

    _recorder: "Recorder"
    _pickled_as: str | None = None

    @names_arguments("a handler")
    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        logger_provider: "LoggerProvider | None" = None,
        detail: "Detail | None" = None,
        content: "ContentPolicy | Where | None" = None,
        prices: "Prices | None" = None,
        attribution: "LabelSource | None" = None,
        baggage_keys: Sequence[str] | None = None,
        budgets: "Iterable[Budget] | None" = None,
        metric_labels: "MetricLabels | None" = None,
        estimate_usage: bool | None = None,
        start_events: bool | None = None,
        profiles: Sequence[str] | None = None,
        inference_spans: "InferenceSpans | None" = None,
        agent_usage: bool | None = None,
    ) -> None:
        """Makes a handler. For an argument that is not given, its environment variable decides, then the default.

        Args:
            tracer_provider: where spans go; by default the global provider, even if it is set later.
            meter_provider: where metrics go; by default the global one.
            logger_provider: where events go; by default the global one.
            detail: "operations" shows workflows, agents, tools, retrievals, embeddings, rerankers and model
                calls; "standard" also graph nodes, named runnables, workflow steps, synthesis and node parsing;
                "everything" also prompts, parsers, unnamed runnables and every other method that the framework
                reports. Totals are the same at every level.
            content: what text is recorded: "none", "spans", "events", "both" or a `ContentPolicy`. By default
                the environment variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT decides; without it,
                none.
            prices: your price book: a `PriceBook`, a mapping of the same form, or the path of a .toml or .json
                file. Its prices come before those of the price list (the extra `cost`).
            attribution: labels for every call, such as {"feature": "search"}, or a function that returns them
                and is called at the root of every call. `with attribution(...)` and metadata override them.
            baggage_keys: the entries of incoming baggage that become labels; by default none.
            budgets: who may spend what, see `Budget`.
            metric_labels: the labels on the metrics of tokens and cost, by default ("tenant", "feature"). Or a
                mapping from each label to how many values it may take (by default 100), or to the values it may
                take.
            estimate_usage: True estimates the tokens of model calls that report no usage, such as streams that
                were not asked for it. The spans say `otel_callbacks.usage.source=estimated`, and estimates are
                never priced.
            start_events: True emits the log event `otel_callbacks.run.started` when an agent or workflow
                starts, so that a back end shows what is running now; its span arrives when it has ended.
            profiles: the extra names that every span carries for back ends, by default ("released_genai",), which
                dashboards on the released conventions need; () adds none. `docs/backends.md` lists them. A
                destination of `configure(to=...)` has profiles of its own, which take the application no time.
            inference_spans: who has the span of a model call if its client is instrumented too. "own": we have; the
                instrumentations of OpenAI's and Anthropic's clients by OpenTelemetry, OpenInference and OpenLLMetry
                stay silent inside, and spans of HTTP clients are kept. "defer": they have; our span says
                `otel_callbacks.usage.source=deferred` instead of the usage, while totals, price and labels stay.
            agent_usage: False leaves the tokens of an agent's own model calls off its span, for back ends that add
                up every span.

        Raises:
            TypeError, ValueError: an argument has the wrong type or value; the message says what is right.
            OSError: the file of the price book cannot be read.
        """
        from otel_callbacks.handlers.options import Options, recorder

        given: Any = {name: value for name, value in locals().items() if name in Options.__annotations__}
        self._join(recorder(**given))

    def __repr__(self) -> str:
        known = self._recorder
        where = "" if known.has_provider else ", no tracer provider is set"
        return (
            f"<{type(self).__name__} detail={known.detail!r} content={known.content_policy.where!r}{where}>"
        )

    def _join(self, recorder: "Recorder") -> None:
        """Initialises the handler with `recorder`, which several handlers may share."""
        self._recorder = recorder

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._pickled_as is None:
            self._pickled_as = uuid.uuid4().hex
        _pickled[self._pickled_as] = self
        return _unpickle, (type(self), self._pickled_as)

    def trace_id(self, run_id: uuid.UUID | str) -> str | None:
        """Returns the trace id, in hex, of an open run or of the outermost run of an ended call; None if unknown.

        The last 4,096 calls are remembered.

        Raises:
            TypeError: `run_id` is neither a UUID nor a string.

        Args:
            run_id: for LangChain the id from `config={"run_id": ...}`, from `astream_events` or from a callback. For
                LlamaIndex the dispatcher's id of the operation, its `active_span_id`.
        """
        if not isinstance(run_id, uuid.UUID | str):
            raise TypeError(
                f"run_id must be a UUID or a string, not {type(run_id).__name__}: {run_id!r:.100}"
            )
        if isinstance(run_id, str):
            with suppress(ValueError):  # an id of LlamaIndex's
                run_id = uuid.UUID(run_id)
        return self._recorder.trace_id(run_id.int if isinstance(run_id, uuid.UUID) else run_id)

    @property
    def last_trace(self) -> "Trace":
        """The trace of the outermost call that this handler traced and that ended last.

        It comes from `otel_callbacks.traces`: from the file that `configure()` writes, or from memory after
        `configure(local=True)`.

        Raises:
            LookupError: no call of this handler has ended yet, or its trace is not kept here, or no tracer provider
                is set.
        """
        from otel_callbacks.explore.collection import traces  # not needed only to trace

        trace_id = self._recorder.last_trace_id
        if trace_id is None:
            raise LookupError(
                "no call of this handler has ended yet"
                if self._recorder.has_provider
                else "spans go nowhere, because no tracer provider is set: call configure() before the first call"
            )
        try:
            return traces.get(trace_id)
        except LookupError:  # exported elsewhere, not written yet, or dropped for newer ones
            raise LookupError(
                f"trace {trace_id} is not kept here: configure(local=True) keeps traces in memory, and configure()"
                " without an endpoint in files"
            ) from None


_pickled: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def _unpickle(kind: Any, pickled_as: str) -> Any:
    same = _pickled.get(pickled_as)
    if same is not None:
        return same
    from otel_callbacks.recording.process_recorder import process_recorder

    return _handler_with(kind, process_recorder() or _default_recorder())


def handler_with(kind: Any, recorder: "Recorder") -> Any:
    """Makes a handler of a kind that records with `recorder`, which several handlers may share."""
    handler = kind.__new__(kind)
    handler._join(recorder)
    return handler


_handler_with = functools.lru_cache(maxsize=UNPICKLED_HANDLERS)(handler_with)


@functools.cache
def _default_recorder() -> "Recorder":
    from otel_callbacks.handlers.options import recorder

    return recorder()
