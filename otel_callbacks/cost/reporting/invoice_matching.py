"""Matches model calls with the lines of an invoice, by day, provider and model."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import FinishedSpan
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.reporting.differences import CENT, ChargedSums, TracedSums, usual_cause
from otel_callbacks.cost.reporting.invoices import Line
from otel_callbacks.cost.reporting.model_names import Model, model_of_name, model_within
from otel_callbacks.cost.reporting.span_cost import CostReader, SpanCost, day_of, model_of, text, usage_of
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import provider_name

ALL_MODELS = "(all models)"


@dataclass(frozen=True, slots=True)
class Match:
    """The traced and the charged sums for a day (UTC), a provider and a model.

    Attributes:
        day: None in the total.
        provider: who bills: openai, anthropic, aws, azure, gcp; None in the total.
        model: as the spans name it, or else the invoice; "(all models)" if the invoice does not list models; the name
            of the item if the line is not for tokens.
        traced: the sums over the calls.
        charged: the sums over the lines of the invoice.
    """

    day: date | None
    provider: str | None
    model: str
    traced: TracedSums
    charged: ChargedSums

    def dict(self) -> dict[str, Any]:
        """Returns all values as a flat dictionary."""
        traced, charged = self.traced, self.charged
        return {
            "day": None if self.day is None else self.day.isoformat(),
            "provider": self.provider,
            "model": self.model,
            "calls": traced.calls,
            "unpriced_calls": traced.unpriced_calls,
            "traced_input_tokens": traced.input_tokens,
            "charged_input_tokens": charged.input_tokens,
            "traced_output_tokens": traced.output_tokens,
            "charged_output_tokens": charged.output_tokens,
            "traced_usd": traced.usd,
            "charged_usd": charged.usd,
            "cause": usual_cause(traced, charged),
        }


class TracedCall(NamedTuple):
    """The parts of a call that an invoice can confirm."""

    day: date
    provider: str
    model: str
    usage: Usage
    cost: SpanCost


def traced_call(span: FinishedSpan, cost_of_span: CostReader) -> TracedCall:
    """Reads the call of a span; its `provider` is who bills, as in `Line`."""
    attributes = span.attributes
    name = provider_name(text(attributes, semconv.PROVIDER_NAME)) or ""
    biller = name.lower().partition(".")[0]  # gcp.gemini and gcp.vertex_ai are one invoice
    model = model_of(attributes) or "(unknown)"
    return TracedCall(day_of(span), biller, model, usage_of(attributes), cost_of_span(span))


_MatchKey = tuple[date, str, Model | str]
"""A day, a provider, and a model (empty for all models together) or the name of an item that is not for tokens."""


def match_calls(calls: Sequence[TracedCall], lines: Sequence[Line]) -> tuple[list[Match], TracedSums]:
    """Returns the matches in order, and the sums over the calls of days or providers that no line covers."""
    periods = _periods(lines)
    covered: list[TracedCall] = []
    left_out: list[TracedCall] = []
    for call in calls:
        is_covered = call.day.toordinal() in periods.get(call.provider, ())
        (covered if is_covered else left_out).append(call)
    keys = _MatchKeys(covered, lines)
    calls_by_key: defaultdict[_MatchKey, list[TracedCall]] = defaultdict(list)
    lines_by_key: defaultdict[_MatchKey, list[Line]] = defaultdict(list)
    for call in covered:
        calls_by_key[keys.of_call(call)].append(call)
    for line in lines:
        if (key := keys.of_line(line)) is not None:
            lines_by_key[key].append(line)
    with_tokens = {line.provider for line in lines if line.counts}
    with_amounts = {line.provider for line in lines if line.usd is not None}
    matches = []
    for key in sorted({**calls_by_key, **lines_by_key}, key=lambda key: (*key[:2], keys.display_name(key))):
        day, provider, subject = key
        charged = _charged_sums(
            lines_by_key[key],
            provider in with_tokens,
            provider in with_amounts,
            item=isinstance(subject, str),
        )
        matches.append(Match(day, provider, keys.display_name(key), _traced_sums(calls_by_key[key]), charged))
    return matches, _traced_sums(left_out)


def _periods(lines: Iterable[Line]) -> dict[str, range]:
    """Returns the days from the first to the last line of each provider, as ordinals."""
    days: defaultdict[str, list[int]] = defaultdict(list)
    for line in lines:
        days[line.provider].append(line.day.toordinal())
    return {provider: range(min(each), max(each) + 1) for provider, each in days.items()}


class _MatchKeys:
    """Assigns the same key to the calls and lines that belong together."""

    def __init__(self, calls: Iterable[TracedCall], lines: Iterable[Line]) -> None:
        self._names = {(call.provider, model_of_name(call.model)): call.model for call in calls}
        self._days_without_models = {(line.day, line.provider) for line in lines if _covers_all_models(line)}
        self._models: dict[tuple[str, str], Model] = {}
        self._line_names: dict[tuple[str, Model], str] = {}

    def of_call(self, call: TracedCall) -> _MatchKey:
        without_models = (call.day, call.provider) in self._days_without_models
        return call.day, call.provider, () if without_models else model_of_name(call.model)

    def of_line(self, line: Line) -> _MatchKey | None:
        """Returns the key of a line; None if the line charges nothing."""
        if line.other is not None:
            return line.day, line.provider, line.other
        if (line.day, line.provider) in self._days_without_models:
            return line.day, line.provider, ()
        if line.model is None:
            return None
        return line.day, line.provider, self._model(line.provider, line.model)

    def display_name(self, key: _MatchKey) -> str:
        """Returns the name of the model or item of a key."""
        _, provider, subject = key
        if isinstance(subject, str):
            return subject
        return self._names.get((provider, subject)) or self._line_names.get((provider, subject), ALL_MODELS)

    def _model(self, provider: str, name: str) -> Model:
        """Returns the traced model that a line names, or else a model that only the invoice has."""
        known = self._models.get((provider, name))
        if known is None:
            traced = [model for biller, model in self._names if biller == provider]
            model = model_of_name(name)
            known = model if model in traced else model_within(name, traced) or model
            self._models[provider, name] = known
            self._line_names.setdefault((provider, known), name)
        return known


def _covers_all_models(line: Line) -> bool:
    """Tells whether a line sums up all models of a day."""
    return line.model is None and line.other is None and (line.counts or line.usd is not None)


def _traced_sums(calls: Sequence[TracedCall]) -> TracedSums:
    return TracedSums(
        len(calls),
        sum(call.cost.reason is not None for call in calls),
        sum(call.usage.input_tokens or 0 for call in calls),
        sum(call.usage.output_tokens or 0 for call in calls),
        sum((call.cost.usd or ZERO for call in calls), ZERO),
    )


def _charged_sums(lines: Sequence[Line], has_tokens: bool, has_amounts: bool, *, item: bool) -> ChargedSums:
    """Adds up lines. What the provider's invoice has a column for is 0 without lines, anything else is unknown."""
    has_tokens = has_tokens and not item
    amounts = [line.usd for line in lines if line.usd is not None]
    return ChargedSums(
        len(lines),
        sum(line.input_tokens or 0 for line in lines) if has_tokens else None,
        sum(line.output_tokens or 0 for line in lines) if has_tokens else None,
        sum(amounts, ZERO) if has_amounts else None,
        all(amount % CENT == 0 for amount in amounts),
        item,
    )


def total_of(matches: Sequence[Match]) -> Match:
    """Adds up matches; counts tokens and amounts only where the invoice has them, to compare like with like."""
    with_tokens = [match for match in matches if match.charged.tokens is not None]
    with_amounts = [match for match in matches if match.charged.usd is not None]
    traced = TracedSums(
        sum(match.traced.calls for match in matches),
        sum(match.traced.unpriced_calls for match in matches),
        sum(match.traced.input_tokens for match in with_tokens or matches),
        sum(match.traced.output_tokens for match in with_tokens or matches),
        sum((match.traced.usd for match in with_amounts or matches), ZERO),
    )
    charged = ChargedSums(
        sum(match.charged.lines for match in matches),
        sum(match.charged.input_tokens or 0 for match in with_tokens) if with_tokens else None,
        sum(match.charged.output_tokens or 0 for match in with_tokens) if with_tokens else None,
        sum((match.charged.usd or ZERO for match in with_amounts), ZERO) if with_amounts else None,
    )
    return Match(None, None, "total", traced, charged)
