"""Presidio as a redactor: removes names, places and national ids that the application's analyzer finds.

    ContentPolicy("spans", redact=(presidio(AnalyzerEngine()),))

An analyzer with a language model takes tens of milliseconds per page, in the application's thread.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Finding(Protocol):
    """A finding of Presidio: its type, and where it is in the text."""

    entity_type: str
    start: int
    end: int


class Analyzer(Protocol):
    """The part of Presidio's `AnalyzerEngine` that is used."""

    def analyze(self, text: str, language: str) -> Sequence[Any]:
        """Returns the findings in a text."""
        ...


def presidio(analyzer: Analyzer, language: str = "en") -> Callable[[str], str]:
    """Makes a function for `ContentPolicy(redact=...)` that removes what a Presidio analyzer finds."""

    def remove(text: str) -> str:
        findings: Sequence[Finding] = analyzer.analyze(text=text, language=language)
        shown, at = "", 0
        for finding in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
            if finding.start >= at:
                shown += f"{text[at : finding.start]}[redacted:{finding.entity_type.lower()}]"
            at = max(at, finding.end)
        return shown + text[at:]

    return remove
