"""Runs all rules over traces, metrics and events, and reports what they found.

The data is in `registry.json` and `extensions.json` beside this module; the rules are in `attributes`, `spans`,
`tree` and `signals`. A span is checked when it has `gen_ai.operation.name` or comes from the scope
`otel_callbacks`. Rules of the official check keep its names (`genai_...`).

Some things are not checked, because a finished trace does not show them or because the emitter decides:

- whether an attribute was there when the span started (sampling), and whether `schema_url` is right
- conditionally required attributes, except `error.type`, and `server.port` beside `server.address`
- what a single provider requires (`aws.bedrock.guardrail.id`), refined names of skill and command tools
- values: that a conversation id is real, that a workflow name is not a class name, that numbers and durations are
  right, that metrics and inclusive totals add up to the spans, that content was redacted
- the JSON Schema in `parameters` of a tool definition, the contents of tool arguments and results
- resource attributes, entities, links, span events other than exceptions and the deprecated ones
- metrics given as SDK objects, temporality, and the spans, metrics and logs of other libraries
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from otel_callbacks.conformance import otlp
from otel_callbacks.conformance.findings import Finding, advice
from otel_callbacks.conformance.otlp import Signals
from otel_callbacks.conformance.registry import DEFAULT_PROFILES, Registry, load
from otel_callbacks.conformance.signals import check_event, check_metric
from otel_callbacks.conformance.spans import check_span, is_checked
from otel_callbacks.conformance.tree import check_tree

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Report:
    """The findings, and how much was checked; skipped spans belong to other libraries."""

    registry_version: str
    findings: tuple[Finding, ...]
    spans_checked: int
    spans_skipped: int
    metrics_checked: int
    events_checked: int

    @property
    def violations(self) -> list[Finding]:
        """The findings that make the check fail."""
        return [finding for finding in self.findings if finding.level == "violation"]


def check_file(path: str | Path, *, profiles: Iterable[str] = DEFAULT_PROFILES) -> list[Finding]:
    """Returns the findings in a trace file (OTLP JSON Lines with spans, metrics or logs); empty if it conforms.

    `profiles` are the additional spellings to allow; by default those that the package emits by default.

    Raises:
        TraceFileError: The file is not OTLP JSON Lines. A last line that is cut off is a finding instead.
        OSError: The file cannot be opened.
        ValueError: A profile is unknown.
    """
    return list(report([path], profiles=profiles).findings)


def check_spans(
    spans: Iterable[Mapping[str, Any] | Any], *, profiles: Iterable[str] = DEFAULT_PROFILES
) -> list[Finding]:
    """Returns the findings in spans: finished SDK spans, or mappings in the shape of an OTLP JSON span.

    The attributes of a mapping may be plain (`{"gen_ai.request.model": "gpt-4o"}`); its `"scope"` is the name
    of the instrumentation scope.

    Raises:
        TypeError: One of the `spans` is neither.
        ValueError: A profile is unknown.
    """
    return list(report_spans(spans, profiles=profiles).findings)


def check_events(
    records: Iterable[Mapping[str, Any] | Any], *, profiles: Iterable[str] = DEFAULT_PROFILES
) -> list[Finding]:
    """Returns the findings in events: the SDK's log records, or OTLP JSON log records.

    Raises:
        TypeError: One of the `records` is neither.
        ValueError: A profile is unknown.
    """
    return list(report_spans((), events=records, profiles=profiles).findings)


def report_spans(
    spans: Iterable[Mapping[str, Any] | Any],
    *,
    events: Iterable[Mapping[str, Any] | Any] = (),
    profiles: Iterable[str] = DEFAULT_PROFILES,
) -> Report:
    """Checks spans as `check_spans` does, and events; also reports how many were checked and skipped."""
    signals = Signals(
        spans=[_decoded(otlp.span, source, "span") for source in spans],
        logs=[_decoded(otlp.log, record, "log record") for record in events],
    )
    return _check(signals, load(tuple(profiles)))


def report(paths: Iterable[str | Path], *, profiles: Iterable[str] = DEFAULT_PROFILES) -> Report:
    """Checks several files as one, so that a parent may be in another process's file.

    Raises:
        TraceFileError, OSError, ValueError: As for `check_file`.
    """
    registry = load(tuple(profiles))
    return _check(otlp.read(paths), registry)


def _decoded(decode: Callable[[Any], _T], source: Any, kind: str) -> _T:
    try:
        return decode(source)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        message = f"neither a finished {kind} nor one of OTLP's JSON ({exc!r}): {source!r:.200}"
        raise TypeError(message) from exc


def _check(signals: Signals, registry: Registry) -> Report:
    checked = [span for span in signals.spans if is_checked(span)]
    metrics = [found for metric in signals.metrics if (found := check_metric(metric, registry)) is not None]
    events = [found for log in signals.logs if (found := check_event(log, registry)) is not None]
    findings = [
        advice("file_torn", path, "the last line is cut off and was ignored") for path in signals.cut_off
    ]
    for span in checked:
        findings += check_span(span, registry)
    findings += check_tree(signals.spans, checked)
    for found in [*metrics, *events]:
        findings += found
    return Report(
        registry_version=registry.version,
        findings=tuple(dict.fromkeys(findings)),  # the same attribute on a hundred points is one finding
        spans_checked=len(checked),
        spans_skipped=len(signals.spans) - len(checked),
        metrics_checked=len(metrics),
        events_checked=len(events),
    )
