"""Says the answers of `why` in sentences, which give each figure in the words of the spans that it comes from."""

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TypeVar

from otel_callbacks.explore.answers.answer import Answer
from otel_callbacks.explore.answers.said import (
    changed_head,
    common_lines,
    expensive_head,
    expensive_line,
    failing_head,
    failing_line,
    loop_note,
    missed_lines,
    order_note,
    slow_head,
    slow_line,
    token_lines,
)
from otel_callbacks.explore.causes.expensive import ExpensiveStep
from otel_callbacks.explore.causes.slow import SlowStep
from otel_callbacks.explore.pictures.formatting import format_duration, plural
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS
from otel_callbacks.runtime.untrusted_text import printable

_Found = TypeVar("_Found", SlowStep, ExpensiveStep)
_WIDTH = 110
_UNIT = re.compile(r"(?<=\d) (?=(?:µs|ms|s|min|h|calls?|runs?)\b)")
_TIED = "\u00a0"


def answers_text(answers: Sequence[Answer], notes: Sequence[str]) -> str:
    """Returns the answers, one paragraph for each question."""
    blocks = ["\n".join(_answer(each)) for each in answers]
    if notes:
        blocks.append("\n".join(_wrapped(printable(note), "") for note in notes))
    return "\n\n".join(blocks)


def sections(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Yields the head of each question and what is said about it."""
    if answer.refused:
        yield answer.refused, []
        return
    for head, lines in (_slow(answer), _expensive(answer), _failing(answer), _misses(answer)):
        if head:
            yield head, lines


def title(answer: Answer) -> str:
    """Returns the workflow, and how many runs of it there are."""
    runs = plural(len(answer.runs), "run")
    if answer.before is not None:
        runs = f"{plural(len(answer.before), 'run')} before, {len(answer.runs):,} after"
    elif answer.conversations < len(answer.runs):
        runs += f" in {plural(answer.conversations, 'conversation')}"
    if answer.slow and answer.slow.tail:
        half, most = map(format_duration, answer.slow.quantiles)
        runs += f" · p50 {half}, {answer.slow.tail.told_quantile} {most}"
    return f"{printable(answer.workflow)} · {runs}"


def _answer(answer: Answer) -> Iterator[str]:
    yield title(answer)
    for head, lines in sections(answer):
        yield ""
        yield _wrapped(head, "  ", "  ")
        for line in lines:
            yield _wrapped(line, "    ", "       ")


def _slow(answer: Answer) -> tuple[str, list[str]]:
    slow = answer.slow
    if slow is None:
        return "", []
    is_change = answer.before is not None
    head = changed_head("Time", slow, format_duration) if is_change else slow_head(slow)
    shown = _told(slow.steps, slow.too_few)
    lines = [slow_line(place, each, slow, is_change=is_change) for place, each in enumerate(shown, 1)]
    lines += order_note([each.contribution for each in shown])
    lines += loop_note(slow) if not is_change else []
    return head, lines + common_lines(
        slow.common, "slow", is_told=bool(slow.too_few) or not slow.difference.stands_out
    )


def _expensive(answer: Answer) -> tuple[str, list[str]]:
    expensive = answer.expensive
    if expensive is None:
        return "", []
    is_change = answer.before is not None
    head = expensive_head(expensive, is_change=is_change)
    shown = _told(expensive.steps, expensive.too_few)
    lines = [expensive_line(place, each, is_change=is_change) for place, each in enumerate(shown, 1)]
    lines += order_note([each.contribution for each in shown])
    lines += token_lines(expensive, is_change=is_change)
    return head, lines + common_lines(
        expensive.common, "expensive", is_told=bool(expensive.too_few) or not expensive.difference.stands_out
    )


def _told(steps: Sequence[_Found], too_few: str | None) -> list[_Found]:
    """Returns the steps that are reasons; where there are too few runs to know them, the first ones."""
    return list(steps[:WHY_EXAMPLES]) if too_few else [each for each in steps if each.contribution.is_reason]


def _failing(answer: Answer) -> tuple[str, list[str]]:
    head = failing_head(answer.failing, answer.failing_before)
    if answer.failing is None:
        return head, []
    lines = [failing_line(place, each) for place, each in enumerate(answer.failing.steps[:WHY_ROWS], 1)]
    if answer.failing.too_few:
        lines.append(answer.failing.too_few)
    return head, lines + common_lines(answer.failing.common, "failed", is_told=bool(answer.failing.too_few))


def _misses(answer: Answer) -> tuple[str, list[str]]:
    if answer.misses is None:
        return "", []
    head, *lines = missed_lines(answer.misses)
    return head, lines + common_lines(answer.misses.common, "missed")


def _wrapped(text: str, first: str, later: str = "") -> str:
    whole = _UNIT.sub(_TIED, text)  # no line begins with a unit
    lines = wrap(whole, _WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False)
    return "\n".join(lines).replace(_TIED, " ")
