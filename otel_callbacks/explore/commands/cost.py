"""The `cost` command: what trace files say was used and spent, at other prices, and beside an invoice."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import click
from click.core import ParameterSource

from otel_callbacks.cost.pricing import PriceBook, Pricer
from otel_callbacks.cost.reporting.finished import recorded, repriced
from otel_callbacks.cost.reporting.reconciliation import Reconciliation, reconcile
from otel_callbacks.cost.reporting.reports import DEFAULT_BY, Report, checked, report
from otel_callbacks.cost.reporting.repricing import Repricing, recompute
from otel_callbacks.explore import SpanRecord, read_jsonl
from otel_callbacks.explore.commands.errors import reading


def _names(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    try:
        return checked([name.strip() for name in text.split(",") if name.strip()])
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_PATH = click.Path(exists=True, dir_okay=False)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("cost")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--by",
    callback=_names,
    default=",".join(DEFAULT_BY),
    show_default=True,
    help="What to group by, with commas: tenant, feature, user, user_tier, session, model, provider, operation, "
    "day, status, or the name of any attribute.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@click.option("--since", type=_DAY, help="Only calls of this day (UTC) and later.")
@click.option("--until", type=_DAY, help="Only calls of this day (UTC) and earlier.")
@click.option("--recompute", "again", is_flag=True, help="Price every call again, at the prices of its day.")
@click.option("--prices", metavar="BOOK", type=_PATH, help="A price book (TOML, JSON) for --recompute.")
@click.option(
    "--reconcile",
    "invoices",
    metavar="INVOICE",
    multiple=True,
    type=_PATH,
    help="Compare with a CSV file of OpenAI, Anthropic or FOCUS; repeatable.",
)
def cost(
    files: tuple[str, ...],
    by: tuple[str, ...],
    form: str,
    since: datetime | None,
    until: datetime | None,
    again: bool,
    prices: str | None,
    invoices: tuple[str, ...],
) -> None:
    """What the calls in trace files (OTLP JSON Lines, or folders of them) used and cost.

    Costs are estimates. The exit status is 0, or 1 when an invoice does not agree with the traces (by more than
    half a percent of the tokens or one percent of the money), or 2 when a file cannot be read.
    """
    if prices and not again:
        raise click.UsageError("--prices needs --recompute: without it the costs are those in the files")
    if invoices and click.get_current_context().get_parameter_source("by") is not ParameterSource.DEFAULT:
        raise click.UsageError("--by has no say in --reconcile: its rows are days, providers and models")
    if again and "status" in by:
        raise click.UsageError("--by status is not the same before and after --recompute")
    with reading():  # a damaged line, a malformed book, no invoice: all say where
        pricer = Pricer(PriceBook.load(prices) if prices else None) if again else None
        outcome = _outcome(_between(read_jsonl(files), since, until), by, pricer, invoices)
    shown = {"table": outcome.__str__, "csv": outcome.to_csv, "json": outcome.to_json}[form]()
    click.echo(shown, nl=form != "csv")
    if isinstance(outcome, Reconciliation) and not outcome.agrees:
        raise SystemExit(1)


def _outcome(
    spans: Iterable[SpanRecord], by: tuple[str, ...], pricer: Pricer | None, invoices: tuple[str, ...]
) -> Report | Repricing | Reconciliation:
    if invoices:
        return reconcile(spans, *invoices, charging=repriced(pricer) if pricer else recorded)
    return recompute(spans, pricer, by) if pricer else report(spans, by)


def _between(
    spans: Iterable[SpanRecord], since: datetime | None, until: datetime | None
) -> Iterator[SpanRecord]:
    """The spans that started on these days in UTC, the first and the last included."""
    first = _nanoseconds(since) if since else 0
    end = _nanoseconds(until + timedelta(days=1)) if until else None
    return (span for span in spans if first <= span.start_ns and (end is None or span.start_ns < end))


def _nanoseconds(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) * 10**9
