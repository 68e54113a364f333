"""The panels that several dashboards have: a rate, a share and the percentiles of a duration."""

import promql
from grafana import OVER, SERVICE, Panel, legend

from otel_callbacks import semconv


def per_second(title: str, series: str, by: str, *where: str, text: str = "") -> Panel:
    """Returns a panel with the rate of a counter for each value of an attribute."""
    query = promql.total(series, [by], [SERVICE, *where], OVER)
    return Panel(title, {legend(by): query}, "ops", text)


def failing(title: str, count: str, by: str, *where: str, width: int = 8) -> Panel:
    """Returns a panel with the share of a counter's operations that failed, for each value of an attribute."""
    conditions = [SERVICE, *where]
    failed = promql.total(count, [by], [*conditions, promql.has(semconv.ERROR_TYPE)], OVER)
    query = promql.share(failed, promql.total(count, [by], conditions, OVER))
    return Panel(title, {legend(by): query}, "percentunit", width=width)


def percentiles(
    title: str,
    metric: str,
    by: str,
    *where: str,
    unit: str = "s",
    text: str = "",
    width: int = 8,
) -> Panel:
    """Returns a panel with the median and the 95th percentile of a histogram, for each value of an attribute."""
    queries = {
        f"p{part * 100:.0f} {legend(by)}": promql.quantile(part, metric, [by], [SERVICE, *where], OVER)
        for part in (0.5, 0.95)
    }
    return Panel(title, queries, unit, text, width)
