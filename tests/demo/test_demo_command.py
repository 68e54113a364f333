"""The `demo` command, in a process of its own, because it sets the global providers."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from google.protobuf.message import Message
from llama_index.core import Settings
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_callbacks.cli import main
from otel_callbacks.conformance import report
from otel_callbacks.demo import command, corpus, llama_index_runs
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.server import LocalModelServer
from otel_callbacks.explore import group, read_jsonl
from otel_callbacks.export.outbox import Delivery
from otel_callbacks.export.telemetry import Stats
from otel_callbacks.llama_index import OTelCallbackHandler

REQUESTS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
ROOTS = {
    "LangChain: rag": ["invoke_workflow rag"],
    "LangChain: streamed rag": ["invoke_workflow rag"],
    "LangChain: agent": ["invoke_agent librarian"],
    "LangChain: supervisor": ["invoke_agent supervisor"],
    "LlamaIndex: rag": ["invoke_workflow Rag"],
    "LlamaIndex: async rag": ["invoke_workflow Rag"],
    "LlamaIndex: streamed rag": ["invoke_workflow Rag"],
    "LlamaIndex: chat": ["invoke_workflow chat_engine", "invoke_workflow chat_engine"],
    "LlamaIndex: agent": ["invoke_agent librarian"],
    "LlamaIndex: team": ["invoke_workflow team"],
    "LlamaIndex: ingestion": ["invoke_workflow ingestion"],
}


class Receiver(ThreadingHTTPServer):
    """Accepts OTLP over HTTP and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Any]:
        sent = [request for request in self.requests if isinstance(request, ExportTraceServiceRequest)]
        scopes = [scope for request in sent for each in request.resource_spans for scope in each.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    @property
    def metrics(self) -> set[str]:
        sent = [request for request in self.requests if isinstance(request, ExportMetricsServiceRequest)]
        scopes = [
            scope for request in sent for each in request.resource_metrics for scope in each.scope_metrics
        ]
        return {metric.name for scope in scopes for metric in scope.metrics}


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        request = REQUESTS[self.path]()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


HEADER = re.compile(r"\S.* · [\d.]+ m?s · ")
"""Matches the first line of a trace."""


@dataclass(frozen=True)
class Ran:
    """The output of one run of the command, and its trace file."""

    output: str
    errors: str
    file: Path

    def parts(self) -> dict[str, str]:
        """Returns what was printed for each job, by its title."""
        jobs = self.output.partition("━━ ")[0]
        parts = [part.partition(" ─") for part in jobs.split("── ")[1:]]
        return {title: text for title, _, text in parts}


def run_demo(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
    kept["COLUMNS"] = "110"
    command_line = [sys.executable, "-m", "otel_callbacks", "demo", "--docs", "120", *arguments]
    ran = subprocess.run(
        command_line,
        cwd=folder,
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return Ran(ran.stdout, ran.stderr, folder / ".otel_callbacks" / "demo.jsonl")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ran, Receiver]]:
    with receiving() as receiver:
        folder = tmp_path_factory.mktemp("everything")
        yield run_demo(folder, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}), receiver


def test_shows_the_traces_of_every_job_and_no_others(everything: tuple[Ran, Receiver]) -> None:
    ran, _ = everything
    shown = {
        title: [line.partition(" · ")[0] for line in text.splitlines() if HEADER.match(line)]
        for title, text in ran.parts().items()
    }
    assert shown == ROOTS
    assert len(group(read_jsonl(ran.file))) == sum(map(len, ROOTS.values()))


def test_prints_nothing_unexpected(everything: tuple[Ran, Receiver]) -> None:
    ran, receiver = everything
    assert ran.errors.startswith(
        "calls of hashed-tfidf-256 (openai, 127.0.0.1) have no price (local_endpoint)"
    )
    assert len(ran.errors.splitlines()) == 1
    assert ran.output.startswith("Model:  extractive-1 at http://127.0.0.1:")
    assert "120 indexed" in ran.output
    assert max(map(len, ran.output.splitlines())) <= 110
    assert ran.output.endswith(
        "The traces are in .otel_callbacks/demo.jsonl (OTLP JSON Lines).\n"
        f"They were sent to {receiver.url} as well.\n"
    )


