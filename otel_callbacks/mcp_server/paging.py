"""Answers in pages: bounded in rows and in characters, with a cursor for the next page."""

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from otel_callbacks.limits import ANSWER_ROWS, MCP_ANSWER_CHARACTERS

_CURSOR = re.compile(r"row-(\d{1,9})")


def page(name: str, rows: Iterable[Any], start: int, total: int, limit: int) -> dict[str, Any]:
    """Returns the first of `rows` under `name`, their `count` in all, and `next_cursor`, which is None at the end.

    `rows` are those from number `start` on. A page ends after `limit` rows, or before the row that would make it longer
    than `MCP_ANSWER_CHARACTERS`; it has at least one row, whose `content` is shortened if it alone is longer.

    Raises:
        ValueError: `limit` is not within 1 and `ANSWER_ROWS`.
    """
    shown: list[Any] = []
    room = MCP_ANSWER_CHARACTERS
    for row in islice(rows, checked_limit(limit)):
        size = _size(row)
        if shown and size > room:
            break
        shown.append(row if size <= room else _shortened(row, room))
        room -= size
    end = start + len(shown)
    return {name: shown, "count": total, "next_cursor": f"row-{end}" if shown and end < total else None}


def position(cursor: str | None) -> int:
    """Returns the number of the first row of a page.

    Raises:
        ValueError: `cursor` is none that an answer gave.
    """
    if cursor is None:
        return 0
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise ValueError(f"cursor must be the next_cursor of an answer, not {cursor!r:.60}")
    return int(found[1])


def checked_limit(limit: int) -> int:
    """Returns `limit`.

    Raises:
        ValueError: it is not within 1 and `ANSWER_ROWS`.
    """
    if not 1 <= limit <= ANSWER_ROWS:
        raise ValueError(f"limit must be from 1 to {ANSWER_ROWS}, not {limit}")
    return limit


def _shortened(row: Any, room: int) -> Any:
    """Returns a row with so much of its content that it fits, and the number of pieces that do not."""
    if not isinstance(row, dict) or "content" not in row:
        return row
    content = list(row["content"])
    while content and _size({**row, "content": content}) > room:
        content.pop()
    left_out = row.get("content_left_out", 0) + len(row["content"]) - len(content)
    return {**row, "content": content, "content_left_out": left_out}


def _size(row: Any) -> int:
    return len(json.dumps(row, default=str))
