"""The `demo` command: real applications, traced, against a model that runs right here."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click

from otel_callbacks.demo.corpus import Doc, load
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.server import LocalModelServer

Jobs = Mapping[str, Callable[[], str]]


@click.command()
@click.option(
    "--model", help="A model of the service at OPENAI_BASE_URL (or OpenAI's) instead of the local one."
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".otel_callbacks") / "demo.jsonl",
    show_default=True,
    help="The trace file to write.",
)
@click.option("--docs", default=1500, show_default=True, help="How many documents to index.")
def demo(model: str | None, file: Path, docs: int) -> None:
    """Run RAG chains and agents over Python's own documentation and show their traces.

    The model is an extractive one of ours: it copies its answers from the context it is given. Spans go to
    the trace file, and to OTEL_EXPORTER_OTLP_ENDPOINT when that is set.
    """
    from otel_callbacks.configure import configure

    file.unlink(missing_ok=True)
    telemetry = configure("otel-callbacks-demo", file=file)
    with LocalModelServer() as server:
        try:
            endpoint = Endpoint.from_environment(model, server)
        except ValueError as fault:
            raise click.UsageError(str(fault)) from fault
        corpus = load()
        click.echo(
            f"Model:  {endpoint.chat_model} at {endpoint.base_url}"
            + ("" if model else " (extractive: it copies sentences, it does not think)")
            + f"\nCorpus: {len(corpus)} documentation strings of Python's standard library, {docs} indexed\n"
        )
        shown: set[str] = set()
        for title, job in _langchain_jobs(endpoint, corpus, docs).items():
            answer = job()
            telemetry.flush()
            click.echo(f"── {title} " + "─" * max(0, _width() - len(title) - 4))
            click.echo(f"{answer.strip()}\n")
            _show_new(file, shown)
    telemetry.shutdown()
    click.echo(f"The traces are in {file} (OTLP JSON Lines).")
    if endpoint_variable := os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        click.echo(f"They were sent to {endpoint_variable} as well.")


def _langchain_jobs(endpoint: Endpoint, corpus: list[Doc], docs: int) -> Jobs:
    from otel_callbacks.demo import langchain_runs
    from otel_callbacks.langchain import OTelCallbackHandler

    handler = OTelCallbackHandler()
    store = langchain_runs.index(corpus, langchain_runs.embedding_model(endpoint), docs)
    return {
        f"LangChain: {name.replace('_', ' ')}": partial(run, endpoint, store, [handler])
        for name, run in langchain_runs.RUNS.items()
    }


def _show_new(file: Path, shown: set[str]) -> None:
    """Prints the traces that came into the file since it was last looked at."""
    from otel_callbacks.explore import read_jsonl, render_text, traces

    for trace in traces(read_jsonl(file)):
        if trace.trace_id not in shown:
            shown.add(trace.trace_id)
            click.echo(f"{render_text(trace, _width())}\n")


def _width() -> int:
    return min(shutil.get_terminal_size((110, 24)).columns, 140)
