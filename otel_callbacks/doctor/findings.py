"""What a check found: all well, something wrong with what to do about it, or something worth knowing."""

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        kind: "ok", "wrong" or "note".
        text: one sentence in plain words; of what is wrong, also what to do.
    """

    kind: Literal["ok", "wrong", "note"]
    text: str


def ok(text: str) -> Finding:
    """Returns that all is well."""
    return Finding("ok", text)


def wrong(text: str) -> Finding:
    """Returns that something is wrong."""
    return Finding("wrong", text)


def note(text: str) -> Finding:
    """Returns something worth knowing that is not wrong in itself."""
    return Finding("note", text)