def test_shows_what_it_cost_who_pays_and_how_many_tokens_tools_took(everything: tuple[Ran, Receiver]) -> None:
    _, _, shown = everything[0].output.partition("━━ What it cost, and who pays ")
    costs, _, tools = shown.partition("━━ What tools took of the agents' input tokens (estimated) ")
    rows = {line[:20].strip(): line for line in costs.splitlines()}
    assert "$" not in costs and "USD" in rows["tenant  feature"]
    assert {"acme    agent", "globex  supervisor", "extractive-1", "hashed-tfidf-256"} <= rows.keys()
    assert "%" in rows["extractive-1"] and "%" not in rows["hashed-tfidf-256"]
    assert "invoke_agent librarian: " in tools
    assert "  search_docs " in tools and "sent again" in tools


def test_traces_conform(everything: tuple[Ran, Receiver]) -> None:
    outcome = report([everything[0].file])
    assert outcome.violations == []
    assert outcome.spans_checked > 60
    assert outcome.spans_skipped == 0


def test_rag_has_the_same_operations_in_both_frameworks(everything: tuple[Ran, Receiver]) -> None:
    parts = everything[0].parts()
    for operation in ("retrieval ", "chat extractive-1 "):
        assert operation in parts["LangChain: rag"]
        assert operation in parts["LlamaIndex: rag"]
    assert "8 → 4 docs" in parts["LlamaIndex: rag"]


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
def test_a_tool_fails_once_and_is_called_again(everything: tuple[Ran, Receiver], framework: str) -> None:
    lines = everything[0].parts()[f"{framework}: agent"].splitlines()
    calls = [line for line in lines if "execute_tool count_functions" in line]
    assert ["✗ TimeoutError" in call for call in calls] == [True, False]


def test_every_chat_ends_and_reports_its_tokens(everything: tuple[Ran, Receiver]) -> None:
    found = group(read_jsonl(everything[0].file))
    calls = [call for trace in found for call in trace.model_calls if call.name.startswith("chat ")]
    assert len(calls) > 15
    assert all(call.input_tokens and call.output_tokens and not call.outcome for call in calls)


def test_exports_the_same_spans_and_metrics_too(everything: tuple[Ran, Receiver]) -> None:
    ran, receiver = everything
    written = {span.span_id for trace in group(read_jsonl(ran.file)) for span in trace.walk()}
    assert {span.span_id.hex() for span in receiver.spans} == written
    assert "gen_ai.client.operation.duration" in receiver.metrics


def test_runs_one_framework_alone_in_two_rounds(tmp_path: Path) -> None:
    imported = tmp_path / "sitecustomize.py"
    imported.write_text("import sys\nsys.modules['langchain'] = sys.modules['langchain_core'] = None\n")
    arguments = ("--framework", "llama-index", "--rounds", "2", "--format", "json")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    ran = run_demo(tmp_path, *arguments, environment={"PYTHONPATH": path})
    told = [title for title in ROOTS if title.startswith("LlamaIndex")]
    assert list(Ran(ran.errors, "", ran.file).parts()) == told  # what is shown meanwhile
    found = json.loads(ran.output)
    roots = [root for title in told for root in ROOTS[title]]
    assert sorted(trace["name"] for trace in found["traces"]) == sorted(2 * roots)
    assert {row["tenant"] for row in found["cost"]["rows"]} == {"acme", "globex"}
    assert found["file"] == ".otel_callbacks/demo.jsonl"
    services = {
        attribute["value"]["stringValue"]
        for line in ran.file.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for attribute in resource["resource"]["attributes"]
        if attribute["key"] == "service.name"
    }
    assert services == {"otel-callbacks-demo"}


