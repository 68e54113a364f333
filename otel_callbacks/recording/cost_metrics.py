"""Our own metrics of tokens and cost: who spent how much on which model.

The labels are the application's and may take any number of values. So each label has a limit: further values are
counted as `__other__`, and the sums stay exact.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any, Final, Protocol

from otel_callbacks import limits, operations, semconv
from otel_callbacks.cost.attribution import LABEL_ATTRIBUTES, attribute_of
from otel_callbacks.cost.call_cost import CallCost, unpriced_reason
from otel_callbacks.cost.rates import EXACT
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.columns import added_up, grouped, read
from otel_callbacks.recording.counter import Counter, Sum
from otel_callbacks.runtime import fork

OTHER: Final = "__other__"
MetricLabels = Sequence[str] | Mapping[str, int | Collection[str]]
BoundedLabels = tuple[tuple[str, str], ...]
"""Labels that metrics carry, as pairs of attribute and value."""

_REFUSED = (LABEL_ATTRIBUTES["user"], LABEL_ATTRIBUTES["session"])


class LabelRules:
    """Which labels our metrics carry.

    Args:
        labels: short names such as ("tenant", "feature"); or a mapping from each to how many values it may take
            (by default 100), or to the values it may take.

    Raises:
        ValueError: a label is not a valid name, or has a value for every person (user, session).
        TypeError: a limit is neither a positive number nor a collection of texts.
    """

    def __init__(self, labels: MetricLabels) -> None:
        if isinstance(labels, str):
            raise TypeError(f"metric_labels must be a list of labels, not the text {labels!r}")
        values = labels if isinstance(labels, Mapping) else dict.fromkeys(labels, limits.LABEL_VALUES)
        self.limits = {attribute_of(label): _limit(label, limit) for label, limit in values.items()}
        for attribute in _REFUSED:
            if attribute in self.limits:
                raise ValueError(
                    f"metric_labels must not name {attribute}: it has a value for every person, and each value"
                    " becomes a time series; the spans carry it"
                )


def _limit(label: str, limit: object) -> int | frozenset[str]:
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        return limit
    if (
        isinstance(limit, Collection)
        and not isinstance(limit, str)
        and all(isinstance(v, str) for v in limit)
    ):
        return frozenset(limit)
    raise TypeError(f"metric_labels: {label} must have a positive number or a list of values, not {limit!r}")


class LabelValues:
    """The values that labels have taken so far, shared by all handlers of a meter provider."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}
        self._lock = fork.safe_lock()

    def bounded(self, rules: LabelRules, labels: Mapping[str, str]) -> dict[str, str]:
        """Returns the labels that metrics carry, with `__other__` for values past their limit."""
        return {
            name: value if self._is_within(name, value, limit) else OTHER
            for name, limit in rules.limits.items()
            if (value := labels.get(name)) is not None
        }

    def bounded_value(self, name: str, value: str, limit: int) -> str:
        """Returns the value of one attribute, or `__other__` past its limit."""
        return value if self._is_within(name, value, limit) else OTHER

    def _is_within(self, name: str, value: str, limit: int | frozenset[str]) -> bool:
        if isinstance(limit, frozenset):
            return value in limit
        seen = self._seen.get(name)
        if seen is not None and value in seen:
            return True
        with self._lock:
            seen = self._seen.setdefault(name, set())
            if len(seen) < limit:
                seen.add(value)
        return value in seen


class _MakeCounter(Protocol):
    def __call__(self, name: str, unit: str, description: str) -> Counter: ...


class _Sums:
    """The sums of the calls with one provider, model, operation and labels; None before there is anything to add."""

    cost: Sum | None = None
    input: Sum | None = None
    output: Sum | None = None

    def __init__(self, model: Mapping[str, str], verb: str) -> None:
        self.model = model
        self.verb = verb


