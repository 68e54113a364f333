"""Token counts of one model call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one model call, as the provider bills them; None means not reported.

    `input_tokens` includes cache reads and writes, and `output_tokens` includes reasoning: the breakdowns are parts of
    the totals (GenAI conventions, "usage"). `cache_write_1h_input_tokens` is the part of the cache writes that the
    provider keeps for an hour, which costs more.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    cache_write_1h_input_tokens: int | None = None
