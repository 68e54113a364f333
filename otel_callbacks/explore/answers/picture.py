"""Shows the answers of `why` in a notebook: the same sentences as the text, and the time of each step as a bar."""

from collections.abc import Iterator, Sequence

from otel_callbacks.explore.answers.answer import Answer
from otel_callbacks.explore.answers.said import named
from otel_callbacks.explore.answers.text import sections, title
from otel_callbacks.explore.causes.slow import Slow
from otel_callbacks.explore.pictures import markup
from otel_callbacks.explore.pictures.formatting import format_duration
from otel_callbacks.explore.pictures.monospace import fit

_BAR = 24  # characters of the longest bar
_NAME = 40
_SENTENCE = 1_000  # characters; every part of a sentence is bounded by itself


def answers_html(answers: Sequence[Answer], notes: Sequence[str]) -> str:
    """Returns the answers as an HTML fragment, without style sheet or script."""
    lines = [line for answer in answers for line in _answer(answer)]
    lines += (markup.line(f"<i>{markup.cut_text(note, _SENTENCE)}</i>") for note in notes)
    return "<div>\n" + "\n".join(lines) + "\n</div>\n"


def _answer(answer: Answer) -> Iterator[str]:
    yield markup.line(f"<b>{markup.cut_text(title(answer))}</b>")
    if answer.slow and answer.slow.steps and (answer.slow.difference.stands_out or answer.slow.too_few):
        yield _bars(answer.slow, "after" if answer.before is not None else "slow runs")
    for head, lines in sections(answer):
        yield markup.line(markup.cut_text(head, _SENTENCE))
        if lines:
            below = "".join(markup.line(markup.cut_text(each, _SENTENCE)) for each in lines)
            yield f"<blockquote>{below}</blockquote>"


def _bars(slow: Slow, first: str) -> str:
    """Draws the time of each step on the critical path: `█` is that of the usual runs, `▒` what is added."""
    longest = max(max(each.contribution.tail, each.contribution.usual) for each in slow.steps)
    rows = [("on the critical path", "", first, "before" if first == "after" else "usual runs")]
    for each in slow.steps:
        own = each.contribution
        usual, tail = (round(_BAR * seconds / longest) for seconds in (own.usual, own.tail))
        bar = "█" * min(usual, tail) + ("▒" * (tail - usual) if tail > usual else "░" * (usual - tail))
        times = (format_duration(own.tail), format_duration(own.usual))
        rows.append((fit(named(own.step), _NAME), bar, *times))
    return markup.table(rows)
