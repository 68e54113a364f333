"""Runs the blocks of pages that `pages.py` sends, in whatever environment this Python has; needs nothing installed."""

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any


def is_cell(code: str) -> bool:
    """Tells whether a block is a notebook's cell, with magic commands."""
    return any(line.startswith("%") for line in code.splitlines())


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
