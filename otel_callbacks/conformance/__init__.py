"""Checks traces, metrics and events against the GenAI conventions and our telemetry contract.

    from otel_callbacks.conformance import assert_conformant

    def test_my_chain_is_traced(exporter):          # an InMemorySpanExporter
        run_my_chain()
        assert_conformant(exporter.get_finished_spans())

For tests and for the terminal (`otel-callbacks check`). This room imports no framework, not the SDK, and of our rooms
only `limits` and `runtime`, which know no names, so that it audits our telemetry independently. Open `check.py` first:
it runs all rules and lists what they do not check.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from otel_callbacks.conformance.check import (
    Report,
    check_events,
    check_file,
    check_spans,
    report,
    report_spans,
)
from otel_callbacks.conformance.findings import Finding
from otel_callbacks.conformance.otlp import TraceFileError
from otel_callbacks.conformance.registry import DEFAULT_PROFILES, load

__all__ = [
    "REGISTRY_VERSION",
    "Finding",
    "Report",
    "TraceFileError",
    "assert_conformant",
    "check_events",
    "check_file",
    "check_spans",
    "report",
    "report_spans",
]

REGISTRY_VERSION: str = load().version


def assert_conformant(
    spans: Iterable[Mapping[str, Any] | Any],
    *,
    events: Iterable[Mapping[str, Any] | Any] = (),
    allow: Collection[str] = (),
    profiles: Iterable[str] = DEFAULT_PROFILES,
) -> None:
    """Raises an error that lists the violations, if there are any; advice never fails.

    Args:
        spans: Finished SDK spans (`InMemorySpanExporter.get_finished_spans()`) or OTLP JSON spans.
        events: Log records of the SDK (`Captured.events`) or of OTLP's JSON.
        allow: Names of rules whose violations are accepted, such as `"genai_span_kind_unexpected"`.
        profiles: Additional spellings to allow; by default those that the package emits by default.

    Raises:
        AssertionError: There are violations, or none of the spans is a GenAI span or ours: a test that captured
            nothing proves nothing.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    outcome = report_spans(spans, events=events, profiles=profiles)
    if not outcome.spans_checked:
        raise AssertionError(f"none of the {outcome.spans_skipped} spans is a GenAI span")
    violations = [finding for finding in outcome.violations if finding.rule not in allow]
    if violations:
        listed = "\n".join(f"  {finding}" for finding in violations)
        raise AssertionError(f"violations: {len(violations)}, by {REGISTRY_VERSION}\n{listed}")
