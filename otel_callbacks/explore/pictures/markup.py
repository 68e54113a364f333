"""Plain HTML that reads the same when attributes are stripped and all but a few tags are escaped.

div, b, i, code, pre, blockquote and a are what every front end leaves alone. Tables are text in a `pre`: nbconvert's
sanitiser puts a `<tbody>` into a table and then shows it, and Jupyter's style sheet centres or wraps cells.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from textwrap import wrap

from otel_callbacks.explore.pictures import columns
from otel_callbacks.explore.pictures.wording import printable

_LINE = 50  # characters of an average line
_WIDTH = 84  # columns of preformatted text, which a notebook shows without wrapping


def words(text: str, most: int = 200) -> str:
    """`text` escaped, on one line, cut off after `most` characters."""
    return escape(_cut(printable(text[: 4 * most]), most))


def line(content: str) -> str:
    """One line of escaped content."""
    return f"<div>{content}</div>"


def link(label: str, address: str) -> str:
    """A link."""
    return f'<a href="{escape(address)}">{escape(label)}</a>'


def table(rows: Sequence[Sequence[str]], below: Sequence[str] = ()) -> str:
    """A table of plain text, the first row its heads; `below` is a line to stand under each other row."""
    head, *body = columns.table(rows)
    lines = [f"<b>{escape(head)}</b>"]
    for place, row in enumerate(body):
        lines.append(escape(row))
        if below and below[place]:
            lines.append(escape("      " + columns.fit(printable(below[place][: 4 * _WIDTH]), _WIDTH)))
    return "<blockquote><pre><code>" + "\n".join(lines) + "</code></pre></blockquote>"


def conversation(messages: Iterable[tuple[str, str]], most: int) -> str:
    """Messages, each with its role and at most `most` characters, with their lines, long ones wrapped."""
    said = (f"<i>{words(role)}</i><pre>{escape(_excerpt(text, most))}</pre>" for role, text in messages)
    return "<blockquote>" + "\n".join(said) + "</blockquote>"


def _excerpt(text: str, most: int) -> str:
    """The beginning of `text`: `most` characters, and no more lines than so many characters usually fill."""
    lines = list(islice(_wrapped(text[:most]), most // _LINE))
    rest = len(text) - sum(len(line) + 1 for line in lines)
    cut = len(text) > most or len(lines) == most // _LINE
    return "\n".join(lines) + (f"\n… about {rest:,} more characters" if cut and rest > 0 else "")


def _wrapped(text: str) -> Iterator[str]:
    for raw in filter(str.strip, text.splitlines()):
        indent = raw[: len(raw) - len(raw.lstrip(" \t"))].expandtabs(4)[: _WIDTH // 2]
        yield from wrap(printable(raw), _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
