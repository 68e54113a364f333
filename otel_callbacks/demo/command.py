"""The `demo` command: runs real applications against a local model and shows their traces."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from inspect import signature
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import click

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import attribution
from otel_callbacks.demo.corpus import Doc, load
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.extractive import CHAT_MODEL
from otel_callbacks.demo.server import LocalModelServer
from otel_callbacks.explore import SpanRecord
from otel_callbacks.explore.as_json.facts import trace_facts
from otel_callbacks.explore.commands.terminal import width
from otel_callbacks.runtime.json_options import format_option, only_json
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable

if TYPE_CHECKING:
    from otel_callbacks.export.telemetry import Stats

Jobs = Mapping[str, Callable[[], str]]  # by name; each returns its answer
Framework = Callable[[Endpoint, Sequence[Doc], int], AbstractContextManager[Jobs]]


@contextmanager
def _langchain(endpoint: Endpoint, corpus: Sequence[Doc], docs: int) -> Iterator[Jobs]:
    """Yields the LangChain jobs; each call gets the handler."""
    from otel_callbacks.demo import langchain_runs
    from otel_callbacks.langchain import OTelCallbackHandler, trace_embeddings, trace_retriever

    embeddings = trace_embeddings(langchain_runs.embedding_model(endpoint))
    store = langchain_runs.index(corpus, embeddings, docs)
    trace_retriever(store)
    handler = OTelCallbackHandler(prices=PRICES)
    yield {name: partial(run, endpoint, store, [handler]) for name, run in langchain_runs.RUNS.items()}


@contextmanager
def _llama_index(endpoint: Endpoint, corpus: Sequence[Doc], docs: int) -> Iterator[Jobs]:
    """Yields the LlamaIndex jobs, which find the handler in the settings."""
    from llama_index.core import Settings
    from llama_index.core.callbacks import CallbackManager

    from otel_callbacks.demo import llama_index_runs
    from otel_callbacks.llama_index import OTelCallbackHandler

    # Indexes before the handler is set, so that the first trace shown is the first job's.
    index = llama_index_runs.index(corpus, llama_index_runs.embedding_model(endpoint), docs)
    before = Settings.callback_manager
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(prices=PRICES)])
    try:
        yield {name: partial(run, endpoint, index) for name, run in llama_index_runs.RUNS.items()}
    finally:
        Settings.callback_manager = before


PRICES = {"prices": {CHAT_MODEL: {"input": 0.15, "output": 0.60}}, "version": "demo"}
"""USD per million tokens of the local chat model. The embedding model has no price, to show an unpriced call."""

TENANTS = ("acme", "globex")
"""The tenants that take turns to pay for the jobs."""

FRAMEWORKS: Mapping[str, tuple[str, Framework]] = {
    "langchain": ("LangChain", _langchain),
    "llama-index": ("LlamaIndex", _llama_index),
}
"""The title of each framework, and what yields its jobs."""


@click.command("demo", short_help="Trace RAG and agents over Python's documentation.")
@click.option(
    "--framework",
    type=click.Choice([*FRAMEWORKS, "all"]),
    default="all",
    show_default=True,
    help="The framework whose jobs to run.",
)
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
@click.option(
    "--docs", type=click.IntRange(min=1), default=1500, show_default=True, help="How many documents to index."
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How often to run the jobs; a dashboard shows rates, so it needs several.",
)
@format_option
def demo(framework: str, model: str | None, file: Path, docs: int, rounds: int, output_format: str) -> None:
    """Run RAG pipelines and agents over Python's own documentation and show their traces.

    The local model is extractive: it copies its answers from the context. Spans go to the trace file, and to
    OTEL_EXPORTER_OTLP_ENDPOINT if it is set.
    """
    with only_json(output_format):
        chosen = list(FRAMEWORKS) if framework == "all" else [framework]
        failures = _trace_jobs(chosen, model, file, docs, rounds)
        if not file.exists():
            raise click.ClickException("\n".join(failures))
        click.echo(_cost_report(file))
        click.echo(f"The traces are in {file} (OTLP JSON Lines).")
        if not failures and (address := os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")):
            click.echo(f"They were sent to {address} as well.")
    if output_format == "json":
        click.echo(_json(file))
    if failures:
        raise click.ClickException("\n".join(failures))


def _trace_jobs(
    frameworks: Sequence[str], model: str | None, file: Path, docs: int, rounds: int
) -> list[str]:
    """Runs the jobs of some frameworks, writes their traces to a file, and returns a line for each failure."""
    from otel_callbacks.export.configure import configure

    failures: list[str] = []
    with LocalModelServer() as server:
        try:
            endpoint = Endpoint.from_environment(model, server)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        file.unlink(missing_ok=True)
        telemetry = configure("otel-callbacks-demo", file=file)
        click.echo(_introduction(endpoint, model is None))
        corpus = load()
        click.echo(_size(len(corpus), min(docs, len(corpus))))
        show_new = _new_trace_printer(file, telemetry.flush)
        for name in frameworks:
            failures += _run_framework(name, endpoint, corpus, docs, rounds, show_new)
    telemetry.shutdown()
    return failures + list(_lost(telemetry.stats()))


def _run_framework(
    name: str,
    endpoint: Endpoint,
    corpus: Sequence[Doc],
    docs: int,
    rounds: int,
    show_new: Callable[[], None],
) -> list[str]:
    """Runs the jobs of a framework; returns which failed, and why. One that cannot be set up leaves the other alone."""
    title, jobs = FRAMEWORKS[name]
    click.echo(f"{title}: importing it and indexing the documents …\n")
    try:
        from openai import OpenAIError
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{missing}; pip install 'otel-callbacks[demo]'") from missing
    try:
        with jobs(endpoint, corpus, docs) as named:
            return [failure for _ in range(rounds) for failure in _run(title, named, show_new)]
    except OpenAIError as refusal:  # which the other framework would meet as well
        service = f"{endpoint.chat_model} at {endpoint.base_url}"
        raise click.ClickException(f"{service}: {refusal}") from refusal
    except ModuleNotFoundError as missing:
        return [f"{title}: {missing}; pip install 'otel-callbacks[demo]'"]
    except Exception as error:  # the other framework is worth seeing all the same
        return [f"{title} cannot be set up: {_named(error)}"]


def _lost(stats: "Stats") -> Iterator[str]:
    """Yields what did not arrive where."""
    for each in stats.destinations:
        if lost := each.failed + each.dropped:
            whole = lost + each.exported
            yield f"{lost:,} of {whole:,} spans did not arrive at {each.destination}; the log above says why"


def _introduction(endpoint: Endpoint, is_local: bool) -> str:
    note = " (extractive: it copies sentences, it does not think)" if is_local else ""
    return f"Model:  {endpoint.chat_model} at {endpoint.base_url}{note}"


def _size(documents: int, indexed: int) -> str:
    return f"Corpus: {documents:,} documentation strings of Python's standard library, {indexed:,} indexed\n"


def _run(framework: str, jobs: Jobs, show_new: Callable[[], None]) -> list[str]:
    """Runs the jobs, and prints the question, the answer and the traces of each; returns which failed, and why."""
    failures = []
    for (name, job), tenant in zip(jobs.items(), cycle(TENANTS), strict=False):
        title = f"{framework}: {name.replace('_', ' ')}"
        try:
            with attribution(tenant=tenant, feature=name.replace("_", " ")):
                answer = job().strip()
        except Exception as error:  # the other jobs are worth seeing all the same
            answer = f"✗ {_named(error)}"
            failures.append(f"{title} failed: {_named(error)}")
        click.echo(f"── {title} ".ljust(width(), "─"))
        if question := signature(job).parameters.get("question"):
            answer = f"> {question.default}\n{answer}"
        click.echo("\n".join(fill(line, width()) for line in answer.splitlines()) + "\n")
        show_new()
    return failures


def _named(error: Exception) -> str:
    """Returns the type of an error and the first line of its message, in one line."""
    said = printable(str(error).partition("\n")[0])
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _cost_report(file: Path) -> str:
    """Returns what the jobs cost and who pays, and how many of the agents' tokens were results of tools."""
    from otel_callbacks.cost import report
    from otel_callbacks.explore import read_jsonl

    spans = list(read_jsonl(file))
    return "\n".join(
        [
            "━━ What it cost, and who pays ".ljust(width(), "━"),
            f"{report(spans, by=('tenant', 'feature'))}\n",
            f"{report(spans, by=('model',))}\n",
            "━━ What tools took of the agents' input tokens (estimated) ".ljust(width(), "━"),
            *(line for span in spans for line in _tool_lines(span)),
            "",
        ]
    )


