"""Runs langchain-core's own unit tests with our handler in every call and with an empty one: no result may differ.

    python benchmarks/upstream_tests.py [--folder /tmp/upstream-tests]

Downloads the source distribution of the installed langchain-core, which includes the tests, and installs what they
need into an environment of its own. This takes some minutes, and the network. The module is also the pytest plugin of
the two runs; only they import our package and LangChain.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
RUNS = ("empty", "ours")
RUN = "UPSTREAM_TESTS_RUN"
REPORT = "UPSTREAM_TESTS_REPORT"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "upstream-tests")
    arguments = parser.parse_args()
    python, tests = _installed(arguments.folder)
    reports = {run: _run(python, tests, run, ["tests/unit_tests"]) for run in RUNS}
    if different := _different(reports):  # some tests measure time, and the machine may be busy
        for run in RUNS:
            reports[run]["tests"] |= _run(python, tests, run, different)["tests"]
    for run, report in reports.items():
        print(run, {outcome: list(report["tests"].values()).count(outcome) for outcome in OUTCOMES})
    counts = reports["ours"]["counts"]
    print("ours", counts)
    different = _different(reports)
    print(f"{len(different)} tests differ")
    for test in different:
        print(f"  {test}:", {run: report["tests"].get(test) for run, report in reports.items()})
    return 1 if different or counts["faults"] or counts["open"] else 0


def _different(reports: dict[str, Any]) -> list[str]:
    empty, ours = (reports[run]["tests"] for run in RUNS)
    return [test for test in sorted(empty | ours) if empty.get(test) != ours.get(test)]


def _installed(folder: Path) -> tuple[Path, Path]:
    """Returns the environment's interpreter and the folder of the tests; makes both if they do not exist."""
    core = version("langchain-core")
    source = folder / f"langchain_core-{core}"
    python = folder / "environment" / "bin" / "python"
    if not source.exists():
        archive = folder / f"{source.name}.tar.gz"
        subprocess.run(
            (
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)),
                *("--no-binary", "langchain-core", f"langchain-core=={core}"),
            ),
            check=True,
        )
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    if not python.exists():
        venv.create(folder / "environment", with_pip=True)
        needed = tomllib.loads((source / "pyproject.toml").read_text())["dependency-groups"]["test"]
        subprocess.run(
            (
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                f"{REPOSITORY}[cost]",
                f"langchain-core=={core}",
                *needed,
            ),
            check=True,
        )
    return python, source


def _run(python: Path, tests: Path, run: str, which: list[str]) -> Any:
    report = tests.parent / f"{run}.json"
    paths = os.pathsep.join((str(REPOSITORY), str(Path(__file__).parent)))
    subprocess.run(
        (
            *(python, "-m", "pytest", "-q", "-p", "upstream_tests", "-p", "no:cacheprovider"),
            *("--disable-socket", "--allow-unix-socket", *which),
        ),
        cwd=tests,
        env={**os.environ, RUN: run, REPORT: str(report), "PYTHONPATH": paths},
        stdout=(tests.parent / f"{run}.log").open("w"),
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

        self.handler = instrument(
            tracer_provider=TracerProvider(),
            meter_provider=MeterProvider([InMemoryMetricReader()]),
            logger_provider=LoggerProvider(),
            detail="everything",
            content="both",
        )

    def counts(self) -> dict[str, int]:
        from otel_callbacks.runtime.faults import faults

        counts = self.handler._recorder.counts
        still_open = len(set(self.handler._recorder.runs.values()))
        return {"started": counts.started, "ended": counts.ended, "open": still_open, "faults": faults.count}


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: Any) -> None:
    ours = getattr(session.config, "upstream_tests", None)
    found = {"tests": _outcomes, "counts": ours.counts() if ours is not None else {}}
    Path(os.environ[REPORT]).write_text(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
