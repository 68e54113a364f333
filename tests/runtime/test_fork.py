"""Handlers created before a fork (gunicorn's preload, Celery's prefork, multiprocessing) send every span once."""

import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from receivers import receiver

from otel_callbacks.explore.files.writing import read_jsonl

SETUP = """
import logging, os, sys, multiprocessing, threading
logging.disable(logging.WARNING)  # the scripted model has no price
from fakes import ScriptedModel
from otel_callbacks import configure
from otel_callbacks.langchain import OTelCallbackHandler
telemetry = configure(endpoints=sys.argv[1] or (), protocol=sys.argv[2] or None, file=sys.argv[3] or None)
handler = OTelCallbackHandler()

def ask(name):
    ScriptedModel(model=name).invoke("q", {"callbacks": [handler]})
"""


def run(script: str, folder: Path, url: str = "", protocol: str = "", file: Path | str = "") -> str:
    """Runs a script in a process that has configured telemetry and a handler, and returns what it prints."""
    program = folder / "program.py"
    program.write_text(SETUP + textwrap.dedent(script))
    ran = subprocess.run(
        # Python 3.12 and later warn when a process with threads forks
        [
            sys.executable,
            "-W",
            "ignore:This process:DeprecationWarning",
            str(program),
            url,
            protocol,
            str(file),
        ],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


FOUR_CHILDREN = """
ask("before")
if sys.argv[1]:
    assert telemetry.flush(5)  # the connection is open at the fork
ask("waiting")
children = []
for number in range(4):
    child = os.fork()
    if not child:
        for _ in range(3):
            ask(f"child-{number}")
        assert telemetry.stats().started == 3, telemetry.stats()
        sys.exit()
    children.append(child)
ask("after")
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
assert telemetry.stats().started == 3
"""
ARRIVES = Counter(
    {"chat before": 1, "chat waiting": 1, "chat after": 1} | {f"chat child-{n}": 3 for n in range(4)}
)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_four_children_and_their_parent_send_everything_once(protocol: str, tmp_path: Path) -> None:
    with receiver("grpc" if protocol == "grpc" else "http", tmp_path) as back_end:
        run(FOUR_CHILDREN, tmp_path, back_end.url, protocol)
        assert back_end.spans == ARRIVES


@pytest.mark.parametrize("file", ["folder", "one.jsonl"])
def test_four_children_and_their_parent_write_everything_once(file: str, tmp_path: Path) -> None:
    run(FOUR_CHILDREN, tmp_path, file=tmp_path / file)
    spans = list(read_jsonl(tmp_path / file))
    assert Counter(span.name for span in spans) == ARRIVES
    assert len({span.span_id for span in spans}) == ARRIVES.total()
    assert len(list((tmp_path / file).glob("*"))) == (5 if file == "folder" else 0)


MULTIPROCESSING = """
if __name__ == "__main__":
    ask("parent")
    context = multiprocessing.get_context("METHOD")
    children = [context.Process(target=ask, args=(f"child-{number}",)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_write_everything(method: str, tmp_path: Path) -> None:
    script = MULTIPROCESSING.replace("METHOD", method)
    assert run(script, tmp_path, file=tmp_path / "traces") == "[0, 0]\n"
    spans = Counter(span.name for span in read_jsonl(tmp_path / "traces"))
    assert spans == {"chat parent": 1, "chat child-0": 1, "chat child-1": 1}


def test_the_parent_ends_a_run_that_is_open_at_the_fork(tmp_path: Path) -> None:
    script = """
    from langchain_core.runnables import RunnableLambda
    def body(question):
        child = os.fork()
        ask("parent" if child else "child")
        if child:
            os.waitpid(child, 0)
    RunnableLambda(body).with_config(run_name="root").invoke("q", {"callbacks": [handler]})
    print(telemetry.stats().open)
    """
    assert run(script, tmp_path, file=tmp_path / "traces") == "0\n0\n"
    spans = {span.name: span for span in read_jsonl(tmp_path / "traces")}
    assert sorted(spans) == ["chat child", "chat parent", "invoke_workflow root"]
    root = spans["invoke_workflow root"]
    assert {spans[name].parent_id for name in ("chat child", "chat parent")} == {root.span_id}
    assert root.attributes["otel_callbacks.rollup.inference_calls"] == 1


def test_manual_spans_inside_a_run_that_is_open_at_the_fork(tmp_path: Path) -> None:
    script = """
    from otel_callbacks import record_feedback, record_usage, tool, workflow
    from otel_callbacks.runtime.faults import faults
    faults.strict = True
    with workflow("root"):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            tool("by hand")(ask)("child")
            record_usage(model="counted", input_tokens=1)
            record_feedback("0xabc", name="good", score=1)
    print(telemetry.stats().open)
    """
    assert run(script, tmp_path, file=tmp_path / "traces") == "0\n0\n"
    spans = {span.name: span for span in read_jsonl(tmp_path / "traces")}
    assert sorted(spans) == [
        *("chat child", "chat counted", "evaluation good", "execute_tool by hand", "invoke_workflow root"),
    ]
    root = spans["invoke_workflow root"]
    assert spans["execute_tool by hand"].parent_id == spans["chat counted"].parent_id == root.span_id


def test_locks_that_other_threads_hold_do_not_stop_the_child(tmp_path: Path) -> None:
    script = """
    from otel_callbacks.recording.metrics import metrics_of
    locks = [telemetry._destinations[0]._changed, metrics_of(None)._queue._recording]
    held, done = threading.Barrier(2), threading.Event()
    def hold():
        with locks[0], locks[1]:
            held.wait()
            done.wait()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if not child:
        ask("child")
        os._exit(0 if telemetry.flush(5) else 1)
    print(os.waitpid(child, 0)[1])
    done.set()
    """
    assert run(script, tmp_path, file=tmp_path / "traces") == "0\n"
    assert [span.name for span in read_jsonl(tmp_path / "traces")] == ["chat child"]
