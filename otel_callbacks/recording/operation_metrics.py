"""The metrics of operations that share all metric attributes: one model, one tool, one agent ...

The attributes are put together once, and every later operation only adds numbers.
"""

from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import Any, Protocol

from otel_callbacks import operations, semconv
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.counter import Counter, Sum
from otel_callbacks.recording.durations import Durations
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperation
from otel_callbacks.recording.own_metrics import Names, RetrievalMetrics
from otel_callbacks.recording.released_metrics import ReleasedMetrics
from otel_callbacks.recording.series import HistogramSeries

Attributes = dict[str, str | int]

_MODALITIES = ("text", "image", "audio")
_INPUT_PARTS, _OUTPUT_PARTS, _CACHE_READ_PARTS = (
    attrgetter(*(f"{modality}_{count}_tokens" for modality in _MODALITIES))
    for count in ("input", "output", "cache_read_input")
)


class OperationMetrics(Protocol):
    """Takes ended operations, and hands what it collected to the SDK."""

    def record(self, ended: EndedOperation) -> None: ...  # noqa: D102

    def hand_over(self) -> None: ...  # noqa: D102


class _AgentMetrics:
    """The durations of an agent, and the calls that it makes in one invocation."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._durations = Durations(instruments.agent, attributes)
        self._inference_calls = HistogramSeries(instruments.inference_calls, attributes)
        self._tool_calls = HistogramSeries(instruments.tool_calls, attributes)

    def record(self, ended: EndedOperation) -> None:
        self._durations.record(ended)
        totals = ended.totals
        self._inference_calls.add((totals.sums.own_inference_calls if totals else 0, ended.span))
        self._tool_calls.add((totals.sums.own_tool_calls if totals else 0, ended.span))

    def hand_over(self) -> None:
        for each in (self._durations, self._inference_calls, self._tool_calls):
            each.hand_over()


class _InferenceMetrics:
    """The durations, chunks and tokens of one model."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._instruments = instruments
        self._attributes = attributes
        self._durations = Durations(instruments.inference, attributes)
        self._first_chunk = HistogramSeries(instruments.first_chunk, attributes)
        self._chunk = HistogramSeries(instruments.chunk, attributes)
        self._input = HistogramSeries(instruments.call_input, attributes)
        self._output = HistogramSeries(instruments.call_output, attributes)
        self._sums: dict[tuple[Counter, str], Sum] = {}
        self._released = ReleasedMetrics(instruments, attributes)

    def record(self, ended: EndedOperation) -> None:
        operation: Any = ended.operation
        if ended.released_names:
            self._released.record(ended)
        if ended.seconds is not None:
            self._durations.record(ended)
        if operation.time_to_first_chunk is not None:
            self._first_chunk.add((operation.time_to_first_chunk, ended.span))
        for seconds in ended.chunk_gaps:
            self._chunk.add((seconds, ended.span))
        usage: operations.Usage | None = operation.usage
        if usage is None or operation.cached:
            return
        counters = self._instruments
        if usage.input_tokens is not None:
            self._input.add((usage.input_tokens, ended.span))
            self._count_by_modality(counters.input, usage.input_tokens, _INPUT_PARTS(usage))
        if usage.output_tokens is not None:
            self._output.add((usage.output_tokens, ended.span))
            self._count_by_modality(counters.output, usage.output_tokens, _OUTPUT_PARTS(usage))
        if usage.cache_read_input_tokens:
            parts = _CACHE_READ_PARTS(usage)
            self._count_by_modality(counters.cache_read, usage.cache_read_input_tokens, parts)
        if usage.cache_write_input_tokens:
            self._count(counters.cache_write, usage.cache_write_input_tokens)
        if usage.reasoning_output_tokens:
            self._count(counters.reasoning, usage.reasoning_output_tokens)

    def _count_by_modality(self, counter: Counter, total: int, parts: Sequence[int | None]) -> None:
        """Counts tokens by modality; that of those which the provider does not report apart is unknown."""
        rest = total
        if any(parts):
            for modality, tokens in zip(_MODALITIES, parts, strict=True):
                if tokens and tokens <= rest:
                    self._count(counter, tokens, modality)
                    rest -= tokens
        if rest > 0:
            self._count(counter, rest)

    def _count(self, counter: Counter, tokens: int, modality: str = "unknown") -> None:
        known = self._sums.get((counter, modality))
        if known is None:
            known = counter.sum({**self._attributes, semconv.TOKEN_MODALITY: modality})
            self._sums[counter, modality] = known
        known.total += tokens

    def hand_over(self) -> None:
        for each in (self._durations, self._first_chunk, self._chunk, self._input, self._output):
            each.hand_over()
        self._released.hand_over()


