"""The conventions' metrics, with exactly their attributes and buckets, and counters of our own doing."""

import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

from otel_callbacks import fork, mapping, operations, semconv
from otel_callbacks.cost.rollup import Totals

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (
    *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
    *(1048576, 4194304, 16777216, 67108864),
)
_WORKFLOW = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_AGENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_CALLS = (1, 2, 4, 8, 16, 32, 64, 128)

_MAX_SUMS = 2_000  # the SDK's own cardinality limit
_OVERFLOW: frozenset[tuple[str, str | int]] = frozenset({("otel.metric.overflow", True)})

_MAX_WAITING = 4_096
_AT_A_TIME = 32

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


class Sum:
    """A counter whose additions cost a dictionary update.

    The SDK's own costs a dozen microseconds each, and a model call adds to several. So the sums are kept here and
    read when metrics are collected; what is exported is the same monotonic sum.
    """

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self.reset()
        meter.create_observable_counter(name, [self._observe], unit, description)

    def reset(self) -> None:
        """Starts from nothing."""
        self._sums: dict[frozenset[tuple[str, str | int]], float] = {}
        self._lock = threading.Lock()

    def add(self, amount: float, attributes: _Attributes) -> None:
        """Adds to the sum of these attributes; past the cardinality limit, to the SDK's overflow sum."""
        key = frozenset(attributes.items())
        with self._lock:
            if key not in self._sums and len(self._sums) >= _MAX_SUMS:
                key = _OVERFLOW
            self._sums[key] = self._sums.get(key, 0) + amount

    def _observe(self, options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            sums = list(self._sums.items())
        return [Observation(total, dict(key)) for key, total in sums]


class Waiting:
    """Measurements that wait to be recorded.

    To record one takes the SDK a dozen microseconds, three times that when its code is not in the processor's
    caches, as it never is inside an application. So they are recorded together when metrics are collected; if they
    are not collected, a few at a time.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts from nothing."""
        self._measurements: deque[tuple[Histogram, float, _Attributes, Context]] = deque()

    def record(self, histogram: Histogram, amount: float, attributes: _Attributes, context: Context) -> None:
        """Takes a measurement, and its attributes for keeps; `context` holds the span an exemplar points to."""
        self._measurements.append((histogram, amount, attributes, context))
        if len(self._measurements) > _MAX_WAITING:
            self.drain(_AT_A_TIME)

    def drain(self, most: int | None = None) -> None:
        """Records what waits, or `most` of it."""
        for _ in range(len(self._measurements) if most is None else most):
            try:
                histogram, amount, attributes, context = self._measurements.popleft()
            except IndexError:  # another thread drains too
                return
            histogram.record(amount, attributes, context)


class Metrics:
    """The instruments of one meter provider (None: the global one, also when it is set later).

    Get them by `instruments`: an application may make a handler for every call.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        self.counts = SpanCounts()
        fork.in_child(self._reset)
        self._waiting = Waiting()
        self._sums: list[Sum] = []
        meter = metrics.get_meter(
            semconv.SCOPE, version("otel-callbacks"), meter_provider, schema_url=semconv.SCHEMA_URL
        )

        def histogram(name: str, unit: str, buckets: Sequence[float], description: str) -> Histogram:
            return meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=buckets
            )

        def tokens(name: str, description: str) -> Sum:
            self._sums.append(Sum(meter, name, "{token}", description))
            return self._sums[-1]

        self._inference = histogram(
            semconv.METRIC_INFERENCE_DURATION, "s", _DURATION, "Duration of a model call"
        )
        self._first_chunk = histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK, "s", _DURATION, "Time from the request to the first chunk"
        )
        self._chunk = histogram(
            semconv.METRIC_TIME_PER_OUTPUT_CHUNK, "s", _DURATION, "Time per chunk after the first"
        )
        self._input = tokens(semconv.METRIC_USAGE_INPUT_TOKENS, "Input tokens used")
        self._output = tokens(semconv.METRIC_USAGE_OUTPUT_TOKENS, "Output tokens used")
        self._cache_read = tokens(semconv.METRIC_USAGE_CACHE_READ, "Input tokens read from a cache")
        self._cache_write = tokens(semconv.METRIC_USAGE_CACHE_WRITE, "Input tokens written to a cache")
        self._reasoning = tokens(semconv.METRIC_USAGE_REASONING, "Output tokens used for reasoning")
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
        for name, field in (
            (semconv.METRIC_SPANS_STARTED, "started"),
            (semconv.METRIC_SPANS_ENDED, "ended"),
            (semconv.METRIC_SPANS_SWEPT, "swept"),
            (semconv.METRIC_SPANS_ERRORS, "errors"),
        ):
            meter.create_observable_counter(name, [self._observe_count(field)], "{span}")

    def ended(
        self,
        operation: operations.Operation,
        seconds: float,
        error_type: str | None,
        totals: Totals | None,
        context: Context,
    ) -> None:
        """Records an operation that has ended.

        Args:
            operation: the operation, complete.
            seconds: the duration of its span.
            error_type: why it failed, if it did.
            totals: what it used, with everything below it.
            context: holds its span, for exemplars.
        """
        attributes: _Attributes = {semconv.ERROR_TYPE: error_type} if error_type else {}
        match operation:
            case operations.Inference():
                self._record_inference(operation, seconds, attributes, context)
            case operations.Retrieval():
                attributes |= _client_attributes(operation, operation.embedding_model, None)
                self._waiting.record(self._client, seconds, attributes, context)
            case operations.Embedding():
                attributes |= _client_attributes(operation, operation.name, operation.response_model)
                self._waiting.record(self._client, seconds, attributes, context)
            case operations.ToolExecution():
                _put(attributes, semconv.TOOL_NAME, operation.name)
                _put(attributes, semconv.TOOL_TYPE, operation.type)
                _put(attributes, semconv.AGENT_NAME, operation.agent_name)
                self._waiting.record(self._tool, seconds, attributes, context)
            case operations.AgentInvocation():
                named: _Attributes = {}
                _put(named, semconv.AGENT_NAME, operation.name)
                calls, tools = (totals.own_inference_calls, totals.own_tool_calls) if totals else (0, 0)
                self._waiting.record(self._agent, seconds, attributes | named, context)
                self._waiting.record(self._inference_calls, calls, named, context)
                self._waiting.record(self._tool_calls, tools, named, context)
            case operations.Workflow():
                _put(attributes, semconv.WORKFLOW_NAME, operation.name)
                self._waiting.record(self._workflow, seconds, attributes, context)

    def _observe_count(self, field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            self._waiting.drain()  # observable instruments are asked before the others are read
            return (Observation(getattr(self.counts, field)),)

        return observe

    def _reset(self) -> None:
        """Starts from nothing, in a forked child: what was counted before is the parent's to tell."""
        self.counts.reset()
        self._waiting.reset()
        for each in self._sums:
            each.reset()

    def drain(self) -> None:
        """Records at once what waits to be recorded at the next collection."""
        self._waiting.drain()

    def chunk(self, operation: operations.Inference, seconds: float, context: Context) -> None:
        """Records the time since the previous chunk of a stream."""
        attributes = _client_attributes(operation, operation.name, operation.response_model)
        self._waiting.record(self._chunk, seconds, attributes, context)

    def _record_inference(
        self, operation: operations.Inference, seconds: float, error: _Attributes, context: Context
    ) -> None:
        attributes = _client_attributes(operation, operation.name, operation.response_model)
        self._waiting.record(self._inference, seconds, attributes | error if error else attributes, context)
        if operation.time_to_first_chunk is not None:
            self._waiting.record(self._first_chunk, operation.time_to_first_chunk, attributes, context)
        usage = operation.usage
        if usage is None or operation.cached:
            return
        if usage.input_tokens is not None:
            self._waiting.record(self._call_input, usage.input_tokens, attributes, context)
            _add_by_modality(self._input, usage.input_tokens, usage.audio_input_tokens, attributes)
        if usage.output_tokens is not None:
            self._waiting.record(self._call_output, usage.output_tokens, attributes, context)
            _add_by_modality(self._output, usage.output_tokens, usage.audio_output_tokens, attributes)
        for tokens, counter in (
            (usage.cache_read_input_tokens, self._cache_read),
            (usage.cache_write_input_tokens, self._cache_write),
            (usage.reasoning_output_tokens, self._reasoning),
        ):
            if tokens:
                counter.add(tokens, {**attributes, semconv.TOKEN_MODALITY: "unknown"})


def _client_attributes(
    operation: operations.Inference | operations.Embedding | operations.Retrieval,
    model: str | None,
    response_model: str | None,
) -> _Attributes:
    attributes: _Attributes = {}
    _put(attributes, semconv.OPERATION_NAME, mapping.operation_name(operation))
    _put(attributes, semconv.PROVIDER_NAME, operation.provider)
    _put(attributes, semconv.REQUEST_MODEL, model)
    _put(attributes, semconv.RESPONSE_MODEL, response_model)
    _put(attributes, semconv.SERVER_ADDRESS, operation.server_address)
    _put(attributes, semconv.SERVER_PORT, operation.server_port)
    return attributes


def _put(attributes: _Attributes, name: str, value: str | int | None) -> None:
    if value is not None:
        attributes[name] = value


def _add_by_modality(counter: Sum, total: int, audio: int | None, attributes: _Attributes) -> None:
    """Counts the audio tokens as such; of the rest neither the provider nor we can tell text from image."""
    if audio:
        counter.add(audio, {**attributes, semconv.TOKEN_MODALITY: "audio"})
    if (rest := total - (audio or 0)) > 0:
        counter.add(rest, {**attributes, semconv.TOKEN_MODALITY: "unknown"})


_global = functools.cache(lambda: Metrics(None))
_of_provider: "weakref.WeakKeyDictionary[MeterProvider, Metrics]" = weakref.WeakKeyDictionary()


def instruments(meter_provider: MeterProvider | None) -> Metrics:
    """The instruments of a meter provider, made once."""
    if meter_provider is None:
        return _global()
    if meter_provider not in _of_provider:
        _of_provider[meter_provider] = Metrics(meter_provider)
    return _of_provider[meter_provider]


def span_counts(meter_provider: MeterProvider | None) -> list[SpanCounts]:
    """The counts of handlers that were given no meter provider, and of those that were given this one."""
    used = [None] if meter_provider is None else [None, meter_provider]
    return [instruments(each).counts for each in used]
