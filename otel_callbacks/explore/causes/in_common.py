"""What the runs asked about have in common: found on half of the conversations, and tested on the other half.

So a fact is not called common because so many were tried. It must hold in 20 runs of 5 conversations. What only goes
with another fact, as a tenant does with the tool that it calls, is said to.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from otel_callbacks.explore.causes.groups import ENOUGH_CONVERSATIONS, ENOUGH_IN_TAIL, ENOUGH_RUNS, too_few
from otel_callbacks.explore.causes.statistics import (
    Association,
    Case,
    at_least,
    discoveries,
    lift,
    quantile,
    upper_chance,
)
from otel_callbacks.explore.evidence.facts import AT_START, TOOL_CALLED, Fact
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.runtime.words import plural

_TRIED = 20  # of the promising facts; each question makes the others less certain
_PROMISING = 0.05  # a fact is tried on the other half if this chance or less gives it on the first
LEVEL = 0.01
"""The false discovery rate. Five questions are asked about a workflow; together they may be wrong 5 times in 100."""
_CLEAR = 2.0  # standard errors
_OFTEN = 1.5  # times as often, at least, to be told where nothing stands out
_EVERYWHERE = 0.95  # a fact of more runs tells nothing


@dataclass(frozen=True, slots=True)
class Common:
    """A fact that is more frequent among the runs asked about, as the half that did not find it has it.

    `inside` of `inside_runs` runs asked about have it, and `outside` of `outside_runs` others. `lift` says how many
    times as often a run with it is one of those asked about as one without it; `low` and `high` are its 95 % interval.
    `goes_with` is another fact in common that says as much, and beside which this one adds nothing.
    """

    fact: Fact
    inside: int
    inside_runs: int
    outside: int
    outside_runs: int
    lift: float
    low: float
    high: float
    examples: Sequence[str]
    goes_with: Fact | None = None


@dataclass(frozen=True, slots=True)
class InCommon:
    """The facts in common, the surest first; `tried` facts were promising, and `too_few` says why none was tried."""

    facts: Sequence[Common]
    tried: int
    too_few: str | None = None


def in_common(
    runs: Sequence[Run],
    is_asked: Callable[[Run], bool],
    leave_out: Collection[str | Fact] = (),
    *,
    stands_out: bool = True,
) -> InCommon:
    """Returns the facts that go with being asked about, among runs of one workflow.

    `leave_out` are facts, or names of facts, that only repeat the question. Unless the runs asked about stand out, a
    fact must be a word that was known at the start, and must make a clear difference: that longer runs call more often
    is no finding.
    """
    asked = [is_asked(run) for run in runs]
    if (reason := too_few(runs, [run for run, yes in zip(runs, asked, strict=True) if yes])) or all(asked):
        return InCommon((), 0, reason)
    halves = _halves(runs)
    if any(sum(asked[place] for place in half) < ENOUGH_IN_TAIL for half in halves):
        needed = f"{plural(sum(asked), 'run')}, and each half of the conversations must have {ENOUGH_IN_TAIL}"
        return InCommon((), 0, f"too few to say: {needed}")
    facts = _with_numbers(runs, halves[0])
    having = _frequent(runs, facts, leave_out)
    first, second = (_Half(runs, asked, half, having) for half in halves)
    promising = sorted((chance, fact) for fact in having if (chance := first.chance(fact)) <= _PROMISING)[
        :_TRIED
    ]
    chances = {fact: second.chance(fact) for _, fact in promising}
    kept = discoveries(chances, max(1, len(chances)), LEVEL)
    found = [second.common(fact) for fact in kept]
    if not stands_out:
        found = [each for each in found if each.fact.is_choice and each.low >= _OFTEN]
    found.sort(key=lambda each: (not each.fact.at_start, -each.low, each.fact))
    return InCommon(_without_echoes(_Half(runs, asked, range(len(runs)), having), found), len(promising))


def _halves(runs: Sequence[Run]) -> tuple[list[int], list[int]]:
    """Splits the runs by their conversation, the same way every time."""
    halves: tuple[list[int], list[int]] = ([], [])
    for place, run in enumerate(runs):
        digest = hashlib.sha256(run.conversation.encode("utf-8", "replace")).digest()
        halves[digest[0] % 2].append(place)
    return halves


def _with_numbers(runs: Sequence[Run], half: Sequence[int]) -> Mapping[Fact, list[int]]:
    """Returns the places of the runs with each fact; a number becomes one by the upper quarter of the first half."""
    having: dict[Fact, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        for fact in run.facts:
            having[fact].append(place)
    for name in sorted({name for run in runs for name in run.numbers}):
        values = [runs[place].numbers[name] for place in half if name in runs[place].numbers]
        if len(values) < ENOUGH_RUNS:
            continue
        cut = quantile(values, [1.0] * len(values), 0.75)
        if cut > min(values):
            fact = Fact(name, f"{cut:,.0f} or more", name in AT_START)
            having[fact] = [place for place, run in enumerate(runs) if run.numbers.get(name, -1) >= cut]
    return having


def _frequent(
    runs: Sequence[Run], facts: Mapping[Fact, list[int]], leave_out: Collection[str | Fact]
) -> dict[Fact, list[int]]:
    return {
        fact: places
        for fact, places in facts.items()
        if ENOUGH_RUNS <= len(places) <= _EVERYWHERE * len(runs)
        and fact.name not in leave_out
        and fact not in leave_out
        and len({runs[place].conversation for place in places}) >= ENOUGH_CONVERSATIONS
    }


class _Half:
    """One half of the runs, in which facts are tested."""

    def __init__(
        self,
        runs: Sequence[Run],
        asked: Sequence[bool],
        places: Sequence[int],
        having: Mapping[Fact, Sequence[int]],
    ) -> None:
        self._runs = [runs[place] for place in places]
        self.cases = [
            Case(run.conversation, run.weight, asked[at]) for run, at in zip(self._runs, places, strict=True)
        ]
        here = {place: at for at, place in enumerate(places)}
        self.having = {
            fact: [here[place] for place in found if place in here] for fact, found in having.items()
        }
        self._asked = sum(case.is_in for case in self.cases)
        self._test = Association(self.cases)

    def chance(self, fact: Fact) -> float:
        """Returns how likely it is that chance alone gives so many; the larger by two tests.

        The first knows that runs of a conversation are alike, but needs many; the second counts few exactly.
        """
        places = self.having[fact]
        found = sum(self.cases[place].is_in for place in places)
        if found < 3:
            return 1.0
        exact = at_least(found, len(places), self._asked, len(self.cases))
        return max(exact, upper_chance(self._test.z(places)))

    def common(self, fact: Fact) -> Common:
        """Returns the counts of a fact."""
        places = self.having[fact]
        inside = [place for place in places if self.cases[place].is_in]
        held = set(places)
        return Common(
            fact,
            len(inside),
            self._asked,
            len(places) - len(inside),
            len(self.cases) - self._asked,
            *lift(self.cases, held.__contains__),
            [self._runs[place].trace_id for place in inside],
        )

    def are_same(self, fact: Fact, other: Fact) -> bool:
        """Tells whether two facts hold in nearly the same runs."""
        one, another = set(self.having[fact]), set(self.having[other])
        return len(one & another) >= 0.9 * len(one | another)

    def beside(self, fact: Fact, other: Fact) -> float:
        """Returns by how many standard errors a fact goes with being asked about, beside what another one does."""
        held = set(self.having[other])
        strata = [place in held for place in range(len(self.cases))]
        return Association(self.cases, strata).z(self.having[fact])


def _without_echoes(everyone: _Half, found: Sequence[Common]) -> list[Common]:
    """Puts the facts last that add nothing beside another one, while that one does add something beside them.

    A result does not explain away what was known at the start: it is a step on the way. But which tool a run calls is
    what it is about: a tenant that only asks the questions that need a slow tool is not slow itself.
    """
    echoes: dict[Fact, Fact] = {}
    for each in found:
        for other in found:
            if other is each or other.fact in echoes or everyone.beside(each.fact, other.fact) >= _CLEAR:
                continue
            is_less = everyone.beside(other.fact, each.fact) >= _CLEAR
            may_explain = other.fact.at_start or not each.fact.at_start or other.fact.name == TOOL_CALLED
            if may_explain and (
                is_less or (everyone.are_same(each.fact, other.fact) and _before(other, each))
            ):
                echoes[each.fact] = other.fact
                break
    plain = [each for each in found if each.fact not in echoes]
    return plain + [replace(each, goes_with=echoes[each.fact]) for each in found if each.fact in echoes]


def _before(one: Common, other: Common) -> bool:
    return (not one.fact.at_start, -one.low, one.fact) < (not other.fact.at_start, -other.low, other.fact)
