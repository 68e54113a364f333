"""What of a notebook is the same whenever it runs: its outputs without what the clock and chance decide.

Left out are durations, ids of traces, the port of a local server, and where bars stand in a
picture and how long they are. Everything else has to be the same: words, numbers of tokens, costs, scores, documents,
the spans and their order, the size and the colours of each picture.
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from nbformat import NotebookNode

Outline = list[tuple[str, list[Any]]]
"""The source of each code cell, and its outputs."""

_CHANCE = [
    (re.compile(expression), stands_for)
    for expression, stands_for in (
        (r"\b(?:\d+ h \d+ min|\d+ min \d+ s|\d[\d,.]* (?:µs|ms|s))\b", "<time>"),
        (r"(?:trace )?\b[0-9a-f]{32}\b", "<id>"),
        (r"(?m)(?<=· )(?:trace )?[0-9a-f]+…$", "<id>"),  # cut off at the end of a line of text
        (r"127\.0\.0\.1:\d+", "<server>"),
        (r"<time> → <time>", "<time>"),  # a difference says a time once if both traces took it
        (r"[+−]<time>", ""),  # and nothing of how it changed
        (r"\s+", " "),
    )
]
_SECONDS = "p50 s"
"""The heading of a column of seconds, which have two decimals there as nothing else in such a table has."""


def comparable(book: NotebookNode) -> Outline:
    """The code of a notebook with what each cell put out, as far as that is not left to chance."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return [(cell.source, list(map(_output, cell.outputs))) for cell in cells]


def kinds(book: NotebookNode) -> Outline:
    """The code of a notebook with the kinds of output of each cell."""
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
    for expression, stands_for in _CHANCE:
        text = expression.sub(stands_for, text)
    return re.sub(r"\b\d+\.\d\d\b", "<time>", text) if _SECONDS in text else text.strip()


def _picture(svg: str) -> Any:
    """The words of each row, which its tooltip has in full, and how big and of which colours the picture is."""
    root = ElementTree.fromstring(svg)
    rows = [_words(title.text or "") for title in _all(root, "title")]
    colours = sorted({shape.get("fill", "") for shape in _all(root, "rect")})
    return _words(root.get("aria-label", "")), root.get("width"), root.get("height"), colours, rows


def _all(root: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return root.iter(f"{{http://www.w3.org/2000/svg}}{tag}")
