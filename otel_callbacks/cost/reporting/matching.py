"""Which calls and which lines of an invoice belong together: those of a day, a provider and a model."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import Span
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.reporting.drift import CENT, Charged, Traced, cause
from otel_callbacks.cost.reporting.finished import Charge, Charging, day_of, model_of, text, usage_of
from otel_callbacks.cost.reporting.invoices import Line
from otel_callbacks.cost.reporting.models import Model, model_of_name, model_within
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import provider_name

ALL_MODELS = "(all models)"


@dataclass(frozen=True, slots=True)
class Match:
    """What was traced and what is charged for a day (UTC), a provider and a model.

    Attributes:
        day: None in the total.
        provider: who bills: openai, anthropic, aws, azure, gcp; None in the total.
        model: as the spans call it, or else the invoice; "(all models)" where the invoice does not tell them
            apart, and what is charged for where that is no model.
    """

    day: date | None
    provider: str | None
    model: str
    traced: Traced
    charged: Charged

    def dict(self) -> dict[str, Any]:
        """Flat."""
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
            "cause": cause(traced, charged),
        }


class TracedCall(NamedTuple):
    """What of a call can be compared with an invoice."""

    day: date
    provider: str
    model: str
    usage: Usage
    charge: Charge


def read_call(span: Span, charging: Charging) -> TracedCall:
    """Reads a span; `provider` is who bills, as in `Line`."""
    attributes = span.attributes
    name = provider_name(text(attributes, semconv.PROVIDER_NAME)) or ""
    biller = name.lower().partition(".")[0]  # gcp.gemini and gcp.vertex_ai are one invoice
    model = model_of(attributes) or "(unknown)"
    return TracedCall(day_of(span), biller, model, usage_of(attributes), charging(span))


_Place = tuple[date, str, Model | str]
"""A day, a provider, and a model, no model in particular (an empty one), or an item that is none."""


def compared(calls: Sequence[TracedCall], lines: Sequence[Line]) -> tuple[list[Match], Traced]:
    """The matches, in order, and the calls of days or providers that no line is about."""
    periods = _periods(lines)
    inside: list[TracedCall] = []
    left_out: list[TracedCall] = []
    for call in calls:
        within = call.day.toordinal() in periods.get(call.provider, ())
        (inside if within else left_out).append(call)
    places = _Places(inside, lines)
    traced: defaultdict[_Place, list[TracedCall]] = defaultdict(list)
    charged: defaultdict[_Place, list[Line]] = defaultdict(list)
    for call in inside:
        traced[places.of_call(call)].append(call)
    for line in lines:
        if (place := places.of_line(line)) is not None:
            charged[place].append(line)
    counting = {line.provider for line in lines if line.counts}
    paying = {line.provider for line in lines if line.usd is not None}
    rows = []
    for place in sorted({**traced, **charged}, key=lambda place: (*place[:2], places.name(place))):
        day, provider, what = place
        owed = _charged(charged[place], provider in counting, provider in paying, item=isinstance(what, str))
        rows.append(Match(day, provider, places.name(place), _traced(traced[place]), owed))
    return rows, _traced(left_out)


def _periods(lines: Iterable[Line]) -> dict[str, range]:
    """From the first to the last day of each provider's lines, as ordinals."""
    days: defaultdict[str, list[int]] = defaultdict(list)
    for line in lines:
        days[line.provider].append(line.day.toordinal())
    return {provider: range(min(each), max(each) + 1) for provider, each in days.items()}


class _Places:
    """Which calls and which lines belong together."""

    def __init__(self, calls: Iterable[TracedCall], lines: Iterable[Line]) -> None:
        self._names = {(call.provider, model_of_name(call.model)): call.model for call in calls}
        self._lumped = {(line.day, line.provider) for line in lines if _is_lump(line)}
        self._models: dict[tuple[str, str], Model] = {}
        self._labels: dict[tuple[str, Model], str] = {}

    def of_call(self, call: TracedCall) -> _Place:
        lumped = (call.day, call.provider) in self._lumped
        return call.day, call.provider, () if lumped else model_of_name(call.model)

    def of_line(self, line: Line) -> _Place | None:
        """None for a line that charges nothing."""
        if line.other is not None:
            return line.day, line.provider, line.other
        if (line.day, line.provider) in self._lumped:
            return line.day, line.provider, ()
        if line.model is None:
            return None
        return line.day, line.provider, self._model(line.provider, line.model)

    def name(self, place: _Place) -> str:
        """For people."""
        _, provider, what = place
        if isinstance(what, str):
            return what
        return self._names.get((provider, what)) or self._labels.get((provider, what), ALL_MODELS)

    def _model(self, provider: str, name: str) -> Model:
        """The traced model that a line names, or else one of its own."""
        known = self._models.get((provider, name))
        if known is None:
            traced = [model for biller, model in self._names if biller == provider]
            own = model_of_name(name)
            known = own if own in traced else model_within(name, traced) or own
            self._models[provider, name] = known
            self._labels.setdefault((provider, known), name)
        return known


def _is_lump(line: Line) -> bool:
    """Whether it is about all models of a day together."""
    return line.model is None and line.other is None and (line.counts or line.usd is not None)


def _traced(calls: Sequence[TracedCall]) -> Traced:
    return Traced(
        len(calls),
        sum(call.charge.status == "unpriced" for call in calls),
        sum(call.usage.input_tokens or 0 for call in calls),
        sum(call.usage.output_tokens or 0 for call in calls),
        sum((call.charge.usd or ZERO for call in calls), ZERO),
    )


def _charged(lines: Sequence[Line], counted: bool, paid: bool, *, item: bool) -> Charged:
    """The sum of some lines; what the invoice would tell and does not is nothing, not unknown."""
    counted = counted and not item
    amounts = [line.usd for line in lines if line.usd is not None]
    return Charged(
        len(lines),
        sum(line.input_tokens or 0 for line in lines) if counted else None,
        sum(line.output_tokens or 0 for line in lines) if counted else None,
        sum(amounts, ZERO) if paid else None,
        all(amount % CENT == 0 for amount in amounts),
        item,
    )


def total(rows: Sequence[Match]) -> Match:
    """Of tokens and of money each the rows on which the invoice tells them, so that both sides are comparable."""
    counted = [row for row in rows if row.charged.tokens is not None]
    paid = [row for row in rows if row.charged.usd is not None]
    traced = Traced(
        sum(row.traced.calls for row in rows),
        sum(row.traced.unpriced_calls for row in rows),
        sum(row.traced.input_tokens for row in counted or rows),
        sum(row.traced.output_tokens for row in counted or rows),
        sum((row.traced.usd for row in paid or rows), ZERO),
    )
    charged = Charged(
        sum(row.charged.lines for row in rows),
        sum(row.charged.input_tokens or 0 for row in counted) if counted else None,
        sum(row.charged.output_tokens or 0 for row in counted) if counted else None,
        sum((row.charged.usd or ZERO for row in paid), ZERO) if paid else None,
    )
    return Match(None, None, "total", traced, charged)
