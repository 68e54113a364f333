"""Does a trace say what the GenAI conventions and our contract want? For tests and for the terminal.

    from otel_callbacks.conformance import assert_conformant

    def test_my_chain_is_traced(exporter):          # an InMemorySpanExporter
        run_my_chain()
        assert_conformant(exporter.get_finished_spans())

Needs neither a framework nor the SDK. What is not checked stands in `otel_callbacks.conformance.check`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from otel_callbacks.conformance.check import Report, check_file, check_spans, report, report_spans
from otel_callbacks.conformance.findings import Finding
from otel_callbacks.conformance.otlp import TraceFileError
from otel_callbacks.conformance.registry import DEFAULT_PROFILES, load

__all__ = [
    "REGISTRY_VERSION",
    "Finding",
    "Report",
    "TraceFileError",
    "assert_conformant",
    "check_file",
    "check_spans",
    "report",
    "report_spans",
]

REGISTRY_VERSION: str = load().version


def assert_conformant(
    spans: Iterable[Mapping[str, Any] | Any],
    *,
    allow: Collection[str] = (),
    profiles: Iterable[str] = DEFAULT_PROFILES,
) -> None:
    """Fail with the list of violations, if there are any; advice never fails.

    Args:
        spans: Finished SDK spans (`InMemorySpanExporter.get_finished_spans()`) or OTLP JSON spans.
        allow: Names of rules whose violations are accepted, such as `"genai_span_kind_unexpected"`.
        profiles: Additional spellings to allow; the default is what the package emits by default.

    Raises:
        AssertionError: There are violations, or no span at all is a GenAI span or ours: a test that captured
            nothing has shown nothing.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    outcome = report_spans(spans, profiles=profiles)
    if not outcome.spans_checked:
        raise AssertionError(f"no GenAI span among the {outcome.spans_skipped} given")
    wrong = [finding for finding in outcome.violations if finding.rule not in allow]
    if wrong:
        listed = "\n".join(f"  {finding}" for finding in wrong)
        raise AssertionError(f"violations: {len(wrong)}, by {REGISTRY_VERSION}\n{listed}")
