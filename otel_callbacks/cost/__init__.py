"""Prices of model calls, totals, budgets and labels of who pays; `reporting/` reads the costs of finished spans.

    from otel_callbacks.cost import report
    from otel_callbacks.explore import read_jsonl

    print(report(read_jsonl("traces.jsonl"), by=["tenant", "model"]))

May import `limits`, `semconv`, `runtime`, `operations`, `runs` and `privacy`. Open `pricing.py` first: it shows where
a price comes from, and `call_cost.py` applies it to an operation. Names load on first use: a handler needs none.
"""

from typing import TYPE_CHECKING

from otel_callbacks.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from otel_callbacks.cost.reporting.invoices import InvoiceError
    from otel_callbacks.cost.reporting.outcomes import OutcomeReport, per_outcome
    from otel_callbacks.cost.reporting.reconciliation import Reconciliation, reconcile
    from otel_callbacks.cost.reporting.reports import Accumulator, Report, report
    from otel_callbacks.cost.reporting.repricing import Repricing, recompute

__all__ = [
    "Accumulator",
    "InvoiceError",
    "OutcomeReport",
    "Reconciliation",
    "Report",
    "Repricing",
    "per_outcome",
    "recompute",
    "reconcile",
    "report",
]

_HOMES = {
    "Accumulator": "otel_callbacks.cost.reporting.reports",
    "InvoiceError": "otel_callbacks.cost.reporting.invoices",
    "OutcomeReport": "otel_callbacks.cost.reporting.outcomes",
    "Reconciliation": "otel_callbacks.cost.reporting.reconciliation",
    "Report": "otel_callbacks.cost.reporting.reports",
    "Repricing": "otel_callbacks.cost.reporting.repricing",
    "per_outcome": "otel_callbacks.cost.reporting.outcomes",
    "recompute": "otel_callbacks.cost.reporting.repricing",
    "reconcile": "otel_callbacks.cost.reporting.reconciliation",
    "report": "otel_callbacks.cost.reporting.reports",
}
__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
