"""Plain HTML that reads the same in every front end, also where attributes and most tags are stripped.

Every front end keeps div, b, i, code, pre, blockquote and a. Tables are text in a `pre`, because nbconvert's sanitiser
adds a `<tbody>` to a table and shows it as text, and Jupyter's style sheet centres or wraps cells.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from textwrap import wrap

from otel_callbacks.explore.pictures import monospace
from otel_callbacks.limits import EXCERPT_CHARACTERS, LINE_CHARACTERS
from otel_callbacks.runtime.untrusted_text import printable

_LINE = 50  # characters of an average line
BELOW_CHARACTERS = 84
"""How many characters of a text the line below a row of a table has."""

_WIDTH = 84  # columns of preformatted text that a notebook shows without wrapping


def cut_text(text: str, limit: int = LINE_CHARACTERS) -> str:
    """Returns `text` escaped, on one line, cut off with `…` after `limit` characters."""
    return escape(_cut(printable(text), limit))


def line(content: str) -> str:
    """Returns one line of escaped content."""
    return f"<div>{content}</div>"


def link(label: str, address: str) -> str:
    """Returns a link."""
    return f'<a href="{escape(address)}">{escape(label)}</a>'


def table(rows: Sequence[Sequence[str]], below: Sequence[str] = ()) -> str:
    """Returns a table of plain text, whose first row is the head; `below` has a line to put under each other row."""
    head, *body = monospace.table(rows)
    lines = [f"<b>{escape(head)}</b>"]
    for place, row in enumerate(body):
        lines.append(escape(row))
        if below and below[place]:
            lines.append(
                escape("      " + monospace.fit(printable(below[place])[: 4 * _WIDTH], BELOW_CHARACTERS))
            )
    return "<blockquote><pre><code>" + "\n".join(lines) + "</code></pre></blockquote>"


def conversation(messages: Iterable[tuple[str, str]], limit: int, *, folded: bool = False) -> str:
    """Returns messages, each with its role and at most `limit` characters; long lines are wrapped.

    With `folded`, a long message is opened by a click.
    """
    parts = (_message(cut_text(role), text, limit, folded=folded) for role, text in messages)
    return "<blockquote>" + "\n".join(parts) + "</blockquote>"


def _message(role: str, text: str, limit: int, *, folded: bool) -> str:
    if not text:
        return line(f"<i>{role}</i>")
    body = f"<pre>{escape(excerpt(text, limit))}</pre>"
    if folded and len(text) > EXCERPT_CHARACTERS:
        begin = cut_text(text[:LINE_CHARACTERS], LINE_CHARACTERS // 2)
        return (
            f"<details><summary><i>{role}</i> · {len(text):,} characters · {begin}</summary>{body}</details>"
        )
    return f"<i>{role}</i>{body}"


def excerpt(text: str, limit: int, width: int = _WIDTH) -> str:
    """Returns the beginning of `text` in lines of `width` columns, without control characters.

    It has `limit` characters, and no more lines than these would usually fill.
    """
    lines = list(islice(_wrapped(text[:limit], width), limit // _LINE))
    rest = len(text) - sum(len(line) + 1 for line in lines)
    cut = len(text) > limit or len(lines) == limit // _LINE
    return "\n".join(lines) + (f"\n… about {rest:,} more characters" if cut and rest > 0 else "")


def _wrapped(text: str, width: int) -> Iterator[str]:
    for raw in filter(str.strip, text.splitlines()):
        indent = raw[: len(raw) - len(raw.lstrip(" \t"))].expandtabs(4)[: width // 2]
        yield from wrap(printable(raw), width, initial_indent=indent, subsequent_indent=indent)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
