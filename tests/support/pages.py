"""Reads the code blocks of README and documentation, and runs those of a page one after the other.

A plain block right after a Python block shows what that block prints. A block that begins with `# Excerpt` is not run;
its first line names what the reader has.
"""

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import NamedTuple

import page_runner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```(?:\n+```\n(.*?)^```)?", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A Python block of a page. `shown` is the plain block right below it, which shows what it prints."""

    line: int
    code: str
    shown: str | None

    @property
    def is_excerpt(self) -> bool:
        return self.code.startswith("# Excerpt")

    @property
    def is_cell(self) -> bool:
        return page_runner.is_cell(self.code)


def blocks(text: str) -> list[Block]:
    """Returns the Python blocks of a page."""
    return [
        Block(text.count("\n", 0, match.start()) + 2, match[2], match[3])
        for match in _FENCED.finditer(text)
        if match[1] == "python"
    ]


def comparable(printed: str) -> str:
    """Returns what is printed without what differs between runs: times, ids of traces, and the width of columns."""
    text = re.sub(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}…", "<trace>", printed)
    text = re.sub(r"\b[\d.,]+ (µs|ms|s|min)\b|\b0\.\d\d\b", "<time>", text)
    return re.sub(r"[ ─]{2,}", "  ", text).strip()


class Ran(NamedTuple):
    """What each block of a page printed, until one failed with `error`."""

    printed: list[str]
    error: str | None


def run(
    page: Sequence[Block],
    folder: Path,
    only: Collection[str] | None = None,
    python: Path | str = sys.executable,
) -> Ran:
    """Runs the blocks of one page; `only` names the requirements whose modules it may import, by default all."""
    return run_all({folder: page}, only=only, python=python)[folder]


def run_all(
    pages: Mapping[Path, Sequence[Block]],
    *,
    only: Collection[str] | None = None,
    preload: Sequence[str] = (),
    python: Path | str = sys.executable,
) -> dict[Path, Ran]:
    """Runs pages, each in the folder that is its key, and the blocks of a page one after the other.

    Each page has a process of its own, forked from one that has imported `preload`, because imports take longest.
    """
    order = {
        "missing": [] if only is None else sorted(_modules_of_others(_with_dependencies(only))),
        "preload": list(preload),
        "pages": [[str(folder), [block.code for block in page]] for folder, page in pages.items()],
    }
    command = [python, "-W", "ignore", page_runner.__file__]
    ran = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    results = json.loads(ran.stdout.rpartition("\n")[2])
    return {folder: Ran(*result) for folder, result in zip(pages, results, strict=True)}


def _with_dependencies(requirements: Iterable[str]) -> set[str]:
    """Returns the names of distributions with those that they need, however far down."""
    found: dict[tuple[str, str], None] = {}
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        wanted = waiting.pop()
        for extra in (*wanted.extras, ""):
            name = canonicalize_name(wanted.name)
            if (name, extra) in found:
                continue
            found[name, extra] = None
            needed = map(Requirement, distribution(name).requires or ())
            waiting += [each for each in needed if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def _modules_of_others(distributions: set[str]) -> set[str]:
    return {
        module
        for module, names in packages_distributions().items()
        if distributions.isdisjoint(map(canonicalize_name, names))
    }
