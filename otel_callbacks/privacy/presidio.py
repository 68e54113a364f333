"""Presidio as a redactor: names, places and national ids, as far as the analyzer that the application made finds them.

    ContentPolicy("spans", redact=(presidio(AnalyzerEngine()),))

An analyzer with a language model takes tens of milliseconds for a page, in the thread of the application.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Finding(Protocol):
    """What Presidio found, and where in the text."""

    entity_type: str
    start: int
    end: int


class Analyzer(Protocol):
    """Presidio's `AnalyzerEngine`."""

    def analyze(self, text: str, language: str) -> Sequence[Any]:
        """The findings in a text."""
        ...


def presidio(analyzer: Analyzer, language: str = "en") -> Callable[[str], str]:
    """A function for `ContentPolicy(redact=...)` that removes what a Presidio analyzer finds."""

    def remove(text: str) -> str:
        findings: Sequence[Finding] = analyzer.analyze(text=text, language=language)
        shown, at = "", 0
        for finding in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
            if finding.start >= at:
                shown += f"{text[at : finding.start]}[redacted:{finding.entity_type.lower()}]"
            at = max(at, finding.end)
        return shown + text[at:]

    return remove
