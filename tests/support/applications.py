"""Applications of several processes, which run in environments of their own; `environments.py` makes those.

Each process writes its spans to a file in `.otel_callbacks` in the folder it runs in, as `configure` does by itself.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_callbacks.explore.files.reading import read_jsonl
from otel_callbacks.explore.spans.records import SpanRecord

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "propagation" / "applications"
ENVIRONMENTS = Path(os.environ.get("OTEL_CALLBACKS_ENVIRONMENTS", ROOT / ".venv" / "across"))


def program(environment: str, name: str) -> str:
    """The path of a program in an environment."""
    found = ENVIRONMENTS / environment / "bin" / name
    assert found.exists(), f"make it with: python tests/propagation/environments/make.py {environment}"
    return str(found)


def run(environment: str, folder: Path, script: str, *args: Any, **variables: str) -> str:
    """What a script prints when it runs in `folder`."""
    command = [program(environment, "python"), str(SCRIPTS / script), *map(str, args)]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ | variables
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


@contextmanager
def started(folder: Path, ready: str, *command: Any, **variables: str) -> Iterator[Any]:
    """A program that runs until the end of the block, once it has printed a line with the word `ready` in it."""
    process = subprocess.Popen(
        [str(each) for each in command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | variables,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if ready in line:
                break
        assert lines and ready in lines[-1], "".join(lines)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            lines.append(process.communicate(timeout=30)[0])
        except subprocess.TimeoutExpired:
            process.kill()
        sys.stdout.write("".join(lines))  # pytest shows it if the test fails


def spans(folder: Path) -> list[SpanRecord]:
    """All spans that the processes in `folder` exported, in the order of their start."""
    return sorted(read_jsonl(folder / ".otel_callbacks"), key=lambda span: span.start_ns)


def until_exported(folder: Path, name: str) -> None:
    """Waits until a span of this name is there; a process exports its spans twice a second."""
    deadline = time.monotonic() + 60
    while not any(span.name == name for span in spans(folder)):
        assert time.monotonic() < deadline, f"no {name} in {outline(folder)}"
        time.sleep(0.2)


def outline(folder: Path) -> str:
    """The spans as an indented outline: service, name, tenant, and the names of the spans that it links to."""
    found = spans(folder)
    by_id = {span.span_id: span for span in found}
    lines: list[str] = []

    def walk(parent: str | None, depth: int) -> None:
        for span in found:
            if span.parent_id == parent or (parent is None and span.parent_id not in by_id):
                links = [by_id[link.span_id].name for link in span.links if link.span_id in by_id]
                words = [
                    f"{span.resource.get('service.name')}:",
                    span.name,
                    span.tenant or "",
                    "-> " + ", ".join(links) if links else "",
                ]
                lines.append("  " * depth + " ".join(word for word in words if word))
                walk(span.span_id, depth + 1)

    walk(None, 0)
    return "\n".join(lines)
