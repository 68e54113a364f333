"""Text that others wrote, as it is printed: without control characters, which a terminal would obey."""

import json


def escaped(text: str) -> str:
    r"""Returns `text` with everything that does not print, such as escape and bidirectional marks, as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escaped_lines(text: str) -> str:
    r"""Returns `text` with everything that does not print, except line ends, as `\x1b`."""
    return "\n".join(map(escaped, text.split("\n")))


def printable(text: str) -> str:
    r"""Returns `text` on one line, with white space collapsed and other control characters written as `\x1b`."""
    return escaped(" ".join(text.split()))


def printable_json(text: str) -> str:
    r"""Returns JSON with what does not print, except line ends, as `\u202e`, which means the same."""
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
