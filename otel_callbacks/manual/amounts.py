"""Checks amounts of money and counts of tokens that the application gives."""

import operator
from decimal import Decimal, InvalidOperation

from otel_callbacks.limits import TOKENS_OF_A_CALL, USD_OF_A_CALL


def check_amount(argument: str, usd: object) -> Decimal:
    """Returns an amount of USD.

    Raises:
        TypeError: it is not a number or a text.
        ValueError: it is not a finite number from 0 to `USD_OF_A_CALL`.
    """
    if isinstance(usd, bool) or not isinstance(usd, Decimal | int | float | str):
        raise TypeError(f"{argument} must be an amount of USD such as 0.002, not {usd!r:.100}")
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= USD_OF_A_CALL:
        raise ValueError(
            f"{argument} must be an amount of USD from 0 to {USD_OF_A_CALL:,}, such as 0.002, not {usd!r:.100}"
        )
    return amount


def check_count(argument: str, count: object) -> int | None:
    """Returns a count of tokens, which may be a whole number of any library; None if it is not known.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is negative, or not below `TOKENS_OF_A_CALL`.
    """
    if count is None:
        return None
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"{argument} must be a whole number of tokens, not {count!r:.100}")
    number = operator.index(count)
    if not 0 <= number < TOKENS_OF_A_CALL:
        raise ValueError(
            f"{argument} must be a number of tokens from 0 to {TOKENS_OF_A_CALL - 1:,}, not {number}"
        )
    return number
