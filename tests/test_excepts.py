"""Whatever catches more than it can name says why, or is the guard."""

import ast

import pytest
from source_files import MODULES

BROAD = {"Exception", "BaseException"}


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "runtime/faults.py"])
def test_a_broad_except_explains_itself(module: str) -> None:
    source = MODULES[module].read_text()
    lines = source.splitlines()
    broad = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    silent = [node.lineno for node in broad if "#" not in "".join(lines[node.lineno - 1 : node.lineno + 1])]
    assert silent == [], f"{module} catches everything without saying why in lines {silent}"
