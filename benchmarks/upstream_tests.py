"""Runs the frameworks' own unit tests with our handler in every call and with an empty one: no result may differ.

    python benchmarks/upstream_tests.py [langchain-core langchain langgraph langgraph-prebuilt] [--folder FOLDER]

Downloads the source distribution of each installed package, which includes the tests, and installs what they need into
an environment of its own. This takes some minutes for each package, and the network. A test that needs a server of its
own has the same outcome in both runs. The module is also the pytest plugin of the two runs; only they import our
package and LangChain.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent
SUITES = {  # a package, and the arguments of pytest that run its tests
    "langchain-core": ("tests/unit_tests", "--disable-socket", "--allow-unix-socket"),
    "langchain": ("tests/unit_tests", "--disable-socket", "--allow-unix-socket"),
    "langgraph": ("tests",),
    "langgraph-prebuilt": ("tests",),
}
PINNED = (*SUITES, "langgraph-checkpoint", "pytest-asyncio")
NOT_TOLD = {  # LangGraph ends a sequence that is cancelled as it ends for its tracers alone
    "tests/test_trace_policy.py::test_trace_policy_cancel_at_node_end_still_closes_tracer_run"
}
RUNS = ("empty", "ours")
RUN = "UPSTREAM_TESTS_RUN"
REPORT = "UPSTREAM_TESTS_REPORT"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "packages", nargs="*", metavar="PACKAGE", help=f"of {', '.join(SUITES)}; all by default"
    )
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "upstream-tests")
    arguments = parser.parse_args()
    if unknown := set(arguments.packages) - SUITES.keys():
        parser.error(f"no tests of {', '.join(sorted(unknown))} are known; use {', '.join(SUITES)}")
    return max(_compare(package, arguments.folder) for package in arguments.packages or SUITES)


def _compare(package: str, folder: Path) -> int:
    """Runs one package's tests twice and prints what differs. Returns 1 if anything does, or if we had a fault."""
    python, tests = _installed(package, folder)
    reports = {run: _run(python, tests, run, SUITES[package]) for run in RUNS}
    if different := _different(reports):  # some tests measure time, and the machine may be busy
        for run in RUNS:
            again = _run(python, tests, run, (*different, *SUITES[package][1:]))
            reports[run]["tests"] |= again["tests"]
    print(package, version(package))
    for run, report in reports.items():
        print(" ", run, {outcome: list(report["tests"].values()).count(outcome) for outcome in OUTCOMES})
    counts, left_open = reports["ours"]["counts"], set(reports["ours"]["left_open"])
    print("  ours", counts, *reports["ours"]["faults"], sep="\n    ")
    print("  left open:", *(left_open or ["nothing"]), sep="\n    ")
    different = _different(reports)
    print(f"  {len(different)} tests differ")
    for test in different:
        print(f"    {test}:", {run: report["tests"].get(test) for run, report in reports.items()})
    return 1 if different or counts["faults"] or left_open - NOT_TOLD or not counts["ended"] else 0


def _different(reports: dict[str, Any]) -> list[str]:
    empty, ours = (reports[run]["tests"] for run in RUNS)
    return [test for test in sorted(empty | ours) if empty.get(test) != ours.get(test)]


def _installed(package: str, folder: Path) -> tuple[Path, Path]:
    """Returns the environment's interpreter and the folder of the tests; makes both if they do not exist."""
    source = folder / f"{package.replace('-', '_')}-{version(package)}"
    environment = folder / f"environment-{package}"
    python = environment / "bin" / "python"
    if not source.exists():
        _pip(
            Path(sys.executable),
            *("download", "--no-deps", "--dest", str(folder)),
            *("--no-binary", package, f"{package}=={version(package)}"),
        )
        with tarfile.open(folder / f"{source.name}.tar.gz") as packed:
            packed.extractall(folder, filter="data")
    if not python.exists():
        venv.create(environment, with_pip=True)
        groups = tomllib.loads((source / "pyproject.toml").read_text())["dependency-groups"]
        pinned = [f"{name}=={version(name)}" for name in PINNED]
        _pip(python, "install", f"{REPOSITORY}[cost]", *pinned, *groups["test"])
    return python, source


def _pip(python: Path, command: str, *arguments: str) -> None:
    subprocess.run((python, "-m", "pip", command, "--quiet", *arguments), check=True)


def _run(python: Path, tests: Path, run: str, arguments: tuple[str, ...]) -> Any:
    report = tests / f"{run}.json"
    report.unlink(missing_ok=True)
    paths = os.pathsep.join((str(REPOSITORY), str(Path(__file__).parent)))
    with (tests / f"{run}.log").open("a") as log:
        subprocess.run(
            (python, "-m", "pytest", "-p", "upstream_tests", "-p", "no:cacheprovider", *arguments),
            cwd=tests,
            env={**os.environ, RUN: run, REPORT: str(report), "PYTHONPATH": paths, "NO_DOCKER": "true"},
            stdout=log,
            stderr=log,
            check=False,
        )
    return json.loads(report.read_text())


# --- the plugin ----------------------------------------------------------------------------------------------------

OUTCOMES = ("passed", "failed", "skipped")
_outcomes: dict[str, str] = {}


def pytest_configure(config: Any) -> None:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.tracers.context import register_configure_hook

    if os.environ[RUN] == "ours":
        config.upstream_tests = Ours()
        return

    class Empty(BaseCallbackHandler):
        """Not inline: with an inline handler, LangChain's own tracers miss the starts of text models."""

    class Slot:
        handler = Empty()

        def get(self) -> Empty:
            return self.handler

    register_configure_hook(Slot(), True, Empty)  # type: ignore[arg-type]


class Ours:
    """Our handler, installed for all calls and recording all content, and its counts."""

    def __init__(self) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        from otel_callbacks.langchain import instrument

        self.log = _Log()
        self._seen_in: dict[Any, str] = {}
        self.handler = instrument(
            tracer_provider=TracerProvider(),
            meter_provider=MeterProvider([InMemoryMetricReader()]),
            logger_provider=LoggerProvider(),
            detail="everything",
            content="both",
        )

    def note_open(self, test: str) -> None:
        """Notes during which test the runs that are open now have begun."""
        for key in list(self.handler._recorder.runs):
            self._seen_in.setdefault(key, test)

    def left_open(self) -> list[str]:
        """Returns the tests whose runs are still open."""
        return [self._seen_in.get(key, "no test") for key in self.handler._recorder.runs]

    def counts(self) -> dict[str, int]:
        from otel_callbacks.runtime.faults import faults

        counts = self.handler._recorder.counts
        still_open = len(set(self.handler._recorder.runs.values()))
        return {"started": counts.started, "ended": counts.ended, "open": still_open, "faults": faults.count}


class _Log(logging.Handler):
    """Keeps what our package logs of its own faults: a test may capture the log."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        logging.getLogger("otel_callbacks").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if "failed in" in record.getMessage():
            self.faults.append(record.getMessage())


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


@pytest.fixture(autouse=True)
def _note_open(request: Any) -> Iterator[None]:
    yield
    if (ours := getattr(request.config, "upstream_tests", None)) is not None:
        ours.note_open(request.node.nodeid)


def pytest_sessionfinish(session: Any) -> None:
    ours = getattr(session.config, "upstream_tests", None)
    found: dict[str, Any] = {"tests": _outcomes}
    if ours is not None:
        found |= {"counts": ours.counts(), "faults": ours.log.faults, "left_open": ours.left_open()}
    Path(os.environ[REPORT]).write_text(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
