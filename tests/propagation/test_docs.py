"""The code in docs/across_processes.md is Python, and calls our functions with arguments that they have."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from otel_callbacks import propagation

PAGE = (Path(__file__).parents[2] / "docs" / "across_processes.md").read_text()
BLOCKS = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_code_calls_what_there_is(code: str) -> None:
    tree = compile(code, "page", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == propagation.__name__:
            assert {each.name for each in node.names} <= set(propagation.__all__)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in propagation.__all__
        ):
            function = getattr(propagation, node.func.id)
            keywords = {each.arg: None for each in node.keywords}
            inspect.signature(function).bind(*node.args, **keywords)  # type: ignore[arg-type]