class CostMetrics:
    """The counters of tokens and cost; `counter` makes one."""

    def __init__(self, counter: _MakeCounter) -> None:
        self._by_call: dict[tuple[Any, ...], _Sums] = {}
        fork.run_in_child(self._by_call.clear)  # the counters forget their sums, too
        self._tokens = counter(semconv.METRIC_TOKENS_TOTAL, "{token}", "Tokens used, by who pays")
        self._cost = counter(
            semconv.METRIC_COST_USD, "{USD}", "What model calls and other paid work cost, by who pays"
        )
        self._unpriced = counter(
            semconv.METRIC_UNPRICED, "{call}", "Model calls whose cost is not known, or only in part"
        )
        self._tool_tokens = counter(
            semconv.METRIC_TOOL_TOKENS,
            "{token}",
            "Input tokens that were tools' results, definitions and calls",
        )
        self._exceeded_budgets = counter(
            semconv.METRIC_BUDGET_EXCEEDED, "{crossing}", "How often a budget was exceeded"
        )

    def count(
        self,
        operation: operations.Inference | operations.Embedding | operations.Rerank,
        costs: Sequence[CallCost | None],
        usages: Sequence[operations.Usage | None],
        labels: Sequence[BoundedLabels],
    ) -> int:
        """Counts the tokens and the costs of calls; returns how many are unpriced, wholly or in part.

        Args:
            operation: one of the calls; all have its names.
            costs: what each cost; None is not counted, nor is an answer from the framework's cache.
            usages: what each used.
            labels: who pays for each.
        """
        unpriced = 0
        kinds = zip(labels, read(costs, "source"), read(costs, "reason"), read(costs, "missing"), strict=True)
        for (who, source, reason, _), calls in grouped(kinds, zip(costs, usages, strict=True)).items():
            if source == "cache" or (source is None and reason is None):
                continue
            alike, used = zip(*calls, strict=True)
            sums = self._sums_of(operation, who)
            if source is not None:
                sums.cost = sums.cost or self._cost.sum(
                    {**sums.model, semconv.OPERATION_NAME: sums.verb, **dict(who)}
                )
                sums.cost.add_exactly(reduce(EXACT.add, read(alike, "total")))
            if (left_out := unpriced_reason(alike[0])) is not None:
                attributes = {**sums.model, semconv.COST_UNPRICED_REASON: left_out, **dict(who)}
                self._unpriced.sum(attributes).add(len(calls))
                unpriced += len(calls)
            # the sum is the number of tokens; parts of them have other counters
            if tokens := sum(filter(None, read(used, "input_tokens"))):
                sums.input = sums.input or self._tokens_of("input", sums.model, who)
                sums.input.add(tokens)
            if tokens := sum(filter(None, read(used, "output_tokens"))):
                sums.output = sums.output or self._tokens_of("output", sums.model, who)
                sums.output.add(tokens)
        return unpriced

    def _sums_of(self, operation: Any, labels: BoundedLabels) -> "_Sums":
        """Returns the sums of the calls with the provider, model and kind of an operation, and these labels."""
        provider = getattr(operation, "provider_or_integration", operation.provider)
        name = operation.name or getattr(operation, "response_model", None)
        verb = span_attributes.operation_name(operation) or ""
        key = (provider, name, verb, labels)
        known = self._by_call.get(key)
        if known is None:
            names = ((semconv.PROVIDER_NAME, provider), (semconv.REQUEST_MODEL, name))
            if len(self._by_call) >= limits.METRIC_SERIES:
                self._by_call.clear()
            known = self._by_call[key] = _Sums(
                {attribute: value for attribute, value in names if value}, verb
            )
        return known

    def _tokens_of(self, kind: str, model: Mapping[str, str], labels: BoundedLabels) -> Sum:
        return self._tokens.sum({**model, semconv.TOKEN_TYPE: kind, **dict(labels)})

    def count_recorded_cost(self, usd: Decimal, what: str, labels: Mapping[str, str]) -> None:
        """Counts the cost of something that is no model call."""
        self._cost.sum({semconv.COST_WHAT: what, **labels}).add_exactly(usd)

    def count_tool_tokens(self, tokens: Iterable[Mapping[tuple[str, str], int]]) -> None:
        """Counts the input tokens of agents' model calls, by tool and kind of part."""
        for (tool, part), count in added_up(tokens).items():
            self._tool_tokens.sum({semconv.TOOL_NAME: tool, semconv.TOOL_PART: part}).add(count)

    def count_exceeded_budget(self, per: str, labels: Mapping[str, str]) -> None:
        """Counts one call that exceeded a budget."""
        self._exceeded_budgets.sum({semconv.BUDGET_PER: per, **labels}).add(1)
