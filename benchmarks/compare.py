"""Compares what tracing costs with the rivals: `make bench`.

    python benchmarks/compare.py [--only NAME ...] [--rounds 7]

Each rival is installed into an environment of its own in `.venv/rivals/`, with the same versions of the frameworks as
ours (`tested-versions.txt`). There, processes run the workloads of `workloads.py`: one with an empty handler, and one
with the rival for each setting (`under.py` lists them). They take turns, block by block, each round begins with
another one, and the figure is the difference to the empty handler in the same round: its median, and its quartiles.
Bytecodes are counted instead of timed, which gives the same number on any machine; only Python 3.11 can count them.
Metrics are collected every 50 calls and count, exporting does not. Ours traces everything that is on by default, for a
model with a price and calls with labels.

The result is written to `results.json`, README.md and docs/what_it_costs.md, unless `--only` names some. A rival that
cannot be installed, or does not trace a workload, is shown as a dash with the reason. It takes 10 minutes on two cores,
and some more to install the rivals once.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import report
from rivals import EMPTY_HANDLER, OURS, REPOSITORY, RIVALS, python_of

HERE = Path(__file__).parent
CALLS_PER_COLLECTION = 50
BLOCKS = {"chain": 25, "agent": 5, "llama_index": 25}
"""The three workloads, with the calls of a block, which takes about 50 ms."""

SETTINGS = ("defaults", "content", "unsampled", "uncounted")
TOKENS = (100, 500)
SIZES = {"concurrent": (1, 10, 100, 500), "trace": (10, 100, 1_000, 10_000), "agent": (5, 200)}
"""The workloads that grow: runs at once, model calls in a trace, turns of an agent."""

_IMPORT = """
import gc, time
{before}
gc.collect()
def spent(): return time.process_time() * 1e3
started = spent()
{imports}
imported = spent()
{uses}
print(imported - started, spent() - started)
"""
_BEFORE = {
    "langchain": """
import langchain_core.documents.base, langchain_core.runnables, opentelemetry.sdk.trace, opentelemetry.sdk.metrics
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, LLMResult
""",
    "llama_index": "import llama_index.core, opentelemetry.sdk.trace, opentelemetry.sdk.metrics",
}
_IMPORTS_TIMED = 2


class Worker:
    """A process that runs workloads under one rival."""

    def __init__(self, python: Path, rival: str, setting: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe, which would fill
        self._process = subprocess.Popen(
            (python, str(HERE / "under.py"), rival, setting),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=_environment(),
        )

    def ask(self, command: str) -> Any:
        """Sends a command, if any, and returns the answer.

        Raises:
            Failed: the rival failed; says how.
        """
        assert self._process.stdin and self._process.stdout
        if command:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise Failed(self._log.read().strip().splitlines()[-1])
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise Failed(answer["failed"])
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Failed(Exception):
    """A rival cannot be measured."""


def _environment() -> dict[str, str]:
    fixed = {"PYTHONHASHSEED": "0", "OTEL_SDK_DISABLED": "false", "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(HERE)))}


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Returns all figures of one rival."""
    rival = RIVALS[name]
    found: dict[str, Any] = {"title": rival.title, "version": _version(name)}
    try:
        python = python_of(name)
        found["sdk"] = _installed(python, "opentelemetry-sdk")
        found["import_ms"] = {
            room: _import_time(python, name, room) for room in _BEFORE if room not in rival.without
        }
        workers = {
            "empty": Worker(python, EMPTY_HANDLER, "defaults"),
            **{setting: Worker(python, name, setting) for setting in SETTINGS},
        }
    except subprocess.CalledProcessError as error:
        return found | {"failed": (error.stderr or str(error)).strip().splitlines()[-1]}
    try:
        for worker in workers.values():
            worker.ask("")
        found["workloads"] = {
            each: _or_reason(rival.without, each, partial(calls, workers, each, rounds)) for each in BLOCKS
        }
        found["streamed_token"] = {
            each: _or_reason(rival.without, each, partial(streamed_token, workers, each))
            for each in ("stream", "llama_index_stream")
        }
        if name not in ("sdk", "everything"):
            found["sizes"] = {each: growth(workers, each, sizes) for each, sizes in SIZES.items()}
    except Failed as error:
        found["failed"] = str(error)
    finally:
        for worker in workers.values():
            worker.end()
    return found


