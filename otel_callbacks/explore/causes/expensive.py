"""Why the expensive runs are expensive: which step costs more, and what the input tokens were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otel_callbacks.explore.causes.contributions import (
    Amounts,
    Contribution,
    Difference,
    group_difference,
    tail_difference,
)
from otel_callbacks.explore.causes.groups import Groups, Tail, grouped, mean_of, means_of, too_few
from otel_callbacks.explore.causes.in_common import InCommon, in_common
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS

_REPEATS = ("cost", "output tokens")  # facts that only repeat that a run was expensive


@dataclass(frozen=True, slots=True)
class ExpensiveStep:
    """What one kind of step adds to expensive runs, in US dollars per run; `parts` with the means of both groups."""

    contribution: Contribution
    parts: Sequence[tuple[str, float, float]]
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class TokenKind:
    """What a part of the input tokens was: means per run in both groups, and the share of all runs' input tokens."""

    tool: str
    kind: str
    tail: float
    usual: float
    share: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the input tokens were.

    `kinds` are estimates of the handler, as the outermost agents have recorded them for `runs` runs; they add up to the
    input tokens of these. `result_share` is the share of results of tools. `resent` and `missed` are means per run in
    the tail and in the usual runs: tokens that the model call before had sent already, and those of them that came from
    no cache; both are estimates. So are `reusable` and `unread`, which the handler recorded for calls whose prompts it
    has compared: tokens that an earlier call had sent, and for each reason and first change those that the provider's
    cache missed, the most first.
    """

    kinds: Sequence[TokenKind]
    result_share: float
    runs: int
    resent: tuple[float, float]
    missed: tuple[float, float]
    retried: tuple[float, float]
    reusable: tuple[float, float]
    unread: Sequence[tuple[str, str, float, float]]


@dataclass(frozen=True, slots=True)
class Expensive:
    """The expensive runs against the usual ones, in US dollars.

    `unpriced` runs have a call whose cost is not known, and are left out.
    """

    tail: Tail | None
    groups: Groups
    difference: Difference
    steps: Sequence[ExpensiveStep]
    tokens: Tokens | None
    unpriced: int
    too_few: str | None
    common: InCommon | None


def usd_of(run: Run) -> float:
    """The measure of expense."""
    return run.spending.usd


def step_usd(run: Run) -> Amounts:
    """The cost of each kind of step."""
    return {step: (own.usd, own.calls) for step, own in run.spending.steps.items()}


def why_expensive(runs: Sequence[Run], tail: Tail) -> Expensive | None:
    """Returns why the most expensive runs of one workflow are expensive; None if none has a cost."""
    priced = [run for run in runs if not run.spending.unpriced]
    if not any(map(usd_of, priced)):
        return None
    groups = grouped(priced, usd_of, tail)
    if not groups.tail or not groups.usual:
        groups = Groups(priced, priced, priced, 0.0, 0.0)  # all cost the same, but their tokens can be told
    few = too_few(priced, groups.tail)
    difference = tail_difference(groups, step_usd, usd_of, is_enough=few is None)
    asked = {run.trace_id for run in groups.tail}
    common = in_common(priced, lambda run: run.trace_id in asked, _REPEATS, stands_out=difference.stands_out)
    unpriced = len(runs) - len(priced)
    return Expensive(
        tail, groups, difference, _steps(groups, difference), _tokens(groups, priced), unpriced, few, common
    )


def why_dearer(a: Sequence[Run], b: Sequence[Run]) -> Expensive | None:
    """Returns what makes the runs of `b` cost more or less than those of `a`; None if none has a cost."""
    priced_a, priced_b = ([run for run in group if not run.spending.unpriced] for group in (a, b))
    if not priced_a or not priced_b or not any(map(usd_of, [*priced_a, *priced_b])):
        return None
    groups = Groups(priced_b, priced_a, priced_a, 0.0, 0.0)
    few = too_few(priced_a, priced_b) or too_few(priced_b, priced_a)
    difference = group_difference(priced_a, priced_b, step_usd, usd_of, is_enough=few is None)
    unpriced = len(a) + len(b) - len(priced_a) - len(priced_b)
    tokens = _tokens(groups, priced_b)
    return Expensive(None, groups, difference, _steps(groups, difference), tokens, unpriced, few, None)


def _steps(groups: Groups, difference: Difference) -> list[ExpensiveStep]:
    return [
        ExpensiveStep(each, _parts(groups, each.step), _examples(groups.tail, each.step))
        for each in difference.steps[:WHY_ROWS]
        if abs(each.share) >= 0.01 and each.added
    ]


def _parts(groups: Groups, step: Step) -> list[tuple[str, float, float]]:
    """Returns the parts of the cost of a step in both groups, the one that differs most first."""

    def parts(run: Run) -> Mapping[str, float]:
        return run.spending.steps[step].parts if step in run.spending.steps else {}

    tail, usual = means_of(groups.tail, parts), means_of(groups.usual, parts)
    found = [(name, tail[name], usual[name]) for name in sorted({**tail, **usual})]
    return sorted(found, key=lambda each: -abs(each[1] - each[2]))


def _examples(runs: Sequence[Run], step: Step) -> list[str]:
    having = [run for run in runs if step in run.spending.steps]
    having.sort(key=lambda run: (-run.spending.steps[step].usd, run.trace_id))
    return [run.trace_id for run in having[:WHY_EXAMPLES]]


def _tokens(groups: Groups, runs: Sequence[Run]) -> Tokens | None:
    if not any(run.spending.input_tokens for run in runs):
        return None
    known = [run for run in runs if run.spending.kinds]
    total = sum(run.weight * run.spending.input_tokens for run in known)
    whole, tail, usual = (
        means_of(each, lambda run: run.spending.kinds) for each in (known, groups.tail, groups.usual)
    )
    kinds = [
        TokenKind(*kind, tail[kind], usual[kind], whole[kind] * sum(run.weight for run in known) / total)
        for kind in sorted(whole, key=lambda kind: (-whole[kind], kind))
    ]

    def both(value: Callable[[Run], float]) -> tuple[float, float]:
        return mean_of(groups.tail, value), mean_of(groups.usual, value)

    return Tokens(
        kinds,
        sum(each.share for each in kinds if each.kind.startswith("result")),
        len(known),
        resent=both(lambda run: run.spending.resent),
        missed=both(lambda run: run.spending.missed),
        retried=both(lambda run: run.spending.retried),
        reusable=both(lambda run: run.spending.reusable),
        unread=_unread(groups),
    )


def _unread(groups: Groups) -> list[tuple[str, str, float, float]]:
    tail, usual = (means_of(side, lambda run: run.spending.unread) for side in (groups.tail, groups.usual))
    found = [(*kind, tail[kind], usual[kind]) for kind in {**tail, **usual}]
    return sorted(found, key=lambda each: (-max(each[2], each[3]), each))
