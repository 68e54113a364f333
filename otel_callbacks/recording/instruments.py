"""The conventions' instruments, with exactly their attributes and buckets."""

from collections.abc import Callable, Sequence
from operator import attrgetter

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from otel_callbacks import operations, semconv
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.counter import Counter
from otel_callbacks.recording.metrics_queue import EndedOperation

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (
    *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
    *(1048576, 4194304, 16777216, 67108864),
)
_WORKFLOW = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_AGENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_CALLS = (1, 2, 4, 8, 16, 32, 64, 128)

_Attributes = dict[str, str | int]


class Instruments:
    """The conventions' instruments of one meter.

    Args:
        meter: makes the instruments.
        before_reading: is called before a counter is read, see `Counter`.
    """

    def __init__(self, meter: Meter, before_reading: Callable[[], None]) -> None:
        self._meter = meter
        self._before_reading = before_reading
        self._create_for_inference()
        self._create_for_other_operations()

    def _create_for_inference(self) -> None:
        self._inference = self._histogram(
            semconv.METRIC_INFERENCE_DURATION, "s", _DURATION, "Duration of a model call"
        )
        self._first_chunk = self._histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK, "s", _DURATION, "Time from the request to the first chunk"
        )
        self._chunk = self._histogram(
            semconv.METRIC_TIME_PER_OUTPUT_CHUNK, "s", _DURATION, "Time per chunk after the first"
        )
        self._input = self._token_counter(semconv.METRIC_USAGE_INPUT_TOKENS, "Input tokens used")
        self._output = self._token_counter(semconv.METRIC_USAGE_OUTPUT_TOKENS, "Output tokens used")
        self._cache_read = self._token_counter(
            semconv.METRIC_USAGE_CACHE_READ, "Input tokens read from a cache"
        )
        self._cache_write = self._token_counter(
            semconv.METRIC_USAGE_CACHE_WRITE, "Input tokens written to a cache"
        )
        self._reasoning = self._token_counter(
            semconv.METRIC_USAGE_REASONING, "Output tokens used for reasoning"
        )
        self._call_input = self._histogram(
            semconv.METRIC_OPERATION_INPUT_TOKENS, "{token}", _TOKENS, "Input tokens of one call"
        )
        self._call_output = self._histogram(
            semconv.METRIC_OPERATION_OUTPUT_TOKENS, "{token}", _TOKENS, "Output tokens of one call"
        )

    def _create_for_other_operations(self) -> None:
        self._client = self._histogram(
            semconv.METRIC_CLIENT_OPERATION_DURATION, "s", _DURATION, "Duration of a client operation"
        )
        self._workflow = self._histogram(
            semconv.METRIC_WORKFLOW_DURATION, "s", _WORKFLOW, "Duration of a workflow"
        )
        self._agent = self._histogram(
            semconv.METRIC_AGENT_DURATION, "s", _AGENT, "Duration of an agent invocation"
        )
        self._inference_calls = self._histogram(
            semconv.METRIC_AGENT_INFERENCE_CALLS,
            "{inference_call}",
            _CALLS,
            "Model calls of one agent invocation",
        )
        self._tool_calls = self._histogram(
            semconv.METRIC_AGENT_TOOL_CALLS, "{tool_call}", _CALLS, "Tool calls of one agent invocation"
        )
        self._tool = self._histogram(
            semconv.METRIC_TOOL_DURATION, "s", _DURATION, "Duration of a tool execution"
        )

    def _histogram(self, name: str, unit: str, buckets: Sequence[float], description: str) -> Histogram:
        return self._meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=buckets
        )

    def _token_counter(self, name: str, description: str) -> Counter:
        return Counter(self._meter, name, "{token}", description, self._before_reading)

    def record(self, ended: EndedOperation) -> None:
        """Records the conventions' metrics of an operation that has ended."""
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
                agent: _Attributes = {}
                _put(agent, semconv.AGENT_NAME, operation.name)
                totals = ended.totals
                calls, tools = (totals.own_inference_calls, totals.own_tool_calls) if totals else (0, 0)
                self._agent.record(seconds, attributes | agent, context)
                self._inference_calls.record(calls, agent, context)
                self._tool_calls.record(tools, agent, context)
            case operations.Workflow():
                _put(attributes, semconv.WORKFLOW_NAME, operation.name)
                self._workflow.record(seconds, attributes, context)

    def _record_inference(
        self, operation: operations.Inference, ended: EndedOperation, error: _Attributes, context: Context
    ) -> None:
        attributes = _client_attributes(operation, operation.name, operation.response_model)
        if ended.seconds is not None:
            self._inference.record(ended.seconds, attributes | error, context)
        if operation.time_to_first_chunk is not None:
            self._first_chunk.record(operation.time_to_first_chunk, attributes, context)
        for seconds in ended.chunk_gaps:
            self._chunk.record(seconds, attributes, context)
        usage = operation.usage
        if usage is None or operation.cached:
            return
        if usage.input_tokens is not None:
            self._call_input.record(usage.input_tokens, attributes, context)
            _add_by_modality(self._input, usage.input_tokens, _INPUT_PARTS(usage), attributes)
        if usage.output_tokens is not None:
            self._call_output.record(usage.output_tokens, attributes, context)
            _add_by_modality(self._output, usage.output_tokens, _OUTPUT_PARTS(usage), attributes)
        if usage.cache_read_input_tokens:
            _add_by_modality(
                self._cache_read, usage.cache_read_input_tokens, _CACHE_READ_PARTS(usage), attributes
            )
        for tokens, counter in (
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


_MODALITIES = ("text", "image", "audio")
_INPUT_PARTS, _OUTPUT_PARTS, _CACHE_READ_PARTS = (
    attrgetter(*(f"{modality}_{count}_tokens" for modality in _MODALITIES))
    for count in ("input", "output", "cache_read_input")
)


def _add_by_modality(
    counter: Counter, total: int, parts: Sequence[int | None], attributes: _Attributes
) -> None:
    """Counts tokens by modality; that of those which the provider does not report apart is unknown."""
    rest = total
    for modality, tokens in zip(_MODALITIES, parts, strict=True):
        if tokens and tokens <= rest:
            counter.add(tokens, {**attributes, semconv.TOKEN_MODALITY: modality})
            rest -= tokens
    if rest > 0:
        counter.add(rest, {**attributes, semconv.TOKEN_MODALITY: "unknown"})