def _or_reason(
    without: dict[str, str], workload: str, figures: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    if workload in without:
        return {"reason": without[workload]}
    try:
        return figures()
    except Failed as error:
        return {"reason": str(error)}


def calls(workers: dict[str, Worker], workload: str, rounds: int) -> dict[str, Any]:
    """Returns what a call costs, by setting."""
    spans, shows_content = workers["defaults"].ask(f"spans {workload}")
    if not spans:
        raise Failed("makes no span")
    found: dict[str, Any] = {"spans": spans, "content_by_default": shows_content}
    timed: dict[str, list[float]] = {name: [] for name in workers}
    for worker in workers.values():
        worker.ask(f"cpu {workload} {BLOCKS[workload]}")  # warms up
    for number in range(rounds):
        for name in _rotated(workers, number):
            timed[name].append(workers[name].ask(f"cpu {workload} {BLOCKS[workload]}"))
    bare = workers["empty"].ask(f"bytecodes {workload}")
    found["bare_us"] = round(statistics.median(timed["empty"]), 1)
    collection = {"defaults": _collection(workers["defaults"], workload), "uncounted": (0.0, 0)}
    collection["content"] = collection["defaults"]
    collection["unsampled"] = _collection(workers["unsampled"], workload)
    for setting, (later_us, later) in collection.items():
        codes = workers[setting].ask(f"bytecodes {workload}")
        differences = [
            spent - empty + later_us for spent, empty in zip(timed[setting], timed["empty"], strict=True)
        ]
        found[setting] = {
            "bytecodes": None if codes is None else codes - bare + later,
            "cpu_us": [round(value, 1) for value in statistics.quantiles(differences, n=4)],
        }
    return found


def _collection(worker: Worker, workload: str) -> tuple[float, int | None]:
    """Returns a call's share of collecting the metrics, in microseconds and in bytecodes."""
    shares = []
    for command in ("collect", "collect_bytecodes"):
        worker.ask("collect")
        worker.ask(f"cpu {workload} {CALLS_PER_COLLECTION}")
        shares.append((worker.ask(command) or 0) / CALLS_PER_COLLECTION)
    return shares[0], round(shares[1])


def _rotated(names: Iterable[str], number: int) -> list[str]:
    listed = list(names)
    at = number % len(listed)
    return listed[at:] + listed[:at]


def streamed_token(workers: dict[str, Worker], workload: str) -> dict[str, Any]:
    """Returns what a streamed token costs, from the difference between a long stream and a short one."""
    few, many = TOKENS
    found = {}
    for kind, command in (("bytecodes", "bytecodes {}:{}"), ("cpu_us", "cpu {}:{} 9")):
        answers = {
            (name, tokens): workers[name].ask(command.format(workload, tokens))
            for tokens in TOKENS
            for name in ("empty", "defaults", "content")
        }
        for setting in ("defaults", "content"):
            if answers[setting, many] is not None:
                long, short = (answers[setting, each] - answers["empty", each] for each in (many, few))
                found.setdefault(setting, {})[kind] = round((long - short) / (many - few), 2)
    return found


def growth(workers: dict[str, Worker], workload: str, sizes: Iterable[int]) -> dict[str, Any]:
    """Returns the CPU time added to one of so many runs, model calls or turns, in microseconds."""
    found: dict[str, Any] = {}
    for size in sizes:
        command = f"cpu {workload}:{size} {max(1, min(10, 100 // size))}"
        differences = []
        for _ in range(3 if size < 100 else 1):
            empty = workers["empty"].ask(command)
            differences.append(workers["defaults"].ask(command) - empty)
        found[str(size)] = round(statistics.median(differences) / size, 1)
    return found


def _import_time(python: Path, name: str, room: str) -> list[float]:
    """Returns the CPU time of importing a rival after the framework and the SDK, and of setting it up too, in ms."""
    if name in ("sdk", "everything"):
        return []
    if name == OURS:
        imports, uses = f"from otel_callbacks.{room} import OTelCallbackHandler", "OTelCallbackHandler()"
    else:
        imports = f"from rivals import RIVALS, Providers; set_up = RIVALS[{name!r}].set_up"
        uses = "set_up(Providers(opentelemetry.sdk.trace.TracerProvider(), None), None)"
    code = _IMPORT.format(before=_BEFORE[room], imports=imports, uses=uses)
    ran = []
    for _ in range(_IMPORTS_TIMED + 1):  # the first writes bytecode files
        done = subprocess.run(
            (python, "-W", "ignore", "-c", code), capture_output=True, text=True, env=_environment()
        )
        if done.returncode:
            return []
        ran.append([float(value) for value in done.stdout.split()[-2:]])
    both = [round(statistics.median(column), 1) for column in zip(*ran[1:], strict=True)]
    return both if name == OURS else both[1:]  # setting a rival up imports it


def _version(name: str) -> str:
    packages = RIVALS[name].packages
    return packages[0].partition("==")[2] if packages else version("otel-callbacks")


def _installed(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run((python, "-c", code), check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name in RIVALS if name != EMPTY_HANDLER]
    parser.add_argument("--only", nargs="+", choices=names, help="measure only these, and write nothing")
    parser.add_argument("--rounds", type=int, default=7, help="how many blocks to time under each setting")
    arguments = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        print("bytecodes can only be counted on Python 3.11; times are measured")
    started, results = time.monotonic(), {}
    for name in arguments.only or names:
        results[name] = measure(name, arguments.rounds)
        print(f"{time.monotonic() - started:5.0f} s  {RIVALS[name].title}: measured", flush=True)
    found = {
        "measured": str(date.today()),
        "python": platform.python_version(),
        "machine": f"{platform.system()}, {os.cpu_count()} cores",
        "frameworks": {each: version(each) for each in ("langchain", "langgraph", "llama-index-core")},
        "rounds": arguments.rounds,
        "results": results,
    }
    print(report.page(found))
    if not arguments.only:
        report.RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        for file in report.write(found):
            print(f"written: {file}")


if __name__ == "__main__":
    main()
