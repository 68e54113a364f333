"""What people see in Phoenix and MLflow, read back through their own APIs.

`python tests/export/environments/make.py` makes their environments (some minutes, 600 MB each); these tests start them.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from every_operation import NAMES, PRICES, answer
from ports import free_port
from waiting import patiently

from otel_callbacks import BackEnd, configure
from otel_callbacks.export.back_ends import To
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

pytestmark = [pytest.mark.backend, pytest.mark.usefixtures("no_providers")]
BIN = Path(__file__).parents[2] / ".venv" / "backends"
SECONDS = 90.0
"""How long servers may take to start, and to show what they accepted."""


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def running(command: list[Any], ready: str, folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            patiently(lambda: answers(ready), SECONDS)
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Phoenix's addresses by HTTP and gRPC."""
    folder, port, grpc = tmp_path_factory.mktemp("phoenix"), free_port(), free_port()
    off = ("ALLOW_EXTERNAL_RESOURCES", "TELEMETRY_ENABLED", "ENABLE_MCP_SERVER")
    on = ("DISABLE_AGENT_ASSISTANT", "AGENTS_DISABLE_BASH", "AGENTS_DISABLE_WEB_ACCESS")
    variables = {f"PHOENIX_{name}": "false" for name in off} | {f"PHOENIX_{name}": "true" for name in on}
    variables |= {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
    }
    url = f"http://127.0.0.1:{port}"
    with running([BIN / "phoenix" / "bin" / "phoenix", "serve"], f"{url}/readyz", folder, variables):
        yield url, f"http://127.0.0.1:{grpc}"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [BIN / "mlflow" / "bin" / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--workers", "1"]
    variables = {
        "MLFLOW_MODEL_CATALOG_URI": "",  # else it looks prices up on the network
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/health", folder, variables):
        yield url


def send(to: To) -> str:
    """Sends the trace; returns its id."""
    telemetry = configure(to=to)
    by_hand = recorder(content="spans", prices=PRICES)
    set_process_recorder(send, lambda: by_hand)
    with telemetry.tracer_provider.get_tracer("application").start_as_current_span("around") as around:
        answer()
    set_process_recorder(send, None)
    assert telemetry.flush(30)
    telemetry.shutdown(30)
    return f"{around.get_span_context().trace_id:032x}"


IN_PHOENIX = {
    "around": ("chain", None, None, 0, 240),
    "invoke_workflow answer": ("chain", "Where is it?", "In Paris.", 0, 240),
    "prepare": ("chain", None, None, 0, 0),
    "invoke_agent lead": ("agent", "Where is it?", "In Paris.", 0, 240),
    "invoke_agent helper": ("agent", "Be brief.", None, 0, 120),
    "execute_tool look_up": ("tool", '{"place": "Paris"}', "Paris found", 0, 0),
    "chat gpt-x": ("llm", "Where is it?", "In Paris.", 120, 120),
    "embeddings embed-x": ("embedding", None, None, 0, 0),  # Phoenix counts the tokens of LLM spans only
    "retrieval docs": (
        "retriever",
        "Where?",
        '[{"id": "a", "content": "Paris is here."}, {"id": "b", "score": 0.5, "content": "Rome."}]',
        0,
        0,
    ),
    "rerank rank-x": (
        "reranker",
        "Where?",
        '[{"id": "b", "score": 0.9, "content": "Rome.", "rank_before": 2}]',
        0,
        0,
    ),
}
QUESTION = """{projects {edges {node {name tokenCountTotal
  sessions(first: 5) {edges {node {sessionId firstInput {value} lastOutput {value}}}}
  spans(first: 50) {edges {node {name spanKind input {value} output {value} tokenCountTotal cumulativeTokenCountTotal}}}
}}}}"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_phoenix(protocol: str, phoenix: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    url, grpc = phoenix
    if protocol == "http":
        monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", url)
        monkeypatch.setenv("PHOENIX_PROJECT_NAME", "mine")
        send("phoenix")
    else:
        send(BackEnd(grpc, "grpc", signals=["traces"], profiles=["openinference"]))
    project = "mine" if protocol == "http" else "default"
    found = patiently(lambda: in_phoenix(url, project), SECONDS)
    assert found["tokenCountTotal"] == 240
    if protocol == "http":  # a session stays in the project that it was first seen in
        assert [each["node"] for each in found["sessions"]["edges"]] == [
            {"sessionId": "s-1", "firstInput": None, "lastOutput": None}
        ]
    spans = [each["node"] for each in found["spans"]["edges"]]
    assert {each["name"]: shown(each) for each in spans} == IN_PHOENIX


def in_phoenix(url: str, project: str) -> Any:
    """Returns a project when all of its spans are there."""
    answer = requests.post(f"{url}/graphql", json={"query": QUESTION}, timeout=30).json()["data"]
    for each in answer["projects"]["edges"]:
        if each["node"]["name"] == project and len(each["node"]["spans"]["edges"]) == len(NAMES) + 2:
            return each["node"]
    return None


def shown(span: Mapping[str, Any]) -> tuple[Any, ...]:
    texts = [span[side] and span[side]["value"] for side in ("input", "output")]
    return span["spanKind"], *texts, span["tokenCountTotal"], span["cumulativeTokenCountTotal"]


def test_mlflow(mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = requests.post(
        f"{mlflow}/api/2.0/mlflow/experiments/create", json={"name": "mine"}, timeout=30
    ).json()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made["experiment_id"])
    trace_id = send("mlflow")
    found = patiently(lambda: in_mlflow(mlflow, trace_id), SECONDS)
    metadata = found["trace_info"]["trace_metadata"]
    assert json.loads(metadata["mlflow.trace.tokenUsage"]) == {
        "input_tokens": 208,
        "output_tokens": 40,
        "total_tokens": 248,
        "cache_read_input_tokens": 80,
    }
    assert json.loads(metadata["mlflow.trace.cost"])["total_cost"] == pytest.approx(0.000768)
    assert (metadata["mlflow.trace.session"], metadata["mlflow.trace.user"]) == ("s-1", "u-7")
    types = {each["name"]: attribute(each, "mlflow.spanType") for each in found["spans"]}
    assert types == {
        "around": "CHAIN",
        "invoke_workflow answer": "CHAIN",
        "prepare": "CHAIN",
        "invoke_agent lead": "AGENT",
        "invoke_agent helper": "AGENT",
        "execute_tool look_up": "TOOL",
        "chat gpt-x": "CHAT_MODEL",
        "embeddings embed-x": "EMBEDDING",
        "retrieval docs": "RETRIEVER",
        "rerank rank-x": "RERANKER",
    }
    contents = {each["name"]: attribute(each, "mlflow.spanInputs") for each in found["spans"]}
    assert contents["retrieval docs"] == contents["rerank rank-x"] == "Where?"
    assert {name for name, value in contents.items() if value is None} == {
        "around",
        "prepare",
        "embeddings embed-x",
    }


def in_mlflow(url: str, trace_id: str) -> Any:
    where = f"{url}/api/3.0/mlflow/traces/get"
    answer = requests.get(where, params={"trace_id": f"tr-{trace_id}"}, timeout=30)
    found = answer.json().get("trace") if answer.ok else None
    return found if found and len(found["spans"]) == len(NAMES) + 2 else None


def attribute(span: Mapping[str, Any], name: str) -> Any:
    """Returns an attribute; a structure as it is."""
    for each in span["attributes"]:
        if each["key"] == name:
            return each["value"].get("string_value", each["value"])
    return None
