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
_A_CACHED_CALL = Sums(cached_calls=1)
_AN_UNPRICED_CALL = Sums(unpriced_calls=1)
_AN_UNCOUNTED_INFERENCE = Sums(inference_calls=1, own_inference_calls=1)


class Totals(NamedTuple):
    """The tokens, calls and cost of a run and everything below it; they do not change, so that runs may share them.

    The conventions want only an agent's own model and tool calls on `invoke_agent`, so the agents below are left out
    of some sums. `cost` is in USD; None if nothing had a price. `unpriced_calls` have no cost or only a part of one:
    unless there are none, `cost` is a lower bound. `finish_reasons` are those of the last own model call.
    """

    sums: Sums = _NOTHING
    cost: Decimal | None = None
    finish_reasons: Sequence[str] | None = None
    retrieved: bool = False

    def with_cost(self, usd: Decimal) -> "Totals":
        """Returns the totals with a further cost in USD."""
        return self._replace(cost=usd if self.cost is None else add(self.cost, usd))

    def without_own(self) -> "Totals":
        """Returns the totals of an agent as they count for the run above: none of its calls is that one's own."""
        return Totals(Sums(*self.sums[: len(_ATTRIBUTES)]), self.cost, None, self.retrieved)

    def attributes(self) -> dict[str, int | float]:
        """Returns the non-zero totals under our own names, so that no back end adds them to the usage of the calls."""
        sums = self.sums
        attributes: dict[str, int | float] = dict(compress(zip(_ATTRIBUTES, sums, strict=False), sums))
        if total := sums[0] + sums[1]:
            attributes[semconv.ROLLUP_TOTAL_TOKENS] = total
        if self.cost is not None:
            attributes[semconv.ROLLUP_COST_USD] = float(self.cost)
        return attributes


NO_TOTALS = Totals()
_OF_TOOL = Totals(Sums(tool_calls=1, own_tool_calls=1))
_OF_RETRIEVAL = Totals(retrieved=True)


def add_totals(one: Totals | None, other: Totals) -> Totals:
    """Returns the sum of both; `other` is that of later calls."""
    if one is None:
        return other
    sums, cost, reasons, retrieved = one
    more, more_cost, later_reasons, more_retrieved = other
    if more_cost is not None:
        cost = more_cost if cost is None else add(cost, more_cost)
    added = (_plus(sums, more), cost, later_reasons or reasons, retrieved or more_retrieved)
    return tuple.__new__(Totals, added)


def totals_of(operation: operations.Operation, cost: CallCost | None) -> Totals:
    """Returns the totals of an operation without runs below it, and of its cost."""
    if isinstance(operation, operations.ToolExecution):
        return _OF_TOOL
    if isinstance(operation, operations.Retrieval):
        return _OF_RETRIEVAL
    sums, reasons = _NOTHING, None
    if isinstance(operation, operations.Inference):
        sums = _sums_of_inference(operation)
        reasons = None if operation.cached else operation.finish_reasons or None
    elif isinstance(operation, operations.Embedding) and operation.cached:
        sums = _A_CACHED_CALL
    elif isinstance(operation, (operations.Embedding, operations.Rerank)) and (usage := operation.usage):
        sums = Sums(usage.input_tokens or 0, usage.output_tokens or 0)
    if cost is not None and unpriced_reason(cost) is not None:
        sums = _plus(sums, _AN_UNPRICED_CALL)
    return Totals(sums, cost.total if isinstance(cost, Cost) else None, reasons)


def _plus(one: Sums, other: Sums) -> Sums:
    return tuple.__new__(Sums, map(plus, one, other))


def _sums_of_inference(call: operations.Inference) -> Sums:
    if call.cached:  # nothing was sent to the provider
        return _A_CACHED_CALL
    usage = call.usage
    if usage is None:
        return _AN_UNCOUNTED_INFERENCE
    sent, received = usage.input_tokens or 0, usage.output_tokens or 0
    read, thought = usage.cache_read_input_tokens or 0, usage.reasoning_output_tokens or 0
    return tuple.__new__(Sums, (sent, received, read, thought, 1, 0, 0, 0, sent, received, 1, 0))
