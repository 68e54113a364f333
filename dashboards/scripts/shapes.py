"""The panels that several dashboards have: a rate, a share and the percentiles of a duration."""

from collections.abc import Sequence

import promql
from grafana import OVER, SERVICE, Panel, legend


def per_second(title: str, series: str, by: str, *where: str, text: str = "", width: int = 8) -> Panel:
    """Returns a panel with the rate of a counter for each value of an attribute."""
    query = promql.total(series, [by], [SERVICE, *where], OVER)
    return Panel(title, {legend(by): query}, "ops", text, width)


def failing(
    title: str, count: str, by: str, error: str, *where: str, text: str = "", width: int = 8
) -> Panel:
    """Returns a panel with the share of a counter's operations that failed, for each value of an attribute."""
    conditions = [SERVICE, *where]
    failed = promql.total(count, [by], [*conditions, promql.has(error)], OVER)
    query = promql.share(failed, promql.total(count, [by], conditions, OVER))
    return Panel(title, {legend(by): query}, "percentunit", text, width)


def percentiles(
    title: str,
    metric: str,
    by: str,
    *where: str,
    unit: str = "s",
    parts: Sequence[float] = (0.5, 0.95),
    text: str = "",
    width: int = 8,
) -> Panel:
    """Returns a panel with the median and the 95th percentile of a histogram, for each value of an attribute."""
    queries = {
        f"p{part * 100:.0f} {legend(by)}": promql.quantile(part, metric, [by], [SERVICE, *where], OVER)
        for part in parts
    }
    return Panel(title, queries, unit, text, width)
