"""Prometheus's names for our metrics and attributes, and the shapes of PromQL that dashboards and rules are made of.

Names are those that Prometheus's OTLP receiver and the collector make, by the rules of "Prometheus and OpenMetrics
Compatibility" of the OpenTelemetry specification: dots become underscores, units and `_total` are appended.
"""

import re
from collections.abc import Sequence

from otel_callbacks.conformance.registry import load

_UNITS = {"s": "seconds"}
_METRICS = load().metrics


def name(metric: str) -> str:
    """Returns the name of a metric in Prometheus, that of a histogram without `_bucket`, `_count` and `_sum`.

    Raises:
        KeyError: neither the conventions nor we have the metric.
    """
    registered = _METRICS[metric]
    is_counter = registered.instrument == "counter"
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", metric) if not (is_counter and word == "total")]
    if unit := _UNITS.get(registered.unit):  # a unit in braces is a remark
        words.append(unit)
    return "_".join([*words, *(["total"] if is_counter else [])])


def label(attribute: str) -> str:
    """Returns the name of an attribute as a label."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", attribute)


def has(attribute: str) -> str:
    """Returns the condition that a series has an attribute."""
    return f'{label(attribute)}!=""'


def one_of(attribute: str, *values: str) -> str:
    """Returns the condition that an attribute has one of these values."""
    return f'{label(attribute)}=~"{"|".join(values)}"'


def total(
    series: str, by: Sequence[str], where: Sequence[str], over: str, *, fn: str = "rate", ago: str = ""
) -> str:
    """Returns the sum of a counter's rates (or increases) over a time, for each value of some attributes."""
    offset = f" offset {ago}" if ago else ""
    return f"sum{_by(by)}({fn}({series}{_matching(where)}[{over}]{offset}))"


def growth(series: str, by: Sequence[str], where: Sequence[str], over: str) -> str:
    """Returns how much a counter of rare things grew over a time, for each value of some attributes.

    `increase` takes the first value of a series for its start, but a counter that nothing had to count before begins at
    1. So a series that was not there at the start of the time counts whole.
    """
    each = f"{series}{_matching(where)}"
    return f"sum{_by(by)}({each} unless {each} offset {over} or increase({each}[{over}]))"


def quantile(part: float, metric: str, by: Sequence[str], where: Sequence[str], over: str) -> str:
    """Returns a quantile of a histogram, for each value of some attributes."""
    buckets = f"{name(metric)}_bucket{_matching(where)}"
    return f"histogram_quantile({part}, sum{_by(['le', *by])}(rate({buckets}[{over}])))"


def share(part: str, whole: str) -> str:
    """Returns which share of a whole a part is; 0 where there is none of the part, nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / {whole}"


def _matching(conditions: Sequence[str]) -> str:
    return f"{{{', '.join(conditions)}}}" if conditions else ""


def _by(attributes: Sequence[str]) -> str:
    return f" by ({', '.join(map(label, attributes))}) " if attributes else ""
