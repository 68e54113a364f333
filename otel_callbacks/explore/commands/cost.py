"""The `cost` command: reports costs from trace files, at other prices, or compared with an invoice."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import click
from click.core import ParameterSource

from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.pricing import Pricer
from otel_callbacks.cost.reporting.outcomes import OutcomeReport, per_outcome, split_outcome
from otel_callbacks.cost.reporting.reconciliation import Reconciliation, reconcile
from otel_callbacks.cost.reporting.reports import DEFAULT_BY, Report, check_grouping, report
from otel_callbacks.cost.reporting.repricing import Repricing, recompute
from otel_callbacks.cost.reporting.span_cost import recorded_cost, repriced_cost
from otel_callbacks.explore import SpanRecord, read_jsonl
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import files_argument
from otel_callbacks.explore.commands.terminal import reading_bar
from otel_callbacks.limits import ANSWER_ROWS
from otel_callbacks.runtime.json_options import check_limit, limit_option, limited
from otel_callbacks.runtime.json_text import json_text


def _names(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    try:
        return check_grouping([name.strip() for name in text.split(",") if name.strip()])
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _outcome(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    try:
        return text if text is None else "=".join(filter(None, split_outcome(text)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _is_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


_Result: TypeAlias = Report | Repricing | Reconciliation | OutcomeReport
_PATH = click.Path(exists=True, dir_okay=False)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("cost", short_help="Report what model calls used and cost.")
@files_argument
@click.option(
    "--by",
    callback=_names,
    default=",".join(DEFAULT_BY),
    show_default=True,
    help="What to group by, separated by commas: tenant, feature, user, user_tier, session, model, provider, "
    "operation, day, status, or the name of any attribute.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
)
@limit_option(ANSWER_ROWS)
@click.option("--since", type=_DAY, help="Only calls on this day (UTC) and later.")
@click.option("--until", type=_DAY, help="Only calls on this day (UTC) and earlier.")
@click.option(
    "--recompute", "reprice", is_flag=True, help="Price every call again, at the prices of its day."
)
@click.option("--prices", metavar="BOOK", type=_PATH, help="A price book (TOML or JSON) for --recompute.")
@click.option(
    "--reconcile",
    "invoices",
    metavar="INVOICE",
    multiple=True,
    type=_PATH,
    help="Compare with an invoice: a CSV file of OpenAI, Anthropic or FOCUS; repeatable.",
)
@click.option(
    "--per",
    metavar="OUTCOME",
    callback=_outcome,
    help="Show the cost per completed task. OUTCOME is the name of feedback (record_feedback) or of a label "
    "(app.<name>) that says how a trace ended. A trace is completed if it has one, other than a score of 0 or less, "
    "'no', 'false', 'fail', 'error', 'cancelled' and the like; with NAME=VALUE, if it is VALUE. The cost of all "
    "traces, discarded attempts included, is divided by the number of completed ones.",
)
def cost(
    files: tuple[str, ...],
    by: tuple[str, ...],
    output_format: str,
    limit: int,
    since: datetime | None,
    until: datetime | None,
    reprice: bool,
    prices: str | None,
    invoices: tuple[str, ...],
    per: str | None,
) -> None:
    """Report the usage and cost of the model calls in trace files, or folders of them (default: .otel_callbacks).

    Costs are estimates. The exit status is 1 if an invoice and the traces disagree (by more than half a percent of
    the tokens or one percent of the money), 2 if a file cannot be read, and otherwise 0.
    """
    check_limit(output_format)
    if per and (invoices or reprice or _is_given("by")):
        raise click.UsageError(
            "--per cannot be used with --by, --recompute and --reconcile: its rows are outcomes"
        )
    if prices and not reprice:
        raise click.UsageError("--prices needs --recompute: without it the costs are those in the files")
    if invoices and _is_given("by"):
        raise click.UsageError(
            "--by cannot be used with --reconcile, which groups by day, provider and model"
        )
    if reprice and "status" in by:
        raise click.UsageError("--by status is not the same before and after --recompute")
    with file_errors(), reading_bar(files):
        pricer = Pricer(PriceBook.load(prices) if prices else None) if reprice else None
        result: _Result
        if per:
            first, end = _nanoseconds_between(since, until)
            result = per_outcome(read_jsonl(files), per, since=first, until=end)
        else:
            result = _result(_between(read_jsonl(files), since, until), by, pricer, invoices)
    if output_format == "json":
        click.echo(_json(result, limit))
    else:
        click.echo(result.to_csv() if output_format == "csv" else str(result), nl=output_format != "csv")
    if isinstance(result, Reconciliation) and not result.agrees:
        raise SystemExit(1)


def _json(result: _Result, limit: int) -> str:
    """Returns the report as JSON with its first rows; the total is that of all."""
    document = result.document()
    return json_text(document | limited("rows", document["rows"], limit))


def _result(
    spans: Iterable[SpanRecord], by: tuple[str, ...], pricer: Pricer | None, invoices: tuple[str, ...]
) -> Report | Repricing | Reconciliation:
    if invoices:
        return reconcile(spans, *invoices, cost_of_span=repriced_cost(pricer) if pricer else recorded_cost)
    return recompute(spans, pricer, by) if pricer else report(spans, by)


def _between(
    spans: Iterable[SpanRecord], since: datetime | None, until: datetime | None
) -> Iterator[SpanRecord]:
    """Returns the spans that started from the first to the last of these days (UTC)."""
    first, end = _nanoseconds_between(since, until)
    return (span for span in spans if first <= span.start_ns and (end is None or span.start_ns < end))


def _nanoseconds_between(since: datetime | None, until: datetime | None) -> tuple[int, int | None]:
    first = _nanoseconds(since) if since else 0
    return first, _nanoseconds(until + timedelta(days=1)) if until else None


def _nanoseconds(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) * 10**9
