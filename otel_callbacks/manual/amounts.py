"""Checks amounts of money that the application gives."""

from decimal import Decimal, InvalidOperation

from otel_callbacks.limits import USD_OF_A_CALL


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
