"""A model call as it is priced, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from otel_callbacks.cost.rates import UnpricedReason
from otel_callbacks.operations import Usage
from otel_callbacks.operations.sparse import sparse_and_frozen

ENDED_EARLY: Final = "ended_early"
"""What is missing, or the reason, if a stream ended before the provider had counted everything."""


@sparse_and_frozen
class Call:
    """Everything about a model call that its price depends on.

    Attributes:
        provider: as in `gen_ai.provider.name`.
        request_model: the requested model; may be an alias or the name of a deployment.
        response_model: the model that answered, as the provider names it; counts before `request_model`.
        host: the server's address, without the port; None for the provider's own.
        usage: None if the provider reported none.
        service_tier: from the response, or else from the request; "batch" for a batch job.
        conditions: what else decides the rates, see `operations.Billing`; so `units` and `unknown`.
        started_at: a datetime with a time zone, or nanoseconds since 1970; None for now.
        cached: whether the framework's own cache answered, so that nothing was sent.
        reported_usd: the cost that the provider or a gateway reports.
    """

    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    host: str | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    conditions: Mapping[str, str] | None = None
    units: Mapping[str, int] | None = None
    unknown: tuple[str, ...] = ()
    started_at: datetime | int | None = None
    cached: bool = False
    reported_usd: Decimal | None = None


Source = Literal["reported", "price_book", "genai_prices", "cache"]


class Cost(NamedTuple):
    """The cost of a call in USD, unrounded.

    The parts do not overlap, and their sum is the total. They are None if the provider reported only a total; `input`
    and `cache_read` also if nobody said how much of the input was cached.

    Attributes:
        total: the whole cost.
        source: where the cost comes from; "cache" is the framework's own cache, which costs nothing.
        input: the cost of input that was neither read from nor written to the provider's cache.
        output: the cost of all output, including reasoning.
        cache_read: the cost of input read from the provider's cache.
        cache_write: the cost of input written to it.
        fees: the cost of what is not billed by the token: the request, searches.
        model: the price entry that matched, perhaps for a related model; None if the provider reported the cost.
        version: the version of the price data.
        saved: what a cached answer would have cost; None if it has no price.
        missing: what was used and is not in the total, such as "web_searches": the total is a lower bound.
    """

    total: Decimal
    source: Source
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    fees: Decimal | None = None
    model: str | None = None
    version: str | None = None
    saved: Decimal | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpriced:
    """The result for a call without a cost, with the reason."""

    reason: UnpricedReason
