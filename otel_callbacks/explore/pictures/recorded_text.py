"""Writes what was recorded of a trace as text for a terminal."""

from collections.abc import Iterator

from otel_callbacks import limits
from otel_callbacks.explore.pictures.markup import excerpt
from otel_callbacks.explore.pictures.monospace import fit
from otel_callbacks.explore.pictures.recorded import recorded
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.untrusted_text import printable

_INDENT = "    "


def recorded_text(trace: SpanTree, width: int = 100, limit: int = limits.TERMINAL_EXCERPT_CHARACTERS) -> str:
    """Returns the messages, arguments, results, documents, events and judgements of each span.

    Of each text it shows the first `limit` characters. There are no escape codes: control characters are spelled out.
    """
    lines = list(_lines(trace, width, limit))
    return "\n".join(lines) or 'nothing was recorded; OTelCallbackHandler(content="spans") records content'


def _lines(trace: SpanTree, width: int, limit: int) -> Iterator[str]:
    for span, pieces in recorded(trace):
        yield fit(f"── {printable(span.name)}", width)
        for what, said in pieces:
            yield fit(f"  {printable(what)}", width)
            if said:
                yield from (
                    _INDENT + line for line in excerpt(said, limit, width - len(_INDENT)).splitlines()
                )
