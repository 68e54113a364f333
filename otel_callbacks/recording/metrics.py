"""The conventions' metrics, with exactly their attributes and buckets, and counters of our own doing."""

import functools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation
from opentelemetry.trace import SpanContext

from otel_callbacks import operations, semconv
from otel_callbacks.cost.call_cost import CallCost
from otel_callbacks.cost.totals import Totals
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.cost_metrics import CostMetrics, LabelRules, LabelValues
from otel_callbacks.recording.counter import Counter
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (
    *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
    *(1048576, 4194304, 16777216, 67108864),
)
_WORKFLOW = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_AGENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_CALLS = (1, 2, 4, 8, 16, 32, 64, 128)

_MAX_WAITING = 4_096
_AT_A_TIME = 32
_PAUSE_SECONDS = 0.0005

_Attributes = dict[str, str | int]


class SpanCounts:
    """How many spans we started, ended, ended without being told to, and failed to describe; calls without a price."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts from nothing."""
        self.started = 0
        self.ended = 0
        self.swept = 0
        self.errors = 0
        self.unpriced = 0


class Ended(NamedTuple):
    """An operation that has ended, as far as metrics are about it.

    Attributes:
        operation: the operation, complete; its content is not looked at.
        seconds: how long it took; None if nobody measured that.
        error_type: why it failed, if it did.
        totals: what it used, with everything below it.
        span: its span, for exemplars.
        charge: what it was charged.
        labels: who pays.
        label_rules: which of the labels our own metrics carry.
        chunks: seconds between the chunks of a stream.
        tool_tokens: of an agent's model call, the input tokens by tool and part.
    """

    operation: operations.Operation
    seconds: float | None
    error_type: str | None
    totals: Totals | None
    span: SpanContext
    charge: CallCost | None
    labels: Mapping[str, str]
    label_rules: LabelRules
    chunks: Sequence[float] = ()
    tool_tokens: Mapping[tuple[str, str], int] = {}


class Waiting:
    """What is yet to be recorded.

    To record one measurement takes the SDK a dozen microseconds, three times that when its code is not in the
    processor's caches, as it never is inside an application. So what ended is only noted, and recorded when metrics
    are collected; if they are not collected, a few at a time.
    """

    def __init__(self, record: Callable[[Ended], None]) -> None:
        self._record = record
        self._ended: deque[Ended] = deque()

    def add(self, ended: Ended) -> None:
        """Notes an operation; its content is not kept."""
        self._ended.append(ended)
        if len(self._ended) > _MAX_WAITING:
            self.drain(_AT_A_TIME)

    def clear(self) -> None:
        """Forgets what waits."""
        self._ended.clear()

    @guarded
    def drain(self, most: int | None = None) -> None:
        """Records what waits, or `most` of it.

        All of it may take a tenth of a second, in which the application gets its turns.
        """
        for number in range(len(self._ended) if most is None else most):
            if number and number % _AT_A_TIME == 0:
                time.sleep(_PAUSE_SECONDS)
            try:
                ended = self._ended.popleft()
            except IndexError:  # another thread drains too
                return
            self._record(ended)