def run_hindered(folder: Path, hindrance: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the demo of LlamaIndex after the code in `hindrance`."""
    (folder / "sitecustomize.py").write_text(hindrance)
    return subprocess.run(
        [sys.executable, "-m", "otel_callbacks", "demo", "--docs", "3", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_job_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    """As nltk does, which refuses its files where an installer makes hard links of them."""
    hindrance = """
import pathlib, sys
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name == "nltk":
            raise PermissionError("english.pickle is a hard link")
sys.meta_path.insert(0, Refuses())
"""
    ran = run_hindered(tmp_path, hindrance, "--framework", "llama-index")
    assert ran.returncode == 1
    failed = "LlamaIndex: ingestion failed: PermissionError: english.pickle is a hard link"
    assert ran.stderr.splitlines()[-1] == f"Error: {failed}"
    assert "Traceback" not in ran.stderr
    parts = Ran(ran.stdout, ran.stderr, tmp_path).parts()
    assert list(parts) == [title for title in ROOTS if title.startswith("LlamaIndex")]
    assert "✗ PermissionError: english.pickle is a hard link" in parts["LlamaIndex: ingestion"]
    assert "What it cost, and who pays" in ran.stdout
    assert "The traces are in .otel_callbacks/demo.jsonl" in ran.stdout


def no_traces() -> None:
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ModuleNotFoundError("No module named 'llama_index'"),
            "LlamaIndex: No module named 'llama_index'; pip install",
        ),
        (
            OSError(18, "Invalid cross-device link"),
            "LlamaIndex cannot be set up: OSError: [Errno 18] Invalid cross",
        ),
    ],
)
def test_a_framework_that_cannot_be_set_up_leaves_the_other_alone(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def broken(*_: object) -> Iterator[command.Jobs]:
        raise error
        yield {}

    monkeypatch.setitem(command.FRAMEWORKS, "llama-index", ("LlamaIndex", broken))  # type: ignore[call-overload]
    with LocalModelServer(delay=0) as server:
        [failure] = command._run_framework("llama-index", Endpoint.local(server), [], 3, 1, no_traces)
    assert failure.startswith(said)


def test_a_full_disk_is_no_success(tmp_path: Path) -> None:
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))\n"
    ran = run_hindered(tmp_path, full, "--framework", "llama-index")
    assert ran.returncode == 1
    assert re.search(
        r"\nError: \d+ of \d+ spans did not arrive at .otel_callbacks/demo.jsonl; the log above says why\n$",
        ran.stderr,
    )
    assert "cannot write traces to .otel_callbacks/demo.jsonl and will not try again: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_spans_that_did_not_arrive_are_told_by_destination() -> None:
    arrived, lost = Delivery("a.jsonl", 0, 9, 0, 0), Delivery("http://127.0.0.1:1", 0, 1, 4, 2)
    stats = Stats(9, 9, 0, 10, 6, 0, 0, (arrived, lost))
    assert list(command._lost(stats)) == [
        "6 of 7 spans did not arrive at http://127.0.0.1:1; the log above says why"
    ]


def test_says_what_it_is_doing_while_it_imports_and_indexes(everything: tuple[Ran, Receiver]) -> None:
    lines = [line for line in everything[0].output.splitlines() if line.endswith(" …")]
    assert lines == [
        "LangChain: importing it and indexing the documents …",
        "LlamaIndex: importing it and indexing the documents …",
    ]


def test_refuses_another_model_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    earlier = tmp_path / ".otel_callbacks" / "demo.jsonl"
    earlier.parent.mkdir()
    earlier.write_text("{}\n")
    refused = CliRunner().invoke(main, ["demo", "--model", "gpt-5"])
    assert refused.exit_code == 2
    assert "Error: to use gpt-5, set OPENAI_API_KEY, or OPENAI_BASE_URL for another service" in refused.output
    assert earlier.exists(), "a refused run must not delete the traces of the last one"


def test_a_service_that_refuses_is_named(tmp_path: Path) -> None:
    """The error is one line, without a traceback."""
    environment = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    stopped = subprocess.run(
        [sys.executable, "-m", "otel_callbacks", "demo", "--model", "gpt-5", "--docs", "3"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 1
    assert stopped.stderr.splitlines()[-1] == "Error: gpt-5 at http://127.0.0.1:1/v1: Connection error."
    assert "Traceback" not in stopped.stderr


def test_leaves_the_settings_of_llama_index_as_they_were() -> None:
    before = Settings.callback_manager
    with (
        LocalModelServer(delay=0) as server,
        command._llama_index(Endpoint.local(server), corpus.load(3), 3) as jobs,
    ):
        [handler] = Settings.callback_manager.handlers
        assert isinstance(handler, OTelCallbackHandler)
        assert list(jobs) == list(llama_index_runs.RUNS)
    assert Settings.callback_manager is before


def test_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = SimpleNamespace(
        flush=lambda: True, shutdown=lambda: True, stats=lambda: SimpleNamespace(destinations=())
    )
    monkeypatch.setattr("otel_callbacks.export.configure.configure", lambda *args, **options: telemetry)
    monkeypatch.setattr("otel_callbacks.demo.command.load", list)
    monkeypatch.setitem(sys.modules, "llama_index.core", None)
    monkeypatch.chdir(tmp_path)
    stopped = CliRunner().invoke(main, ["demo", "--framework", "llama-index"])
    assert stopped.exit_code == 1
    assert "pip install 'otel-callbacks[demo]'" in stopped.output


def test_refuses_an_unknown_framework_and_no_documents() -> None:
    for arguments in (["--framework", "haystack"], ["--docs", "0"]):
        assert CliRunner().invoke(main, ["demo", *arguments]).exit_code == 2