class _EmbeddingMetrics:
    """The durations of one embedding model, and its tokens under the released name."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._durations = Durations(instruments.client, attributes)
        self._released = ReleasedMetrics(instruments, attributes)

    def record(self, ended: EndedOperation) -> None:
        self._durations.record(ended)
        if ended.released_names:
            self._released.record_tokens(ended)

    def hand_over(self) -> None:
        self._durations.hand_over()
        self._released.hand_over()


def metrics_key(operation: operations.Operation) -> Hashable:
    """Returns what operations have in common that share all metric attributes; None for one without metrics."""
    fields = _KEYS.get(type(operation))
    return None if fields is None else fields(operation)


def metrics_for(instruments: Instruments, operation: operations.Operation, names: Names) -> OperationMetrics:
    """Returns new metrics for operations with the key of this one; `names` bounds those of our own metrics."""
    match operation:
        case operations.Inference():
            attributes = _client_attributes(operation, operation.name, operation.response_model)
            return _InferenceMetrics(instruments, attributes)
        case operations.Embedding():
            attributes = _client_attributes(operation, operation.name, operation.response_model)
            return _EmbeddingMetrics(instruments, attributes)
        case operations.Retrieval():
            durations = Durations(instruments.client, _client_attributes(operation, None, None))
            return RetrievalMetrics(instruments, durations, names, operation)
        case operations.Rerank():
            attributes = names.put({}, semconv.RAG_RERANK_MODEL, operation.name)
            return Durations(instruments.rerank, _put(attributes, semconv.PROVIDER_NAME, operation.provider))
        case operations.Step():
            return Durations(instruments.step, names.put({}, semconv.STEP_NAME, operation.name))
        case operations.ToolExecution():
            attributes = {semconv.TOOL_TYPE: operation.type}
            _put(attributes, semconv.TOOL_NAME, operation.name)
            _put(attributes, semconv.AGENT_NAME, operation.agent_name)
            return Durations(instruments.tool, attributes)
        case operations.AgentInvocation():
            return _AgentMetrics(instruments, _put({}, semconv.AGENT_NAME, operation.name))
        case _:
            return Durations(instruments.workflow, _put({}, semconv.WORKFLOW_NAME, operation.name))


_KEYS: dict[type[operations.Operation], Callable[[Any], Hashable]] = {
    operations.Inference: lambda o: (
        *("inference", o.text_completion, o.provider_or_integration, o.name, o.response_model),
        *(o.server_address, o.server_port),
    ),
    operations.Embedding: lambda o: (
        *("embedding", o.provider_or_integration, o.name, o.response_model, o.server_address, o.server_port),
    ),
    operations.Retrieval: lambda o: (
        *("retrieval", o.provider, o.server_address, o.server_port, o.name, o.score_kind),
    ),
    operations.Rerank: lambda o: ("rerank", o.name, o.provider),
    operations.Step: lambda o: ("step", o.name),
    operations.ToolExecution: lambda o: ("tool", o.name, o.type, o.agent_name),
    operations.AgentInvocation: lambda o: ("agent", o.name),
    operations.Workflow: lambda o: ("workflow", o.name),
}


def _client_attributes(
    operation: operations.Inference | operations.Embedding | operations.Retrieval,
    model: str | None,
    response_model: str | None,
) -> Attributes:
    attributes: Attributes = {}
    _put(attributes, semconv.OPERATION_NAME, span_attributes.operation_name(operation))
    provider = getattr(operation, "provider_or_integration", operation.provider)
    _put(attributes, semconv.PROVIDER_NAME, provider)
    _put(attributes, semconv.REQUEST_MODEL, model)
    _put(attributes, semconv.RESPONSE_MODEL, response_model)
    _put(attributes, semconv.SERVER_ADDRESS, operation.server_address)
    return _put(attributes, semconv.SERVER_PORT, operation.server_port)


def _put(attributes: Attributes, name: str, value: str | int | None) -> Attributes:
    if value is not None:
        attributes[name] = value
    return attributes
