"""What one model call used: token counts, and what else the provider bills."""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from otel_callbacks.operations.sparse import sparse_and_frozen


@sparse_and_frozen
class Usage:
    """Token counts of one model call, as the provider bills them; None means not reported.

    `input_tokens` includes cache reads and writes, and `output_tokens` includes reasoning: the breakdowns are parts of
    the totals (GenAI conventions, "usage"). `cache_write_1h_input_tokens` is the part of the cache writes that the
    provider keeps for an hour, which costs more.

    `contradictory` means that the counts of the report fit no reading, for instance a total that is not the sum of
    its parts: the call has no price. `is_final` is False for counts that a stream reported before its end, which may
    still have grown. `estimated` means that nobody counted: the tokens were estimated from the texts.
    `cache_reported` means that the provider said how much it read from its cache; nothing is not kept as 0.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    cache_write_1h_input_tokens: int | None = None
    text_input_tokens: int | None = None
    text_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    text_cache_read_input_tokens: int | None = None
    audio_cache_read_input_tokens: int | None = None
    image_cache_read_input_tokens: int | None = None
    contradictory: bool = False
    is_final: bool = True
    estimated: bool = False
    cache_reported: bool = field(default=False, compare=False)


_USAGE: Any = Usage
USAGE_FIELDS = tuple(each.name for each in fields(_USAGE))
TOKEN_COUNTS = tuple(name for name in USAGE_FIELDS if name.endswith("_tokens"))
"""The fields of `Usage` that count tokens."""


@sparse_and_frozen
class Billing:
    """What changes the price of a call or is billed beside its tokens, as the provider reports it.

    The names in `conditions`, `units` and `unknown` are listed, each with its meaning, in `providers/billing.py`.

    Attributes:
        service_tier: as the response reports it, else as requested; None if neither names one.
        conditions: what else decides the rate, such as {"speed": "fast", "inference_geo": "us"}.
        units: what is billed by number, such as {"web_searches": 3, "citation_tokens": 120}.
        unknown: what the provider bills and nobody counted, such as ("code_interpreter",): the cost is partial.
    """

    service_tier: str | None = None
    conditions: Mapping[str, str] | None = None
    units: Mapping[str, int] | None = None
    unknown: tuple[str, ...] = ()
