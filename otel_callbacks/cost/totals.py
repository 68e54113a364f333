"""Totals of tokens, calls and cost: each call is counted once, in the runs that enclose it."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import compress
from operator import add as plus
from typing import NamedTuple

from otel_callbacks import operations, semconv
from otel_callbacks.cost.call_cost import CallCost, unpriced_reason
from otel_callbacks.cost.pricing import Cost
from otel_callbacks.cost.rates import add


class Sums(NamedTuple):
    """What is added up. The `own_` sums leave out the agents below, and stand at the end."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    inference_calls: int = 0
    tool_calls: int = 0
    cached_calls: int = 0
    unpriced_calls: int = 0
    own_input_tokens: int = 0
    own_output_tokens: int = 0
    own_inference_calls: int = 0
    own_tool_calls: int = 0


_ATTRIBUTES = (
    semconv.ROLLUP_INPUT_TOKENS,
    semconv.ROLLUP_OUTPUT_TOKENS,
    semconv.ROLLUP_CACHE_READ_TOKENS,
    semconv.ROLLUP_REASONING_TOKENS,
    semconv.ROLLUP_INFERENCE_CALLS,
    semconv.ROLLUP_TOOL_CALLS,
    semconv.ROLLUP_CACHED_CALLS,
    semconv.ROLLUP_UNPRICED_CALLS,
)
"""The attributes of the inclusive sums, which come first."""
_NOTHING = Sums()
_A_TOOL_CALL = Sums(tool_calls=1, own_tool_calls=1)
_A_CACHED_CALL = Sums(cached_calls=1)
_AN_UNPRICED_CALL = Sums(unpriced_calls=1)


class Totals:
    """The tokens, calls and cost of a run and everything below it.

    The conventions want only an agent's own model and tool calls on `invoke_agent`, so the agents below are left out
    of some sums. `cost` is in USD; None if nothing had a price. `unpriced_calls` have no cost or only a part of one:
    unless there are none, `cost` is a lower bound. `finish_reasons` are those of the last own model call.
    """

    sums: Sums = _NOTHING
    cost: Decimal | None = None
    finish_reasons: Sequence[str] | None = None
    retrieved: bool = False

    def count(self, operation: operations.Operation, cost: CallCost | None) -> None:
        """Adds an operation without runs below it, and its cost."""
        if cost is not None:
            if isinstance(cost, Cost):
                self.add_cost(cost.total)
            if unpriced_reason(cost) is not None:
                self._add_sums(_AN_UNPRICED_CALL)
        if isinstance(operation, operations.Inference):
            self._add_sums(_sums_of_inference(operation))
            if operation.finish_reasons and not operation.cached:
                self.finish_reasons = operation.finish_reasons
        elif isinstance(operation, operations.ToolExecution):
            self._add_sums(_A_TOOL_CALL)
        elif isinstance(operation, operations.Retrieval):
            self.retrieved = True
        elif isinstance(operation, operations.Embedding) and operation.cached:
            self._add_sums(_A_CACHED_CALL)
        elif isinstance(operation, (operations.Embedding, operations.Rerank)) and (usage := operation.usage):
            self._add_sums(Sums(usage.input_tokens or 0, usage.output_tokens or 0))

    def add(self, other: "Totals", *, own: bool) -> None:
        """Adds the totals of a run below this one; `own=False` if that run is an agent."""
        sums = other.sums
        self._add_sums(sums if own else Sums(*sums[: len(_ATTRIBUTES)]))
        if other.cost is not None:
            self.add_cost(other.cost)
        if other.retrieved:
            self.retrieved = True
        if own and other.finish_reasons:
            self.finish_reasons = other.finish_reasons

    def add_cost(self, usd: Decimal) -> None:
        """Adds a cost in USD."""
        self.cost = usd if self.cost is None else add(self.cost, usd)

    def _add_sums(self, sums: Sums) -> None:
        mine = self.sums
        self.sums = sums if mine is _NOTHING else tuple.__new__(Sums, map(plus, mine, sums))

    def attributes(self) -> dict[str, int | float]:
        """Returns the non-zero totals under our own names, so that no back end adds them to the usage of the calls."""
        sums = self.sums
        attributes: dict[str, int | float] = dict(compress(zip(_ATTRIBUTES, sums, strict=False), sums))
        if total := sums.input_tokens + sums.output_tokens:
            attributes[semconv.ROLLUP_TOTAL_TOKENS] = total
        if self.cost is not None:
            attributes[semconv.ROLLUP_COST_USD] = float(self.cost)
        return attributes


def _sums_of_inference(call: operations.Inference) -> Sums:
    if call.cached:  # nothing was sent to the provider
        return _A_CACHED_CALL
    usage = call.usage
    if usage is None:
        return _AN_UNCOUNTED_INFERENCE
    sent, received = usage.input_tokens or 0, usage.output_tokens or 0
    read, thought = usage.cache_read_input_tokens or 0, usage.reasoning_output_tokens or 0
    return Sums(sent, received, read, thought, 1, 0, 0, 0, sent, received, 1, 0)


_AN_UNCOUNTED_INFERENCE = Sums(inference_calls=1, own_inference_calls=1)
