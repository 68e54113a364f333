"""Counts in words."""


def plural(count: int, noun: str) -> str:
    """Returns `1 doc` or `2,310 docs`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