def _json(file: Path) -> str:
    """Returns the traces and what they cost as JSON; the traces themselves are in the file."""
    from otel_callbacks.cost import report
    from otel_callbacks.explore import group, read_jsonl

    traces = group(read_jsonl(file))
    costs = report(traces, by=("tenant", "feature")).document()
    return json_text({"file": str(file), "traces": list(map(trace_facts, traces)), "cost": costs})


def _tool_lines(span: SpanRecord) -> Iterator[str]:
    share = span.attributes.get(semconv.ROLLUP_TOOL_TOKEN_SHARE)
    by_tool = span.attributes.get(semconv.ROLLUP_TOOLS)
    if isinstance(share, float) and isinstance(by_tool, str):
        yield f"{span.name}: {share:.0%} were results of tools"
        for tool, use in json.loads(by_tool).items():
            once, again = use["sent_once"], use["resent"]
            yield f"  {tool:20} {use['calls']:3} calls {once:7,} tokens, {again:7,} sent again"


def _new_trace_printer(file: Path, flush: Callable[[], object]) -> Callable[[], None]:
    """Returns a function that prints the traces added to the file since its last call."""
    from otel_callbacks.explore import group, read_jsonl, render_text

    shown: set[str] = set()

    def show_new() -> None:
        flush()
        for trace in group(read_jsonl(file)) if file.exists() else ():  # a full disk has none
            if trace.trace_id not in shown:
                shown.add(trace.trace_id)
                click.echo(f"{render_text(trace, width())}\n")

    return show_new
