"""`Keep`: which traces are exported, decided when they are complete; also as the configuration of a collector."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import StatusCode

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import attribute_of
from otel_callbacks.limits import KEEP_SECONDS, USD_OF_A_CALL

_COLLECTOR_TRACES = 10_000
"""How many traces a collector holds; it should remember ten times as many decisions, for spans that come late."""
_COLLECTOR_SECONDS = 30
"""How long a collector waits for the spans of a trace, beyond what makes it slow; its own default."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Which traces `configure(keep=...)` exports; the others are left out as a whole.

    A trace is kept if it failed, was slow, cost much or has a certain label, and of the others a share. It is decided
    when its outermost span in this process ends, for all spans that the tracer provider made: those of other
    libraries, too. Metrics, budgets and totals count every call all the same.

    The share is decided by the trace id, as the sampler `traceidratio` does: services with the same ratio keep the same
    traces. Each span says why it was kept (`otel_callbacks.keep.reason`) and which share of the traces of its kind is
    (`otel_callbacks.keep.ratio`: 1 for those kept by a rule). So a trace stands for 1 / ratio traces; behind a
    `traceidratio` sampler for 1 / min(that ratio, this one).

    Args:
        ratio: the share of all other traces, from 0 to 1.
        errors: keeps traces with a span whose status is ERROR.
        slow_seconds: keeps traces that take as long or longer.
        cost_usd: keeps traces with a call, workflow or agent that costs as much or more, with everything below it.
        labels: keeps traces with a span with one of these labels, such as {"tenant": ["acme", "zen"], "user_tier":
            "gold"}; the values are those on spans, so redacted ones.

    Raises:
        TypeError, ValueError: an argument has the wrong type or value.
    """

    ratio: float
    errors: bool = True
    slow_seconds: float | None = None
    cost_usd: float | None = None
    labels: Mapping[str, str | Collection[str]] = field(default_factory=dict)
    _values: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check("ratio", self.ratio, 0, 1)
        if not isinstance(self.errors, bool):
            raise TypeError(f"errors must be True or False, not {self.errors!r:.100}")
        for name, most in (("slow_seconds", KEEP_SECONDS), ("cost_usd", USD_OF_A_CALL)):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 0, most)
        if not isinstance(self.labels, Mapping):
            raise TypeError(
                f"labels must be a mapping such as {{'tenant': 'acme'}}, not {self.labels!r:.100}"
            )
        values = {attribute_of(label): _texts(label, value) for label, value in self.labels.items()}
        object.__setattr__(self, "_values", values)

    def reason_of(self, span: ReadableSpan) -> str | None:
        """Returns the rule for which the trace of this span is kept; None if the span does not decide."""
        if self.errors and span.status.status_code is StatusCode.ERROR:
            return semconv.KEPT_ERROR
        attributes = span.attributes or {}
        cost = attributes.get(semconv.ROLLUP_COST_USD)
        if self.cost_usd is not None and isinstance(cost, float | int) and cost >= self.cost_usd:
            return semconv.KEPT_COST
        if any(attributes.get(name) in values for name, values in self._values.items()):
            return semconv.KEPT_LABEL
        return None

    def is_slow(self, nanoseconds: int) -> bool:
        """Tells whether a trace that took so long is kept."""
        return self.slow_seconds is not None and nanoseconds // 1_000_000 >= self._slow_milliseconds

    def is_in_share(self, trace_id: int) -> bool:
        """Tells whether a trace that no rule keeps is kept."""
        limit: int = TraceIdRatioBased.TRACE_ID_LIMIT
        return trace_id & limit < TraceIdRatioBased.get_bound_for_rate(self.ratio)

    @property
    def _slow_milliseconds(self) -> int:
        return ceil((self.slow_seconds or 0) * 1000)

    def collector_yaml(self) -> str:
        """Returns the same rules for the collector's processor `tail_sampling`, as a configuration file.

        The collector merges it with another one (`--config`) whose traces pipeline names the processor. It has to
        receive all spans of a trace, and decides some time after the first one came. Which traces are in the share is
        decided by another hash of the trace id than here.
        """
        wait = ceil(self.slow_seconds or 0) + _COLLECTOR_SECONDS
        caches = dict.fromkeys(("sampled_cache_size", "non_sampled_cache_size"), 10 * _COLLECTOR_TRACES)
        lines = [
            "processors:",
            "  tail_sampling:",
            f"    decision_wait: {wait}s",
            f"    num_traces: {_COLLECTOR_TRACES}",
            f"    decision_cache: {json.dumps(caches)}",
            "    policies:",
            *(f"      - {json.dumps(policy, ensure_ascii=False)}" for policy in self._policies()),
        ]
        return "\n".join(lines) + "\n"

    def _policies(self) -> list[dict[str, Any]]:
        found = []
        if self.errors:
            found.append(_policy("errors", "status_code", status_codes=["ERROR"]))
        if self.slow_seconds is not None:
            found.append(_policy("slow", "latency", threshold_ms=self._slow_milliseconds))
        if self.cost_usd is not None:  # the policy for numbers knows whole numbers only
            usd = format(Decimal(str(self.cost_usd)), "f")
            condition = f'attributes["{semconv.ROLLUP_COST_USD}"] >= {usd}'
            found.append(_policy("cost", "ottl_condition", error_mode="ignore", span=[condition]))
        for name, values in self._values.items():
            found.append(_policy(name, "string_attribute", key=name, values=sorted(values)))
        found.append(
            _policy("share", "probabilistic", sampling_percentage=float(Decimal(str(self.ratio)) * 100))
        )
        return found


def _policy(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, kind: settings}


def _check(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r:.100}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most:g}, not {value!r}")


def _texts(label: str, value: object) -> frozenset[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Collection) or not values or not all(isinstance(each, str) for each in values):
        raise TypeError(f"labels: {label} must have a value or a list of values, not {value!r:.100}")
    return frozenset(values)
