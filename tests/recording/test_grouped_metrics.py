"""Operations that are recorded together give the points that the SDK gives if each is recorded on its own.

`measurements` says, of one operation, what metrics get of it; it is the plain form of what the package does in columns.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_callbacks import operations, semconv
from otel_callbacks.cost.pricing import Cost, Unpriced
from otel_callbacks.cost.totals import Sums, Totals
from otel_callbacks.recording import metrics_queue
from otel_callbacks.recording.columns import added_up, grouped, read
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics import Metrics
from otel_callbacks.recording.metrics_queue import EndedOperation, EndedOperations
from otel_callbacks.recording.span_attributes import operation_name

Measurement = tuple[str, Mapping[str, Any], Any]
MODALITIES = ("text", "image", "audio")

# --- random operations -----------------------------------------------------------------------------------------------

names = st.sampled_from((None, "a", "b"))
models = st.sampled_from(({"provider": "openai", "integration": "ChatOpenAI"}, {"integration": "Custom"}, {}))
counts = st.sampled_from((None, 0, 1, 7, 300))
usages = st.none() | st.builds(
    operations.Usage,
    **{
        name: counts if name in ("input_tokens", "output_tokens") else st.sampled_from((None, None, 0, 2, 90))
        for name in operations.TOKEN_COUNTS
    },
)
calls = st.fixed_dictionaries(
    {"name": names, "response_model": names, "usage": usages, "cached": st.booleans()},
    optional={"server_address": st.just("host"), "server_port": st.sampled_from((80, 443))},
)
inferences = st.builds(
    lambda model, call, text, first: operations.Inference(
        **model, **call, text_completion=text, time_to_first_chunk=first
    ),
    *(models, calls, st.booleans(), st.sampled_from((None, 0.25, 4.0))),
)
embeddings = st.builds(lambda model, call: operations.Embedding(**model, **call), models, calls)
reranks = st.builds(operations.Rerank, name=names, provider=names, usage=usages)
others = st.one_of(
    st.builds(  # each kind of score from a provider of its own: durations differ by provider only
        lambda name, kind: operations.Retrieval(name=name, provider=f"{name} {kind}", score_kind=kind),
        *(names, st.sampled_from((None, "distance"))),
    ),
    st.builds(
        operations.ToolExecution, name=names, agent_name=names, type=st.sampled_from(("function", "x"))
    ),
    st.builds(operations.AgentInvocation, name=names),
    st.builds(operations.Workflow, name=names),
    st.builds(operations.Step, name=names),
)
missing = st.sampled_from(((), (), ("web_searches",), ("web_searches", "citation_tokens")))
amounts = st.sampled_from(("0", "0.1", "0.000001", "12.5")).map(Decimal)
costs = st.one_of(
    st.none(),
    st.builds(
        Cost, total=amounts, source=st.sampled_from(("reported", "genai_prices", "cache")), missing=missing
    ),
    st.builds(Unpriced, st.sampled_from(("unknown_model", "no_usage"))),
)
tenants = st.sampled_from(("acme", "globex", "initech", "umbrella"))
labels = st.fixed_dictionaries(
    {}, optional={semconv.APP_TENANT_ID: tenants, semconv.APP_FEATURE: st.sampled_from(("search", "chat"))}
)
RULES = (LabelRules({"tenant": 2}), LabelRules({"tenant": 2, "feature": ["search"]}))
seconds = st.integers(0, 4_000).map(lambda n: n / 64)  # whose sums are exact
sums = st.builds(Sums, own_inference_calls=st.integers(0, 5), own_tool_calls=st.integers(0, 5))
SOURCES = [
    (metric, source)
    for metric in (semconv.METRIC_RAG_DOCUMENTS, semconv.METRIC_RAG_DOCUMENTS_CITED)
    for source in (None, "a", "b")
]


def totals(of: Sums | None) -> Totals | None:
    return None if of is None else Totals(of)


@st.composite
def rows(draw: Any) -> list[EndedOperation]:
    """Draws operations; those in a row often have the same object as their labels."""
    made: list[EndedOperation] = []
    paying: Mapping[str, str] = {}
    for number in range(draw(st.integers(1, 40))):
        has_cost = draw(st.booleans())
        operation = draw(inferences | embeddings | reranks if has_cost else others)
        if draw(st.booleans()):
            paying = draw(labels)
        is_model = isinstance(operation, operations.Inference)
        is_search = isinstance(operation, operations.Retrieval)
        made.append(
            (
                operation,
                draw(seconds | st.none()) if is_model else draw(seconds),
                draw(st.sampled_from((None, None, None, "ValueError", "OSError"))),
                totals(draw(st.none() | sums)),
                SpanContext(1, number + 1, False, TraceFlags(draw(st.integers(0, 1)))),
                draw(costs) if has_cost else None,
                paying,
                draw(st.sampled_from(RULES)),
                array("d", draw(st.lists(seconds, max_size=3))) if is_model and draw(st.booleans()) else None,
                draw(
                    st.dictionaries(st.tuples(names.map(str), names.map(str)), st.integers(0, 9), max_size=3)
                ),
                draw(st.booleans()),
                draw(st.sampled_from((None, None, "cancelled"))),
                draw(st.none() | st.tuples(st.integers(0, 2), st.sampled_from((None, -1.0, 0.0, 0.75))))
                if is_search
                else None,
                {}
                if isinstance(operation, operations.Step)
                else draw(st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 3), max_size=2)),
            )
        )
    return made


# --- one operation at a time -----------------------------------------------------------------------------------------


def known(**attributes: Any) -> dict[str, Any]:
    """Returns attributes by the names of `semconv`, without those that are None."""
    return {getattr(semconv, name): value for name, value in attributes.items() if value is not None}


class OneByOne:
    """What metrics get of one operation after the other."""

    def __init__(self) -> None:
        self.tenants: set[str] = set()

    def measurements(self, row: EndedOperation) -> Iterator[Measurement]:
        ended = EndedOperations(*row)
        operation: Any = ended.operations
        yield from self.durations(ended, operation)
        if isinstance(operation, operations.Inference | operations.Embedding):
            yield from self.of_model(ended, operation)
        if (verb := operation_name(operation)) is None:
            return
        who = self.bounded(ended.labels, ended.label_rules)
        said = known(OPERATION_NAME=verb, OUTCOME=ended.outcomes, ERROR_TYPE=ended.error_types)
        yield semconv.METRIC_OPERATIONS, said | who, 1
        for (metric, source), number in ended.documents.items():
            yield metric, known(DATA_SOURCE_ID=source), number
        if ended.costs is not None:
            for (tool, part), tokens in ended.tool_tokens.items():
                yield semconv.METRIC_TOOL_TOKENS, known(TOOL_NAME=tool, TOOL_PART=part), tokens
            yield from self.paid(ended.costs, operation, verb, who)

    def durations(self, ended: Any, operation: Any) -> Iterator[Measurement]:
        error = known(ERROR_TYPE=ended.error_types or None)
        match operation:
            case operations.Inference():
                metric, attributes = semconv.METRIC_INFERENCE_DURATION, self.of_client(operation)
                if ended.released_names and ended.seconds is not None:
                    yield semconv.METRIC_CLIENT_OPERATION_DURATION, attributes | error, ended.seconds
            case operations.Embedding():
                metric, attributes = semconv.METRIC_CLIENT_OPERATION_DURATION, self.of_client(operation)
            case operations.Retrieval():
                metric = semconv.METRIC_CLIENT_OPERATION_DURATION
                attributes = known(OPERATION_NAME=operation_name(operation), PROVIDER_NAME=operation.provider)
                yield from self.retrieved(ended, operation)
            case operations.Rerank():
                metric = semconv.METRIC_RERANK_DURATION
                attributes = known(RAG_RERANK_MODEL=operation.name, PROVIDER_NAME=operation.provider)
            case operations.ToolExecution():
                metric = semconv.METRIC_TOOL_DURATION
                attributes = known(
                    TOOL_TYPE=operation.type, TOOL_NAME=operation.name, AGENT_NAME=operation.agent_name
                )
            case operations.AgentInvocation():
                metric, attributes = semconv.METRIC_AGENT_DURATION, known(AGENT_NAME=operation.name)
                own = ended.totals.sums if ended.totals else Sums()
                yield semconv.METRIC_AGENT_INFERENCE_CALLS, attributes, own.own_inference_calls
                yield semconv.METRIC_AGENT_TOOL_CALLS, attributes, own.own_tool_calls
            case operations.Workflow():
                metric, attributes = semconv.METRIC_WORKFLOW_DURATION, known(WORKFLOW_NAME=operation.name)
            case _:
                metric, attributes = semconv.METRIC_STEP_DURATION, known(STEP_NAME=operation.name)
        if ended.seconds is not None:
            yield metric, attributes | error, ended.seconds

    def of_client(self, operation: Any) -> dict[str, Any]:
        return known(
            OPERATION_NAME=operation_name(operation),
            PROVIDER_NAME=operation.provider_or_integration,
            REQUEST_MODEL=operation.name,
            RESPONSE_MODEL=operation.response_model,
            SERVER_ADDRESS=operation.server_address,
            SERVER_PORT=operation.server_port,
        )

    def retrieved(self, ended: Any, operation: Any) -> Iterator[Measurement]:
        source = known(DATA_SOURCE_ID=operation.name)
        number, score = ended.retrieved or (None, None)
        yield (
            semconv.METRIC_RAG_RETRIEVALS,
            source | known(RAG_EMPTY=None if number is None else number == 0),
            1,
        )
        if score is not None and score >= 0:
            yield semconv.METRIC_RAG_TOP_SCORE, source | known(RAG_SCORE_KIND=operation.score_kind), score

    def of_model(self, ended: Any, operation: Any) -> Iterator[Measurement]:
        attributes = self.of_client(operation)
        is_inference = isinstance(operation, operations.Inference)
        if is_inference:
            yield from self.chunks(ended, operation, attributes)
        if operation.usage is None or operation.cached:
            return
        for kind in ("input", "output") if ended.released_names else ():
            number = getattr(operation.usage, f"{kind}_tokens")
            if number is not None:
                kinds = known(RELEASED_TOKEN_TYPE=kind)
                yield semconv.METRIC_CLIENT_TOKEN_USAGE, attributes | kinds, number
        if is_inference:
            yield from self.tokens(operation.usage, attributes)

    def chunks(self, ended: Any, operation: Any, attributes: dict[str, Any]) -> Iterator[Measurement]:
        first, chunk = semconv.METRIC_TIME_TO_FIRST_CHUNK, semconv.METRIC_TIME_PER_OUTPUT_CHUNK
        old_first, old_chunk = (
            semconv.METRIC_OLD_TIME_TO_FIRST_CHUNK,
            semconv.METRIC_OLD_TIME_PER_OUTPUT_CHUNK,
        )
        for of_first, of_rest in ((first, chunk), (old_first, old_chunk))[: 1 + ended.released_names]:
            if operation.time_to_first_chunk is not None:
                yield of_first, attributes, operation.time_to_first_chunk
            for gap in ended.chunk_gaps or ():
                yield of_rest, attributes, gap

    def tokens(self, usage: operations.Usage, attributes: dict[str, Any]) -> Iterator[Measurement]:
        if usage.input_tokens is not None:
            yield semconv.METRIC_OPERATION_INPUT_TOKENS, attributes, usage.input_tokens
        if usage.output_tokens is not None:
            yield semconv.METRIC_OPERATION_OUTPUT_TOKENS, attributes, usage.output_tokens
        for metric, name in (
            (semconv.METRIC_USAGE_INPUT_TOKENS, "input_tokens"),
            (semconv.METRIC_USAGE_OUTPUT_TOKENS, "output_tokens"),
            (semconv.METRIC_USAGE_CACHE_READ, "cache_read_input_tokens"),
        ):
            rest = getattr(usage, name) or 0
            for modality in MODALITIES:
                part = getattr(usage, f"{modality}_{name}") or 0
                if part <= rest:
                    yield metric, attributes | known(TOKEN_MODALITY=modality), part
                    rest -= part
            yield metric, attributes | known(TOKEN_MODALITY="unknown"), rest
        for metric, number in (
            (semconv.METRIC_USAGE_CACHE_WRITE, usage.cache_write_input_tokens),
            (semconv.METRIC_USAGE_REASONING, usage.reasoning_output_tokens),
        ):
            yield metric, attributes | known(TOKEN_MODALITY="unknown"), number or 0

    def bounded(self, paying: Mapping[str, str], rules: LabelRules) -> dict[str, str]:
        who = {}
        if (tenant := paying.get(semconv.APP_TENANT_ID)) is not None:
            if tenant not in self.tenants and len(self.tenants) < 2:
                self.tenants.add(tenant)
            who[semconv.APP_TENANT_ID] = tenant if tenant in self.tenants else "__other__"
        if rules is RULES[1] and (feature := paying.get(semconv.APP_FEATURE)) is not None:
            who[semconv.APP_FEATURE] = feature if feature == "search" else "__other__"
        return who

    def paid(self, cost: Any, operation: Any, verb: str, who: dict[str, str]) -> Iterator[Measurement]:
        if isinstance(cost, Cost) and cost.source == "cache":
            return
        provider = getattr(operation, "provider_or_integration", operation.provider)
        model = operation.name or getattr(operation, "response_model", None)
        alike = known(PROVIDER_NAME=provider, REQUEST_MODEL=model) | who
        reason = cost.reason if isinstance(cost, Unpriced) else ",".join(cost.missing)
        if isinstance(cost, Cost):
            yield semconv.METRIC_COST_USD, alike | known(OPERATION_NAME=verb), cost.total
        if reason:
            yield semconv.METRIC_UNPRICED, alike | known(COST_UNPRICED_REASON=reason), 1
        for kind in ("input", "output") if operation.usage is not None else ():
            number = getattr(operation.usage, f"{kind}_tokens") or 0
            yield semconv.METRIC_TOKENS_TOTAL, alike | known(TOKEN_TYPE=kind), number


# --- both ------------------------------------------------------------------------------------------------------------

Points = dict[tuple[str, frozenset[Any]], Any]
SPANS = (semconv.METRIC_SPANS_STARTED, semconv.METRIC_SPANS_ENDED, semconv.METRIC_SPANS_SWEPT)
SPANS = (*SPANS, semconv.METRIC_SPANS_ERRORS)


def points(reader: InMemoryMetricReader) -> Points:
    data: Any = reader.get_metrics_data()
    return {
        (metric.name, frozenset(point.attributes.items())): described(point)
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name not in SPANS
    }


def described(point: Any) -> Any:
    if not hasattr(point, "bucket_counts"):
        return point.value
    exemplars = [(each.value, each.span_id, each.trace_id) for each in point.exemplars]
    return point.count, point.sum, point.min, point.max, tuple(point.bucket_counts), exemplars


def expected(batches: Sequence[Sequence[EndedOperation]], set_up: dict[str, Any]) -> list[Points]:
    """The points after each batch, if the SDK records every value when its operation ends."""
    reader = InMemoryMetricReader(**set_up)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments = vars(Instruments(provider.get_meter("test"), lambda: None))
    histograms = {each.name: each for each in instruments.values() if isinstance(each, Histogram)}
    added: defaultdict[tuple[str, frozenset[Any]], Any] = defaultdict(int)
    one_by_one, found = OneByOne(), []
    for batch in batches:
        for row in batch:
            around = trace.set_span_in_context(NonRecordingSpan(row[4]), Context())
            for metric, attributes, amount in one_by_one.measurements(row):
                if metric in histograms:
                    histograms[metric].record(amount, attributes, around)
                elif amount or metric == semconv.METRIC_COST_USD:
                    added[metric, frozenset(attributes.items())] += amount
        sums = {key: float(value) if isinstance(value, Decimal) else value for key, value in added.items()}
        found.append(points(reader) | sums)
    provider.shutdown()
    return found


DELTA = {Histogram: AggregationTemporality.DELTA}


@pytest.mark.parametrize("set_up", [{}, {"preferred_temporality": DELTA}], ids=["cumulative", "delta"])
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.generate],  # to make a failing example smaller takes long
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(batches=st.lists(rows(), min_size=1, max_size=3), together=st.sampled_from((1, 7, 256)))
def test_the_points_are_those_of_one_operation_after_the_other(
    batches: list[list[EndedOperation]],
    together: int,
    set_up: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_queue, "_AT_A_TIME", together)
    reader = InMemoryMetricReader(**set_up)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    metrics = Metrics(provider)
    found = []
    for batch in batches:
        metrics.waiting.extend(batch)
        found.append(points(reader))
    provider.shutdown()
    assert found == expected(batches, set_up)
    unpriced = [amount for (name, _), amount in found[-1].items() if name == semconv.METRIC_UNPRICED]
    assert metrics.counts.unpriced == sum(unpriced)


# --- columns ---------------------------------------------------------------------------------------------------------


def test_groups_keep_the_order() -> None:
    assert list(grouped("babca", range(5)).items()) == [("b", [0, 2]), ("a", [1, 4]), ("c", [3])]
    assert grouped((), ()) == {}


def test_attributes_are_read_where_there_are_any() -> None:
    assert read((1 + 2j, None, "x"), "imag", 0.0) == [2.0, 0.0, 0.0]


def test_counts_are_added_up() -> None:
    assert added_up([{"a": 1, "b": 0}, {}, {"a": 2, "c": 3}]) == {"a": 3, "c": 3}
    assert added_up([]) == {}
