"""The metrics of operations that share all metric attributes: one model, one tool, one agent ...

The attributes are put together once, and every later operation only adds numbers.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from operator import attrgetter, call
from typing import Any, Protocol

from otel_callbacks import operations, semconv
from otel_callbacks.cost.totals import Totals
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.columns import read
from otel_callbacks.recording.counter import Counter, Sum
from otel_callbacks.recording.durations import CallTimes, Durations
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperations
from otel_callbacks.recording.own_metrics import Names, RetrievalMetrics
from otel_callbacks.recording.released_metrics import ReleasedMetrics, usages_of_calls
from otel_callbacks.recording.series import HistogramSeries

Attributes = dict[str, str | int]

_MODALITIES = ("text", "image", "audio")
_NOTHING = Totals()


class OperationMetrics(Protocol):
    """Takes ended operations, and hands what it collected to the SDK."""

    def record(self, ended: EndedOperations) -> None: ...  # noqa: D102

    def hand_over(self) -> None: ...  # noqa: D102


class _AgentMetrics:
    """The durations of an agent, and the calls that it makes in one invocation."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._durations = Durations(instruments.agent, attributes)
        self._inference_calls = HistogramSeries(instruments.inference_calls, attributes)
        self._tool_calls = HistogramSeries(instruments.tool_calls, attributes)

    def record(self, ended: EndedOperations) -> None:
        self._durations.record(ended)
        sums = [(totals or _NOTHING).sums for totals in ended.totals]
        self._inference_calls.add(read(sums, "own_inference_calls"), ended.spans)
        self._tool_calls.add(read(sums, "own_tool_calls"), ended.spans)

    def hand_over(self) -> None:
        for each in (self._durations, self._inference_calls, self._tool_calls):
            each.hand_over()


class _InferenceMetrics:
    """The durations, chunks and tokens of one model."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._instruments = to = instruments
        self._attributes = attributes
        self._times = CallTimes(to.inference, to.first_chunk, to.chunk, attributes)
        self._input = HistogramSeries(to.call_input, attributes)
        self._output = HistogramSeries(to.call_output, attributes)
        self._sums: dict[tuple[Counter, str], Sum] = {}
        self._released = ReleasedMetrics(to, attributes)

    def record(self, ended: EndedOperations) -> None:
        self._released.record(ended)
        self._times.record(ended)
        usages, spans = usages_of_calls(ended)
        self._input.add(read(usages, "input_tokens"), spans)
        self._output.add(read(usages, "output_tokens"), spans)
        counters = self._instruments
        self._count_by_modality(counters.input, usages, "input_tokens")
        self._count_by_modality(counters.output, usages, "output_tokens")
        self._count_by_modality(counters.cache_read, usages, "cache_read_input_tokens")
        self._count(counters.cache_write, sum(filter(None, read(usages, "cache_write_input_tokens"))))
        self._count(counters.reasoning, sum(filter(None, read(usages, "reasoning_output_tokens"))))

    def _count_by_modality(
        self, counter: Counter, usages: Sequence[operations.Usage | None], name: str
    ) -> None:
        """Counts tokens by modality; that of those which the provider does not report apart is unknown."""
        totals = read(usages, name)
        unknown = sum(filter(None, totals))
        parts = [read(usages, f"{modality}_{name}") for modality in _MODALITIES]
        if any(chain(*parts)):
            for total, *reported in zip(totals, *parts, strict=True):
                rest = total or 0
                for modality, tokens in zip(_MODALITIES, reported, strict=True):
                    if tokens and tokens <= rest:
                        self._count(counter, tokens, modality)
                        rest -= tokens
                        unknown -= tokens
        self._count(counter, unknown)

    def _count(self, counter: Counter, tokens: int, modality: str = "unknown") -> None:
        if not tokens:
            return
        known = self._sums.get((counter, modality))
        if known is None:
            known = counter.sum({**self._attributes, semconv.TOKEN_MODALITY: modality})
            self._sums[counter, modality] = known
        known.total += tokens

    def hand_over(self) -> None:
        for each in (self._released, self._times, self._input, self._output):
            each.hand_over()


class _EmbeddingMetrics:
    """The durations of one embedding model, and its tokens under the released name."""

    def __init__(self, instruments: Instruments, attributes: Attributes) -> None:
        self._durations = Durations(instruments.client, attributes)
        self._released = ReleasedMetrics(instruments, attributes)

    def record(self, ended: EndedOperations) -> None:
        self._durations.record(ended)
        self._released.record(ended, times=False)

    def hand_over(self) -> None:
        self._durations.hand_over()
        self._released.hand_over()


def metrics_keys(ended: Iterable[operations.Operation]) -> Iterable[Hashable]:
    """Returns what operations have in common that share all metric attributes."""
    ended = [*ended]
    return map(call, map(_READ_KEYS.__getitem__, map(type, ended)), ended)


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


_KEYS = {
    operations.Inference: (
        *("text_completion", "provider", "integration", "name", "response_model"),
        *("server_address", "server_port"),
    ),
    operations.Embedding: (
        *("provider", "integration", "name", "response_model", "server_address", "server_port"),
    ),
    operations.Retrieval: ("provider", "server_address", "server_port", "name", "score_kind"),
    operations.Rerank: ("name", "provider"),
    operations.Step: ("name",),
    operations.ToolExecution: ("name", "type", "agent_name"),
    operations.AgentInvocation: ("name",),
    operations.Workflow: ("name",),
}
_READ_KEYS: dict[type, Callable[[Any], Hashable]] = {
    kind: attrgetter("__class__", *names) for kind, names in _KEYS.items()
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
