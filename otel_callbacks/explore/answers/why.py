"""`why`: what makes some runs slow, expensive or failing, and what changed from one group of traces to another."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from otel_callbacks.explore.answers.answer import Answer
from otel_callbacks.explore.answers.picture import answers_html
from otel_callbacks.explore.answers.plain import plain
from otel_callbacks.explore.answers.text import answers_text
from otel_callbacks.explore.causes.expensive import why_dearer, why_expensive
from otel_callbacks.explore.causes.failing import why_failing
from otel_callbacks.explore.causes.groups import Tail, why_biased
from otel_callbacks.explore.causes.misses import why_missed
from otel_callbacks.explore.causes.slow import why_slow, why_slower
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.limits import WHY_WORKFLOWS
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.words import plural


class Why:
    """The answers, one for each workflow: those that took most time first.

    `str()` says them in sentences, `to_dict()` and `to_json()` for programs, and the last line of a notebook cell shows
    them. Every figure is of the traces that were asked; a mean is one per run, weighted where `Keep` kept a share.
    """

    def __init__(self, answers: Sequence[Answer], notes: Sequence[str]) -> None:
        self.answers = answers
        self.notes = notes

    def __str__(self) -> str:
        return answers_text(self.answers, self.notes)

    def __repr__(self) -> str:
        return f"<Why of {plural(len(self.answers), 'workflow')}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": answers_html(self.answers, self.notes), "text/plain": str(self)}

    def to_dict(self) -> dict[str, Any]:
        """Returns the answers as plain values; times in seconds, costs in US dollars, shares from 0 to 1."""
        return {"workflows": [plain(each) for each in self.answers], "notes": list(self.notes)}

    def to_json(self) -> str:
        """Returns `to_dict()` as JSON."""
        return json_text(self.to_dict())


def why(
    a: Iterable[SpanTree],
    b: Iterable[SpanTree] | None = None,
    *,
    slow: str | float = "p95",
    expensive: str | float = "p95",
) -> Why:
    """Says why runs of each workflow are slow, expensive or failing, or what changed from `a` to `b`.

    A run is one trace, and its workflow the name of its first root. Slow runs are compared with the usual ones of the
    same workflow: the middle half by duration. With `b`, all runs of `a` are compared with all of `b`.

    Args:
        a: traces, such as `otel_callbacks.traces` or what `traces.find` returns; or those before a change.
        b: traces after it.
        slow: where the slow tail begins: `"p95"`, or a duration such as `"20s"` or 20 (seconds).
        expensive: where the expensive tail begins: `"p95"`, or a cost such as `"$0.10"` or 0.1 (US dollars).

    Raises:
        TypeError, ValueError: an argument has the wrong type or value.
        LookupError: there are no traces.
    """
    tails = Tail.of("slow", slow), Tail.of("expensive", expensive)
    notes: list[str] = []
    before = _by_workflow(_read("a", a, notes))
    if b is None:
        answers = [_answer(name, runs, *tails) for name, runs in before.items()]
    else:
        after = _by_workflow(_read("b", b, notes))
        names = [name for name in {**before, **after} if name in before and name in after]
        notes += _only_in("a", [name for name in before if name not in after])
        notes += _only_in("b", [name for name in after if name not in before])
        answers = [_changed(name, before[name], after[name]) for name in names]
    if len(answers) > WHY_WORKFLOWS:
        notes.append(f"{plural(len(answers) - WHY_WORKFLOWS, 'more workflow')}; choose one by its name")
    return Why(answers[:WHY_WORKFLOWS], notes)


def _only_in(group: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:WHY_WORKFLOWS]:
        yield f"only in {group}: {name}"
    if (more := len(names) - WHY_WORKFLOWS) > 0:
        yield f"only in {group}: {plural(more, 'more workflow')}"


def _read(name: str, traces: Iterable[SpanTree], notes: list[str]) -> list[Run]:
    if isinstance(traces, SpanTree | str | bytes | Mapping) or not isinstance(traces, Iterable):
        raise TypeError(f"{name} must be traces, such as traces.find() returns, not {traces!r:.100}")
    runs = []
    for trace in traces:
        if not isinstance(trace, SpanTree):
            raise TypeError(f"{name} must be traces, such as traces.find() returns; one is {trace!r:.100}")
        runs.append(Run.of(trace))
    if not runs:
        raise LookupError("there are no traces to ask")
    whole = [run for run in runs if run.is_whole and run.time > 0]
    if len(whole) < len(runs):
        notes.append(f"left out: {plural(len(runs) - len(whole), 'run')}, unfinished or waiting for a person")
    if early := sum(run.early_starts for run in whole):
        notes.append(
            f"{plural(early, 'span')} began before the parent, because clocks differ; that time does not count"
        )
    weights = {run.weight for run in whole}
    if len(weights) > 1:
        notes.append(
            "runs that Keep kept for a share stand for 1 / ratio others: means are weighted, counts are not"
        )
    return whole


def _by_workflow(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Groups runs by the name of their workflow; those that took most time first."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.workflow].append(run)
    return dict(sorted(found.items(), key=lambda each: (-sum(run.time for run in each[1]), each[0])))


def _answer(name: str, runs: Sequence[Run], slow: Tail, expensive: Tail) -> Answer:
    if refused := why_biased(runs):
        return Answer(name, runs, refused=refused)
    return Answer(
        name,
        runs,
        slow=why_slow(runs, slow),
        expensive=why_expensive(runs, expensive),
        failing=why_failing(runs),
        misses=why_missed(runs),
    )


def _changed(name: str, a: Sequence[Run], b: Sequence[Run]) -> Answer:
    if refused := why_biased(a) or why_biased(b):
        return Answer(name, b, before=a, refused=refused)
    return Answer(
        name,
        b,
        before=a,
        slow=why_slower(a, b),
        expensive=why_dearer(a, b),
        failing=why_failing(b, a),
        failing_before=why_failing(a, b),
    )
