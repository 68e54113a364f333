"""Reduces a notebook to what is the same on every run: its outputs without times and random values.

Durations, trace ids, the port of a local server, and the position and length of bars in a picture are left out.
Everything else must be the same: words, token counts, costs, scores, documents, the spans and their order, the size
and the colours of each picture.
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from nbformat import NotebookNode

Outline = list[tuple[str, list[Any]]]
"""The source of each code cell, and its outputs."""

_REPLACEMENTS = [
    (re.compile(expression), placeholder)
    for expression, placeholder in (
        (r"<div>On the critical path:[^<]*</div>\n?", ""),  # what is on it depends on the times
        (r"\b(?:\d+ h \d+ min|\d+ min \d+ s|\d[\d,.]* (?:µs|ms|s))\b", "<time>"),
        (r"(?:trace )?\b[0-9a-f]{32}\b", "<id>"),
        (r"(?m)(?<=· )(?:trace )?[0-9a-f]+…$", "<id>"),  # cut off at the end of a line of text
        (r"127\.0\.0\.1:\d+", "<server>"),
        (r"<time> → <time>", "<time>"),  # a diff prints a time once if both traces took equally long
        (r"[+−]<time>", ""),  # and then no change
        (r"\s+", " "),
    )
]
_SECONDS = "p50 s"
"""The heading of a column of seconds. In its table only seconds have two decimals."""


def comparable(book: NotebookNode) -> Outline:
    """Returns the code of each cell with the reproducible part of its outputs."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return [(cell.source, list(map(_output, cell.outputs))) for cell in cells]


def kinds(book: NotebookNode) -> Outline:
    """Returns the code of each cell with the kinds of its outputs."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return [
        (cell.source, [sorted(output.get("data", {output.output_type: ""})) for output in cell.outputs])
        for cell in cells
    ]


def _output(output: NotebookNode) -> Any:
    if output.output_type == "stream":
        return output.name, _words(output.text)
    if output.output_type == "error":
        return output.ename, _words(output.evalue)
    return {
        kind: _picture(content) if kind == "image/svg+xml" else _words(content)
        for kind, content in output.data.items()
    }


def _words(text: str) -> str:
    for expression, placeholder in _REPLACEMENTS:
        text = expression.sub(placeholder, text)
    return re.sub(r"\b\d+\.\d\d\b", "<time>", text) if _SECONDS in text else text.strip()


def _picture(svg: str) -> Any:
    """Returns a picture's title, size and colours, and the words of each row, which its tooltip has in full."""
    root = ElementTree.fromstring(svg)
    rows = [_words(title.text or "") for title in _all(root, "title")]
    colours = sorted({shape.get("fill", "") for shape in _all(root, "rect")})
    return _words(root.get("aria-label", "")), root.get("width"), root.get("height"), colours, rows


def _all(root: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return root.iter(f"{{http://www.w3.org/2000/svg}}{tag}")
