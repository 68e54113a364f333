"""What the model calls of a run cost, by kind of step, and what its input tokens were."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_callbacks import semconv
from otel_callbacks.explore.evidence.nodes import Step, outermost, step_of
from otel_callbacks.explore.spans.attributes import integer
from otel_callbacks.explore.spans.content import named_json_objects
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_PARTS = {
    semconv.COST_INPUT_USD: "input",
    semconv.COST_CACHE_READ_USD: "input read from the cache",
    semconv.COST_CACHE_WRITE_USD: "input written to the cache",
    semconv.COST_OUTPUT_USD: "output",
    semconv.COST_FEES_USD: "fees",
}
MISS_REASONS = {
    semconv.CACHE_PREFIX_CHANGED: "because the beginning had changed",
    semconv.CACHE_TOOLS_CHANGED: "because the tools had changed",
    semconv.CACHE_MODEL_CHANGED: "because another model was asked",
    semconv.CACHE_TOO_OLD: "because the last call was too long ago",
    semconv.CACHE_BELOW_MINIMUM: "because the prompt was too short for a cache",
    semconv.CACHE_UNKNOWN: "for an unknown reason",
}
"""Why the provider's cache missed, in words."""


@dataclass(slots=True)
class StepCost:
    """What one kind of step cost in a run, in US dollars; `parts` are those that the spans say."""

    usd: float = 0.0
    calls: int = 0
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spending:
    """Cost in US dollars and tokens of a run.

    `unpriced` counts the calls whose cost is not known, wholly or in part. `kinds` shares out the input tokens: the
    results of each tool, sent once and sent again, definitions, calls, and the rest. `resent` are tokens that the model
    call before had already sent, and `missed` those of them that no cache supplied; both are estimates. So is what the
    handler says of the provider's cache, where it has compared the prompts: `reusable` tokens could have come from it,
    and `unread` did not, by reason and by what was the first to change ("" if nothing was).
    """

    steps: Mapping[Step, StepCost]
    unpriced: int
    input_tokens: int
    kinds: Mapping[tuple[str, str], int]
    resent: int
    missed: int
    retried: int
    reusable: int
    unread: Mapping[tuple[str, str], int]

    @property
    def usd(self) -> float:
        """The cost of all calls together."""
        return sum(each.usd for each in self.steps.values())


def spending_of(tree: SpanTree) -> Spending:
    """Returns what the calls of a trace cost; each call counts once."""
    steps: dict[Step, StepCost] = defaultdict(StepCost)
    for span in tree.counted:
        cost = steps[step_of(span)]
        cost.calls += 1
        if span.cost is not None:
            cost.usd += span.cost
            for name, part in _PARTS.items():
                value = span.attributes.get(name)
                if isinstance(value, int | float) and value:
                    cost.parts[part] = cost.parts.get(part, 0.0) + value
    resent, missed = _resent(tree)
    return Spending(
        dict(steps),
        len(tree.unpriced),
        tree.input_tokens,
        _kinds(tree),
        resent,
        missed,
        sum(map(retries_of, tree.spans)),
        sum(max(0, _whole(span, semconv.CACHE_REUSABLE_TOKENS)) for span in tree.model_calls),
        _unread(tree),
    )


def retries_of(span: SpanRecord) -> int:
    """Returns how often the framework tried again within a span."""
    return sum(event.name == semconv.EVENT_RETRY for event in span.events)


def _whole(span: SpanRecord, name: str) -> int:
    return integer(span.attributes.get(name)) or 0


def _unread(tree: SpanTree) -> dict[tuple[str, str], int]:
    """Returns the tokens that the provider's cache missed, by reason and first change, as the handler recorded it."""
    found: Counter[tuple[str, str]] = Counter()
    for span in tree.model_calls:
        tokens = _whole(span, semconv.CACHE_MISSED_TOKENS)
        if tokens > 0:
            reason = span.attributes.get(semconv.CACHE_MISS_REASON)
            known = reason if isinstance(reason, str) and reason in MISS_REASONS else semconv.CACHE_UNKNOWN
            changed = span.attributes.get(semconv.CACHE_FIRST_CHANGED)
            found[known, changed if isinstance(changed, str) else ""] += tokens
    return dict(found)


def _kinds(tree: SpanTree) -> dict[tuple[str, str], int]:
    """Shares out the input tokens by tool and kind, as the outermost agents recorded it."""
    kinds: Counter[tuple[str, str]] = Counter()
    # The table of an agent has those of the agents that it called.
    for span in outermost(tree, lambda span: semconv.ROLLUP_TOOLS in span.attributes):
        for tool, row in named_json_objects(span, semconv.ROLLUP_TOOLS).items():
            for column, kind in (
                ("sent_once", "result"),
                ("resent", "result sent again"),
                ("definition", "definition"),
                ("call", "call"),
            ):
                kinds[tool, kind] += max(0, integer(row.get(column)) or 0)
    if kinds:
        kinds["", "anything else"] = max(0, tree.input_tokens - kinds.total())
    return {key: count for key, count in kinds.items() if count}


def _resent(tree: SpanTree) -> tuple[int, int]:
    """Estimates how many input tokens the model call before had sent already, and how many of them no cache supplied.

    A call whose prompt is at least as long as that of the call before, by the same agent and model, is taken to go on.
    """
    resent = missed = 0
    before: dict[tuple[str, str | None], int] = {}
    for span in sorted(tree.model_calls, key=lambda each: each.start_ns):
        if step_of(span).kind != "model" or not span.input_tokens:
            continue
        key = (span.agent_name or "", span.model)
        earlier = before.get(key, 0)
        before[key] = span.input_tokens
        if 0 < earlier <= span.input_tokens:
            resent += earlier
            missed += max(0, earlier - (span.cache_read_tokens or 0))
    return resent, missed