class Metrics:
    """The instruments of one meter provider (None: the global one, also when it is set later).

    Get them by `instruments`: an application may make a handler for every call.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        self._kept = None if meter_provider is None else _keeps(type(meter_provider))
        self.counts = SpanCounts()
        self._label_values = LabelValues()
        self._waiting = Waiting(self._record)
        fork.run_in_child(self.counts.reset)  # what was counted before the fork is the parent's to tell
        fork.run_in_child(self._waiting.clear)
        meter = metrics.get_meter(
            semconv.SCOPE, version("otel-callbacks"), meter_provider, schema_url=semconv.SCHEMA_URL
        )

        def histogram(name: str, unit: str, buckets: Sequence[float], description: str) -> Histogram:
            return meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=buckets
            )

        def counter(name: str, unit: str, description: str) -> Counter:
            return Counter(meter, name, unit, description, self._waiting.drain)

        tokens = functools.partial(counter, unit="{token}")

        self._inference = histogram(
            semconv.METRIC_INFERENCE_DURATION, "s", _DURATION, "Duration of a model call"
        )
        self._first_chunk = histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK, "s", _DURATION, "Time from the request to the first chunk"
        )
        self._chunk = histogram(
            semconv.METRIC_TIME_PER_OUTPUT_CHUNK, "s", _DURATION, "Time per chunk after the first"
        )
        self._input = tokens(semconv.METRIC_USAGE_INPUT_TOKENS, description="Input tokens used")
        self._output = tokens(semconv.METRIC_USAGE_OUTPUT_TOKENS, description="Output tokens used")
        self._cache_read = tokens(
            semconv.METRIC_USAGE_CACHE_READ, description="Input tokens read from a cache"
        )
        self._cache_write = tokens(
            semconv.METRIC_USAGE_CACHE_WRITE, description="Input tokens written to a cache"
        )
        self._reasoning = tokens(
            semconv.METRIC_USAGE_REASONING, description="Output tokens used for reasoning"
        )
        self._call_input = histogram(
            semconv.METRIC_OPERATION_INPUT_TOKENS, "{token}", _TOKENS, "Input tokens of one call"
        )
        self._call_output = histogram(
            semconv.METRIC_OPERATION_OUTPUT_TOKENS, "{token}", _TOKENS, "Output tokens of one call"
        )
        self._client = histogram(
            semconv.METRIC_CLIENT_OPERATION_DURATION, "s", _DURATION, "Duration of a client operation"
        )
        self._workflow = histogram(semconv.METRIC_WORKFLOW_DURATION, "s", _WORKFLOW, "Duration of a workflow")
        self._agent = histogram(semconv.METRIC_AGENT_DURATION, "s", _AGENT, "Duration of an agent invocation")
        self._inference_calls = histogram(
            semconv.METRIC_AGENT_INFERENCE_CALLS,
            "{inference_call}",
            _CALLS,
            "Model calls of one agent invocation",
        )
        self._tool_calls = histogram(
            semconv.METRIC_AGENT_TOOL_CALLS, "{tool_call}", _CALLS, "Tool calls of one agent invocation"
        )
        self._tool = histogram(semconv.METRIC_TOOL_DURATION, "s", _DURATION, "Duration of a tool execution")
        self._cost_metrics = CostMetrics(counter)
        for name, field in (
            (semconv.METRIC_SPANS_STARTED, "started"),
            (semconv.METRIC_SPANS_ENDED, "ended"),
            (semconv.METRIC_SPANS_SWEPT, "swept"),
            (semconv.METRIC_SPANS_ERRORS, "errors"),
        ):
            meter.create_observable_counter(name, [self._observe_count(field)], "{span}")

    def are_kept(self) -> bool:
        """Whether there is a meter provider that keeps what is recorded."""
        return _keeps(type(metrics.get_meter_provider())) if self._kept is None else self._kept

    def ended(self, ended: Ended) -> None:
        """Takes an operation that has ended."""
        self._waiting.add(ended)

    def drain(self) -> None:
        """Records at once what waits to be recorded at the next collection."""
        self._waiting.drain()

    def exceeded(self, per: str, labels: Mapping[str, str], rules: LabelRules) -> None:
        """Counts that a budget was exceeded by a call with these labels."""
        self._cost_metrics.exceeded(per, self._label_values.limited(rules, labels))

    def _observe_count(self, field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            self._waiting.drain()  # observable instruments are asked before the others are read
            return (Observation(getattr(self.counts, field)),)

        return observe

    def _record(self, ended: Ended) -> None:
        operation, seconds = ended.operation, ended.seconds or 0.0
        context = trace.set_span_in_context(trace.NonRecordingSpan(ended.span), Context())
        attributes: _Attributes = {semconv.ERROR_TYPE: ended.error_type} if ended.error_type else {}
        match operation:
            case operations.Inference():
                self._record_inference(operation, ended, attributes, context)
            case operations.Retrieval():
                attributes |= _client_attributes(operation, operation.embedding_model, None)
                self._client.record(seconds, attributes, context)
            case operations.Embedding():
                attributes |= _client_attributes(operation, operation.name, operation.response_model)
                self._client.record(seconds, attributes, context)
            case operations.ToolExecution():
                _put(attributes, semconv.TOOL_NAME, operation.name)
                _put(attributes, semconv.TOOL_TYPE, operation.type)
                _put(attributes, semconv.AGENT_NAME, operation.agent_name)
                self._tool.record(seconds, attributes, context)
            case operations.AgentInvocation():
                named: _Attributes = {}
                _put(named, semconv.AGENT_NAME, operation.name)
                totals = ended.totals
                calls, tools = (totals.own_inference_calls, totals.own_tool_calls) if totals else (0, 0)
                self._agent.record(seconds, attributes | named, context)
                self._inference_calls.record(calls, named, context)
                self._tool_calls.record(tools, named, context)
            case operations.Workflow():
                _put(attributes, semconv.WORKFLOW_NAME, operation.name)
                self._workflow.record(seconds, attributes, context)
        if ended.charge is not None:
            labels = self._label_values.limited(ended.label_rules, ended.labels)
            self._cost_metrics.by_tool(ended.tool_tokens)
            self.counts.unpriced += self._cost_metrics.record(operation, ended.charge, labels)

    def _record_inference(
        self, operation: operations.Inference, ended: Ended, error: _Attributes, context: Context
    ) -> None:
        attributes = _client_attributes(operation, operation.name, operation.response_model)
        if ended.seconds is not None:
            self._inference.record(ended.seconds, attributes | error, context)
        if operation.time_to_first_chunk is not None:
            self._first_chunk.record(operation.time_to_first_chunk, attributes, context)
        for seconds in ended.chunks:
            self._chunk.record(seconds, attributes, context)
        usage = operation.usage
        if usage is None or operation.cached:
            return
        if usage.input_tokens is not None:
            self._call_input.record(usage.input_tokens, attributes, context)
            _add_by_modality(self._input, usage.input_tokens, usage.audio_input_tokens, attributes)
        if usage.output_tokens is not None:
            self._call_output.record(usage.output_tokens, attributes, context)
            _add_by_modality(self._output, usage.output_tokens, usage.audio_output_tokens, attributes)
        for tokens, counter in (
            (usage.cache_read_input_tokens, self._cache_read),
            (usage.cache_write_input_tokens, self._cache_write),
            (usage.reasoning_output_tokens, self._reasoning),
        ):
            if tokens:
                counter.add(tokens, {**attributes, semconv.TOKEN_MODALITY: "unknown"})


@functools.lru_cache(maxsize=64)
def _keeps(kind: type[MeterProvider]) -> bool:
    """Whether providers of a kind keep what is recorded: those of the API itself do not."""
    return not kind.__module__.startswith(metrics.__name__)


def _client_attributes(
    operation: operations.Inference | operations.Embedding | operations.Retrieval,
    model: str | None,
    response_model: str | None,
) -> _Attributes:
    attributes: _Attributes = {}
    _put(attributes, semconv.OPERATION_NAME, span_attributes.operation_name(operation))
    _put(attributes, semconv.PROVIDER_NAME, operation.provider)
    _put(attributes, semconv.REQUEST_MODEL, model)
    _put(attributes, semconv.RESPONSE_MODEL, response_model)
    _put(attributes, semconv.SERVER_ADDRESS, operation.server_address)
    _put(attributes, semconv.SERVER_PORT, operation.server_port)
    return attributes


def _put(attributes: _Attributes, name: str, value: str | int | None) -> None:
    if value is not None:
        attributes[name] = value


def _add_by_modality(counter: Counter, total: int, audio: int | None, attributes: _Attributes) -> None:
    """Counts the audio tokens as such; of the rest neither the provider nor we can tell text from image."""
    if audio:
        counter.add(audio, {**attributes, semconv.TOKEN_MODALITY: "audio"})
    if (rest := total - (audio or 0)) > 0:
        counter.add(rest, {**attributes, semconv.TOKEN_MODALITY: "unknown"})


_global = functools.cache(lambda: Metrics(None))
_of_provider: "weakref.WeakKeyDictionary[MeterProvider, Metrics]" = weakref.WeakKeyDictionary()


def instruments(meter_provider: MeterProvider | None) -> Metrics:
    """The instruments of a meter provider, made once: a second set would not be heard by the same provider."""
    if meter_provider is None or meter_provider is metrics.get_meter_provider():
        return _global()
    if meter_provider not in _of_provider:
        _of_provider[meter_provider] = Metrics(meter_provider)
    return _of_provider[meter_provider]


def span_counts(meter_provider: MeterProvider | None) -> list[SpanCounts]:
    """The counts of handlers that were given no meter provider, and of those that were given this one."""
    used = {instruments(None), instruments(meter_provider)}
    for each in used:
        each.drain()
    return [each.counts for each in used]
