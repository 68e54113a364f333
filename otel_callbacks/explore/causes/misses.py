"""Where retrieval fails: nothing found, scores below the usual, documents that no prompt holds or no answer cites."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from otel_callbacks.explore.causes.groups import ENOUGH_RUNS
from otel_callbacks.explore.causes.in_common import InCommon, in_common
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.explore.evidence.searches import Search
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS

_FAR = 3 * 1.4826  # three standard deviations, as a median of deviations has them
_REPEATS = ("documents found",)
KINDS = ("nothing found", "low score", "not in the prompt", "not cited")
"""What is a miss; a run counts for the first that holds."""


@dataclass(frozen=True, slots=True)
class Source:
    """The retrievals of one data source, and how many of their runs missed, by kind."""

    name: str
    searches: int
    runs: int
    misses: dict[str, int]
    best: float | None
    examples: Sequence[str]

    @property
    def missed(self) -> int:
        """Runs with a miss of any kind."""
        return sum(self.misses.values())


@dataclass(frozen=True, slots=True)
class Misses:
    """The runs with a retrieval in which it missed; `sources` with the largest share of misses first.

    `scales` has for each kind of score the median of the best score, and the score from which on it counts as low, for
    the first `WHY_ROWS` kinds. `common` is what the runs that missed have in common. `queries` are examples, where
    queries were recorded.
    """

    runs: int
    missed: dict[str, int]
    sources: Sequence[Source]
    scales: dict[str, tuple[float, float]]
    queries: Sequence[str]
    common: InCommon | None


def why_missed(runs: Sequence[Run]) -> Misses | None:
    """Returns where the retrievals of one workflow miss; None if it has none."""
    searching = [run for run in runs if run.searches]
    if not searching:
        return None
    scales = _scales(searching)
    missed = {run.trace_id: kind for run in searching if (kind := _miss(run, scales))}
    counts = {kind: sum(each == kind for each in missed.values()) for kind in KINDS}
    queries = [
        each.query for run in searching if run.trace_id in missed for each in run.searches if each.query
    ]
    common = in_common(searching, lambda run: run.trace_id in missed, _REPEATS) if missed else None
    return Misses(
        len(searching),
        {kind: count for kind, count in counts.items() if count},
        _sources(searching, missed)[:WHY_ROWS],
        dict(islice(scales.items(), WHY_ROWS)),
        queries[:WHY_EXAMPLES],
        common,
    )


def _scales(runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """Returns for each kind of score the usual best one, and where a low one begins."""
    scores: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for search in run.searches:
            if search.best is not None:
                scores[search.scale].append(search.best)
    found = {}
    for scale, values in scores.items():
        if len(values) >= ENOUGH_RUNS:
            usual = median(values)
            far = _FAR * median(abs(value - usual) for value in values)
            found[scale] = (usual, usual + far if _is_distance(scale) else usual - far)
    return found


def _is_distance(scale: str) -> bool:
    return scale.startswith("distance")


def _miss(run: Run, scales: dict[str, tuple[float, float]]) -> str | None:
    if all(search.found == 0 for search in run.searches):
        return "nothing found"
    if all(_is_low(search, scales) for search in run.searches):
        return "low score"
    first = run.searches[0]
    if first.in_prompt == 0:
        return "not in the prompt"
    return "not cited" if first.cited == 0 else None


def _is_low(search: Search, scales: dict[str, tuple[float, float]]) -> bool:
    if search.best is None or search.scale not in scales:
        return False
    usual, low = scales[search.scale]
    return search.best > low if _is_distance(search.scale) else search.best < low and low < usual


def _sources(runs: Sequence[Run], missed: dict[str, str]) -> list[Source]:
    by_source: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for source in dict.fromkeys(search.source for search in run.searches):
            by_source[source].append(run)
    found = [_source(name, own, missed) for name, own in by_source.items()]
    return sorted(found, key=lambda each: (-each.missed / each.runs, -each.missed, each.name))


def _source(name: str, runs: Sequence[Run], missed: dict[str, str]) -> Source:
    searches = [search for run in runs for search in run.searches if search.source == name]
    scores = [search.best for search in searches if search.best is not None]
    kinds = [missed[run.trace_id] for run in runs if run.trace_id in missed]
    return Source(
        name,
        len(searches),
        len(runs),
        {kind: kinds.count(kind) for kind in KINDS if kind in kinds},
        median(scores) if scores else None,
        [run.trace_id for run in runs if run.trace_id in missed][:WHY_EXAMPLES],
    )
