"""Reads the code blocks of README and documentation, and runs those of a page one after the other.

A plain block right after a Python block shows what that block prints. A block that begins with `# Excerpt` is not run;
its first line names what the reader has.
"""

import io
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any, NamedTuple

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


def is_cell(code: str) -> bool:
    """Tells whether a block is a notebook's cell, with magic commands."""
    return any(line.startswith("%") for line in code.splitlines())


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


def run(page: Sequence[Block], folder: Path, only: Collection[str] | None = None) -> Ran:
    """Runs the blocks of one page; `only` names the requirements whose modules it may import, by default all."""
    return run_all({folder: page}, only=only)[folder]


def run_all(
    pages: Mapping[Path, Sequence[Block]], *, only: Collection[str] | None = None, preload: Sequence[str] = ()
) -> dict[Path, Ran]:
    """Runs pages, each in the folder that is its key, and the blocks of a page one after the other.

    Each page has a process of its own, forked from one that has imported `preload`, because imports take longest.
    """
    order = {
        "missing": [] if only is None else sorted(_modules_of_others(_with_dependencies(only))),
        "preload": list(preload),
        "pages": [[str(folder), [block.code for block in page]] for folder, page in pages.items()],
    }
    command = [sys.executable, "-W", "ignore", __file__]
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


class _Without:
    """Finds modules as the usual finder does, except those given and what is in them."""

    def __init__(self, missing: Iterable[str]) -> None:
        self._missing = set(missing) - {"otel_callbacks"}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        is_missing = name.partition(".")[0] in self._missing
        return None if is_missing else PathFinder.find_spec(name, path, target)

    find_distributions = staticmethod(PathFinder.find_distributions)  # versions can be read


def _main() -> None:
    order = json.load(sys.stdin)
    finder = _Without(order["missing"])
    sys.meta_path[:] = [finder if each is PathFinder else each for each in sys.meta_path]
    for module in order["preload"]:
        import_module(module)
    results = [_in_child(Path(folder), codes) for folder, codes in order["pages"]]
    sys.stdout.write(f"\n{json.dumps(results)}")


def _in_child(folder: Path, codes: Sequence[str]) -> Any:
    result = folder / "result.json"
    child = os.fork()
    if not child:
        os.chdir(folder)
        try:
            result.write_text(json.dumps(_run_blocks(codes)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return json.loads(result.read_text())


def _run_blocks(codes: Sequence[str]) -> tuple[list[str], str | None]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    run_block = _in_notebook() if any(map(is_cell, codes)) else _python
    printed: list[str] = []
    for code in codes:
        with redirect_stdout(io.StringIO()) as output:
            try:
                run_block(code, namespace)
            except BaseException:
                return printed, traceback.format_exc()
        printed.append(output.getvalue())
    return printed, None


def _python(code: str, namespace: dict[str, Any]) -> None:
    exec(compile(code, "<block>", "exec"), namespace)


def _in_notebook() -> Callable[[str, Any], None]:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    return lambda code, _: shell.run_cell(code).raise_error()


if __name__ == "__main__":
    _main()
