"""One kind of secret or personal data in running text, and how it is removed."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from otel_callbacks.limits import FINDINGS_IN_TEXT

MARK = "[redacted:"
"""The beginning of every mark that replaces a finding."""

_BEFORE = 96  # characters: the longest key that we know by its end has 84


_compiled = functools.cache(re.compile)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of secret or personal data.

    Its expressions are compiled when a handler is made, or else when a text contains a hint: all of them together take
    50 ms, too long for an import and for the application's calls.

    Attributes:
        name: a finding is replaced by `[redacted:name]`.
        regex: the expression that finds it. If it has a group `secret`, only the group is replaced; nothing, if the
            group did not match.
        hints: the expression is tried only on texts that contain one of these strings, see `remove_patterns`.
        precheck: a quicker expression, tried first on the reversed text, which must match somewhere.
        accept: checks a finding for what an expression cannot check.
        backwards: matches, in the reversed text, what is removed before a finding.
    """

    name: str
    regex: str
    hints: tuple[str, ...]
    precheck: str | None = None
    accept: Callable[[str], bool] | None = None
    backwards: str | None = None

    def compile(self) -> None:
        """Compiles the expressions."""
        for expression in (self.regex, self.precheck, self.backwards):
            if expression is not None:
                _compiled(expression)

    def remove_from(self, text: str) -> str:
        """Removes all findings from a text, and everything after `FINDINGS_IN_TEXT` of them."""
        if self.precheck and not _compiled(self.precheck).search(text[::-1]):
            return text
        regex = _compiled(self.regex)
        group = "secret" if "secret" in regex.groupindex else 0
        mark = f"{MARK}{self.name}]"
        shown: list[str] = []
        at, left = 0, FINDINGS_IN_TEXT
        for match in regex.finditer(text):
            start, end = match.span(group)
            if start < at or (self.accept and not self.accept(match[0])):
                continue
            if self.backwards:
                before = _compiled(self.backwards).match(text[max(at, start - _BEFORE) : start][::-1])
                start -= before.end() if before else 0
            if not shown:
                left -= text.count(MARK)
            if left <= 0:
                return f"{''.join(shown)}{text[at:start]}{MARK} the rest]"
            shown += text[at:start], mark
            at = end
            left -= 1
        return "".join(shown) + text[at:] if shown else text


def behind(words: tuple[str, ...] | list[str], before: str = "", after: str = "") -> str:
    """Returns an expression that looks back at one of the words, between `before` and `after`."""
    sizes = sorted(set(map(len, words)))
    same = ("|".join(re.escape(word) for word in words if len(word) == size) for size in sizes)
    return "|".join(f"(?<={before}(?:{each}){after})" for each in same)


def letters(words: tuple[str, ...] | list[str], *places: int) -> str:
    """Returns an expression for the letters at these places of the words: a quick check that most other words fail."""
    return "".join(f"[{''.join(sorted({word[at] for word in words}))}]" for at in places)
