"""Records what anything but a model call costs: a search, a scraper, a paid tool."""

from decimal import Decimal

from otel_callbacks.manual.amounts import check_amount
from otel_callbacks.manual.current_recorder import current_recorder
from otel_callbacks.operations.payload import word
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.recording import by_hand
from otel_callbacks.runtime.faults import guarded


def record_cost(*, usd: Decimal | float | str, what: str) -> None:
    """Records the cost of a tool, or of any other paid call, on the current span.

    It counts in the totals of the runs around, in the metric, in budgets and in reports. Several costs on one span add
    up. The cost gets a span of its own below where the current span is a model call or an agent, which have a cost
    or usage of their own, where other labels hold than those of the current span, and outside every span.

    Args:
        usd: the cost in USD; a `Decimal` or a text is exact.
        what: what it is for, such as "serper search", in few words: a metric has it as a label.

    Raises:
        TypeError: `usd` is not an amount, or `what` is not a string.
        ValueError: `usd` is negative, infinite or too large, or `what` is empty.
    """
    amount = check_amount("usd", usd)
    if not isinstance(what, str):
        raise TypeError(f"what must be a text such as 'serper search', not {what!r:.100}")
    name = word(what.strip())
    if not name:
        raise ValueError(f"what={what!r} is empty; it must say what the cost is for, such as 'serper search'")
    _record(amount, redact_name(name))


@guarded
def _record(usd: Decimal, what: str) -> None:
    by_hand.record_cost(current_recorder(), usd, what)
