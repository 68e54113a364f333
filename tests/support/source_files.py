"""The package's source files, and what each of them imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "otel_callbacks"
MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Everything that is imported in a module, also within functions, by its full name."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(name: str) -> str:
    """The file that a dotted name stands in, such as `cost/pricing.py`; empty for what is not ours."""
    package, *parts = name.split(".")
    while parts and package == "otel_callbacks":
        path = "/".join(parts)
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in MODULES:
                return file
        parts.pop()
    return ""
