"""Totals of tokens, calls and cost: each call is counted once, in the runs that enclose it."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import compress
from operator import add as plus
from operator import attrgetter

from otel_callbacks import operations, semconv
from otel_callbacks.cost.call_cost import CallCost
from otel_callbacks.cost.pricing import Cost
from otel_callbacks.cost.rates import ZERO, add

_INCLUSIVE = {
    "input_tokens": semconv.ROLLUP_INPUT_TOKENS,
    "output_tokens": semconv.ROLLUP_OUTPUT_TOKENS,
    "cache_read_tokens": semconv.ROLLUP_CACHE_READ_TOKENS,
    "reasoning_tokens": semconv.ROLLUP_REASONING_TOKENS,
    "inference_calls": semconv.ROLLUP_INFERENCE_CALLS,
    "tool_calls": semconv.ROLLUP_TOOL_CALLS,
    "cached_calls": semconv.ROLLUP_CACHED_CALLS,
    "unpriced_calls": semconv.ROLLUP_UNPRICED_CALLS,
}
_OWN = ("own_input_tokens", "own_output_tokens", "own_inference_calls", "own_tool_calls")
_ALL = (*_INCLUSIVE, *_OWN)
_read_inclusive, _read_all = attrgetter(*_INCLUSIVE), attrgetter(*_ALL)


class Totals:
    """The tokens, calls and cost of a run and everything below it.

    The `own_` counts leave out the agents below: the conventions want only an agent's own model and tool calls on
    `invoke_agent`. `cost` is in USD; None if nothing had a price. `unpriced_calls` have no cost or only a part of one:
    unless it is 0, `cost` is a lower bound.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    inference_calls: int = 0
    tool_calls: int = 0
    cached_calls: int = 0
    unpriced_calls: int = 0
    cost: Decimal | None = None
    own_input_tokens: int = 0
    own_output_tokens: int = 0
    own_inference_calls: int = 0
    own_tool_calls: int = 0
    own_finish_reasons: Sequence[str] | None = None
    retrieved: bool = False

    def count(self, operation: operations.Operation, cost: CallCost | None) -> None:
        """Adds an operation without runs below it, and its cost."""
        if isinstance(cost, Cost):
            self.cost = cost.total if self.cost is None else add(self.cost, cost.total)
            if cost.missing:
                self.unpriced_calls += 1
        elif cost is not None:
            self.unpriced_calls += 1
        if isinstance(operation, operations.Inference):
            self._count_inference(operation)
        elif isinstance(operation, operations.ToolExecution):
            self.tool_calls += 1
            self.own_tool_calls += 1
        elif isinstance(operation, operations.Embedding) and operation.cached:
            self.cached_calls += 1
        elif isinstance(operation, operations.Embedding | operations.Rerank):
            if operation.usage is not None:
                self.input_tokens += operation.usage.input_tokens or 0
                self.output_tokens += operation.usage.output_tokens or 0
        elif isinstance(operation, operations.Retrieval):
            self.retrieved = True

    def _count_inference(self, operation: operations.Inference) -> None:
        if operation.cached:  # nothing was sent to the provider
            self.cached_calls += 1
            return
        self.inference_calls += 1
        self.own_inference_calls += 1
        if operation.finish_reasons:
            self.own_finish_reasons = operation.finish_reasons
        usage = operation.usage
        if usage is None:
            return
        sent, received = usage.input_tokens or 0, usage.output_tokens or 0
        self.input_tokens += sent
        self.own_input_tokens += sent
        self.output_tokens += received
        self.own_output_tokens += received
        self.cache_read_tokens += usage.cache_read_input_tokens or 0
        self.reasoning_tokens += usage.reasoning_output_tokens or 0

    def add(self, other: "Totals", *, own: bool) -> None:
        """Adds the totals of a run below this one; `own=False` if that run is an agent."""
        names, read = (_ALL, _read_all) if own else (_INCLUSIVE, _read_inclusive)
        self.__dict__.update(zip(names, map(plus, read(self), read(other)), strict=True))
        if other.cost is not None:
            self.cost = add(self.cost or ZERO, other.cost)
        if other.retrieved:
            self.retrieved = True
        if own and other.own_finish_reasons:
            self.own_finish_reasons = other.own_finish_reasons

    def attributes(self) -> dict[str, int | float]:
        """Returns the non-zero totals under our own names, so that no back end adds them to the usage of the calls."""
        sums = _read_inclusive(self)
        attributes: dict[str, int | float] = dict(compress(zip(_INCLUSIVE.values(), sums, strict=True), sums))
        if total := self.input_tokens + self.output_tokens:
            attributes[semconv.ROLLUP_TOTAL_TOKENS] = total
        if self.cost is not None:
            attributes[semconv.ROLLUP_COST_USD] = float(self.cost)
        return attributes
