"""SVG elements that use attributes only, so they survive when a site strips style sheets, ids and scripts."""

from html import escape
from unicodedata import combining, east_asian_width

FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"

_NARROW = frozenset("ijl.,:;'|!()[]{}/ ftrI·`1-")
_BROAD = frozenset("mwMW@%…→")


def element(tag: str, *inner: str, **attributes: str | float) -> str:
    """Returns an element with escaped content `inner`; `font_size=11` becomes `font-size="11"`, `class_` `class`."""
    written = "".join(
        f' {name.strip("_").replace("_", "-")}="{_value(value)}"' for name, value in attributes.items()
    )
    return f"<{tag}{written}>{''.join(inner)}</{tag}>" if inner else f"<{tag}{written}/>"


def text(content: str, x: float, y: float, size: float, fill: str, **attributes: str | float) -> str:
    """Returns one line of text; `y` is its baseline."""
    return element("text", escape(content), x=x, y=y, font_size=size, fill=fill, **attributes)


def rect(x: float, y: float, width: float, height: float, fill: str, **attributes: str | float) -> str:
    """Returns a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, fill=fill, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, **attributes: str | float) -> str:
    """Returns a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, **attributes)


def width_of(content: str, size: float) -> float:
    """Returns the most pixels that `content` needs in common sans-serif fonts; the reader's font is unknown."""
    return size * sum(map(_em, content))


def clip(content: str, width: float, size: float) -> str:
    """Returns `content`, cut off with `…` if it needs more than `width` pixels."""
    if len(content) * size < width or width_of(content, size) <= width:
        return content
    used, end = _em("…") * size, 0
    for end, character in enumerate(content):  # noqa: B007 - used after the loop
        used += _em(character) * size
        if used > width:
            break
    return content[:end].rstrip() + "…"


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.4
    if character in _BROAD or character.isupper():
        return 0.8 if character.islower() or character.isupper() else 1.0
    if character.isascii():
        return 0.62
    if combining(character):
        return 0.0
    return 1.1 if east_asian_width(character) in "WF" else 0.8
