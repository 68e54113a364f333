"""The `check` command: checks trace files against the conventions, for the terminal and for CI."""

from itertools import groupby

import click

from otel_callbacks.conformance.check import Report, report
from otel_callbacks.conformance.findings import Finding
from otel_callbacks.conformance.otlp import TraceFileError
from otel_callbacks.conformance.registry import DEFAULT_PROFILES, profile_names
from otel_callbacks.limits import ANSWER_ROWS, LINE_CHARACTERS
from otel_callbacks.runtime.json_options import json_options, limited
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable


class _UnreadableError(click.ClickException):
    exit_code = 2


@click.command("check", short_help="Check traces against the GenAI conventions.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(), default=(".otel_callbacks",))
@click.option("--advice/--no-advice", default=True, help="Also show what is recommended but not required.")
@click.option(
    "--profile",
    "profiles",
    type=click.Choice([*profile_names(), "none"]),
    multiple=True,
    default=DEFAULT_PROFILES,
    show_default=True,
    help="Additional spellings to allow. Can be given several times.",
)
@json_options(ANSWER_ROWS)
def check(files: tuple[str, ...], advice: bool, limit: int | None, profiles: tuple[str, ...]) -> None:
    """Check trace files, or folders of them (default: .otel_callbacks), against the OpenTelemetry GenAI conventions.

    Several files are checked as one, because a parent may be in another process's file. The exit status is 0
    without violations, 1 with violations, and 2 when a file cannot be read.
    """
    try:
        outcome = report(files, profiles=[name for name in profiles if name != "none"])
    except (OSError, TraceFileError) as exc:
        raise _UnreadableError(printable(str(exc))) from exc
    shown = outcome.findings if advice else tuple(outcome.violations)
    click.echo(_as_json(outcome, shown, limit) if limit else _as_text(outcome, shown))
    if outcome.violations:
        raise SystemExit(1)


def _by_rule(findings: tuple[Finding, ...]) -> list[tuple[str, str, list[Finding]]]:
    """Groups the findings as (level, rule, findings): violations first, then the most frequent rule first."""

    def key(finding: Finding) -> tuple[bool, str]:
        return finding.level == "advice", finding.rule

    groups = [list(group) for _, group in groupby(sorted(findings, key=key), key)]
    groups.sort(key=lambda group: (group[0].level == "advice", -len(group)))
    return [(group[0].level, group[0].rule, group) for group in groups]


def _as_text(outcome: Report, shown: tuple[Finding, ...]) -> str:
    lines = [
        f"registry: {outcome.registry_version}",
        f"spans: {outcome.spans_checked} checked, {outcome.spans_skipped} skipped"
        f" · metrics: {outcome.metrics_checked} · events: {outcome.events_checked}",
    ]
    for level, rule, group in _by_rule(shown):
        lines.append(f"{level:9} {len(group):5} × {printable(rule)}")
        lines.append(f"          e.g. {printable(group[0].span)}: {printable(group[0].message)}")
    lines.append(f"violations: {len(outcome.violations)} · advice: {_advice_count(outcome)}")
    return "\n".join(lines)


def _as_json(outcome: Report, shown: tuple[Finding, ...], limit: int) -> str:
    rules = [
        {
            "level": level,
            "rule": rule,
            "count": len(group),
            "example": {"span": _cut(group[0].span), "message": _cut(group[0].message)},
        }
        for level, rule, group in _by_rule(shown)
    ]
    counts = {
        "registry": outcome.registry_version,
        "spans_checked": outcome.spans_checked,
        "spans_skipped": outcome.spans_skipped,
        "metrics_checked": outcome.metrics_checked,
        "events_checked": outcome.events_checked,
        "violations": len(outcome.violations),
        "advice": _advice_count(outcome),
    }
    return json_text({**counts, **limited("rules", rules, limit)})


def _cut(text: str) -> str:
    """Returns a text, cut if it is long: names come from the application."""
    return f"{text:.{LINE_CHARACTERS}}"


def _advice_count(outcome: Report) -> int:
    return len(outcome.findings) - len(outcome.violations)
