"""The public `Trace`: a tree of spans that can be drawn as text, shown in a notebook and compared."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from otel_callbacks.explore.diff import Diff, diff
from otel_callbacks.explore.notebook import display
from otel_callbacks.explore.pictures.text import render_text
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.references import with_whole_messages
from otel_callbacks.explore.spans.tree import SpanTree, spans_by_trace


@dataclass(frozen=True, slots=True, repr=False)
class Trace(SpanTree):
    """The spans of one trace as a tree; build it with `Trace.of` or `group`.

    `str(trace)` draws it as text, and the last line of a notebook cell shows it as a picture. `spans`, `roots` and
    children are in start order. A span whose parent is missing is a root. `model_calls` are the spans whose usage
    and cost add up to the totals; each call counts once.
    """

    @classmethod
    def of(cls, spans: Iterable[SpanRecord]) -> Self:
        """Builds the tree of `spans`, with every message of a conversation in full; see `SpanTree.of`."""
        return super(Trace, cls).of(with_whole_messages(spans))

    def diff(self, other: SpanTree) -> Diff:
        """Compares this trace with `other`: steps, documents, prompt size, time and cost.

        Raises:
            TypeError: `other` is not a trace.
        """
        if not isinstance(other, SpanTree):
            raise TypeError(f"other must be a Trace, such as traces.get({other!r:.40}) returns")
        return diff(self, other)

    def __str__(self) -> str:
        return render_text(self)

    def __repr__(self) -> str:
        return f"<Trace {str(self).splitlines()[0]}>"

    def _ipython_display_(self) -> None:
        display(self)


def group(spans: Iterable[SpanRecord]) -> list[Trace]:
    """Returns the traces that `spans` belong to, in start order; a judgement belongs to the trace that it judges."""
    held = spans_by_trace(spans).values()
    traces = [Trace.of(own) for own in held if not all(span.evaluates for span in own)]
    return sorted(traces, key=lambda trace: trace.start_ns)
