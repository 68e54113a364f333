"""Our own metrics of operations, retrievals and documents, for which the conventions have none.

Their attributes hold names that the application chooses. So each has a limit, as labels have: further values are
counted as `__other__`.
"""

import collections
from collections.abc import Iterable

from otel_callbacks import limits, operations, semconv
from otel_callbacks.rag.trace_documents import DocumentCounts
from otel_callbacks.recording.columns import added_up
from otel_callbacks.recording.cost_metrics import BoundedLabels, LabelValues
from otel_callbacks.recording.counter import Counter, Sum
from otel_callbacks.recording.durations import Durations
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperations
from otel_callbacks.recording.series import HistogramSeries

Attributes = dict[str, str | int]


class Names:
    """Names that the application chooses, as metrics carry them: so many, and then `__other__`."""

    def __init__(self, values: LabelValues) -> None:
        self._values = values

    def put(self, attributes: Attributes, attribute: str, name: str | None) -> Attributes:
        """Adds a name to attributes, unless it is None."""
        if name is not None:
            attributes[attribute] = self._values.bounded_value(attribute, name, limits.LABEL_VALUES)
        return attributes


class OperationCounts:
    """Counts operations by how they ended and who pays: the requests and errors of a tenant."""

    def __init__(self, counter: Counter, names: Names) -> None:
        self._counter = counter
        self._names = names
        self._sums: dict[tuple[str, str | None, str | None, BoundedLabels], Sum] = {}

    def clear(self) -> None:
        """Forgets what was counted, in a forked child."""
        self._sums.clear()

    def count(self, verb: str, ended: EndedOperations) -> None:
        """Counts operations; `verb` is their `gen_ai.operation.name`."""
        alike = zip(ended.outcomes, ended.error_types, ended.labels, strict=True)
        for (outcome, error_type, labels), number in collections.Counter(alike).items():
            key = (verb, outcome, error_type, labels)
            known = self._sums.get(key)
            if known is None:
                if len(self._sums) >= limits.METRIC_SERIES:
                    self._sums.clear()
                known = self._sums[key] = self._sum(*key)
            known.total += number

    def _sum(self, verb: str, outcome: str | None, error_type: str | None, labels: BoundedLabels) -> Sum:
        attributes: Attributes = {semconv.OPERATION_NAME: verb, **dict(labels)}
        if outcome is not None:
            attributes[semconv.OUTCOME] = outcome
        return self._counter.sum(self._names.put(attributes, semconv.ERROR_TYPE, error_type))


class RetrievalMetrics:
    """The durations of retrievals from one data source, how many found nothing, and their top scores."""

    def __init__(
        self, instruments: Instruments, durations: Durations, names: Names, operation: operations.Retrieval
    ) -> None:
        self._durations = durations
        source = names.put({}, semconv.DATA_SOURCE_ID, operation.name)
        kind = {semconv.RAG_SCORE_KIND: operation.score_kind} if operation.score_kind else {}
        self._top_score = HistogramSeries(instruments.top_score, {**source, **kind})
        self._counter = instruments.retrievals
        self._source = source
        self._sums: dict[bool | None, Sum] = {}

    def record(self, ended: EndedOperations) -> None:
        """Adds retrievals. Whether one found anything is not known if it failed, or reported nothing."""
        self._durations.record(ended)
        numbers, scores = zip(*(each or (None, None) for each in ended.retrieved), strict=True)
        # no histogram takes a negative value
        self._top_score.add((None if each is None or each < 0 else each for each in scores), ended.spans)
        for number, retrievals in collections.Counter(numbers).items():
            empty = None if number is None else number == 0
            known = self._sums.get(empty)
            if known is None:
                said = {} if empty is None else {semconv.RAG_EMPTY: empty}
                known = self._sums[empty] = self._counter.sum({**self._source, **said})
            known.total += retrievals

    def hand_over(self) -> None:
        """Hands what was added to the SDK."""
        self._durations.hand_over()
        self._top_score.hand_over()


class DocumentMetrics:
    """Counts the documents that traces retrieved, had in a prompt and cited, by data source."""

    def __init__(self, instruments: Instruments, names: Names) -> None:
        self._counters = {
            semconv.METRIC_RAG_DOCUMENTS: instruments.documents,
            semconv.METRIC_RAG_DOCUMENTS_IN_PROMPT: instruments.documents_in_prompt,
            semconv.METRIC_RAG_DOCUMENTS_CITED: instruments.documents_cited,
        }
        self._names = names

    def count(self, counts: Iterable[DocumentCounts]) -> None:
        """Adds the documents of operations."""
        for (metric, source), number in added_up(counts).items():
            attributes = self._names.put({}, semconv.DATA_SOURCE_ID, source)
            self._counters[metric].sum(attributes).add(number)
