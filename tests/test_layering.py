"""Arrows point down: which part of the package may import which, and who may touch a framework or the SDK."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_callbacks

PACKAGE = Path(__file__).parent.parent / "otel_callbacks"

# A part may import itself, and from the package nothing but these. Listed from the ground up.
MAY_IMPORT = {
    "semconv": "",
    "guard": "",
    "fork": "guard",
    "reading": "",
    "operations": "semconv",
    "documents": "reading operations",
    "scope": "",
    "place": "",
    "privacy": "semconv guard reading operations documents scope",
    "providers": "operations reading",
    "current": "operations place",
    "sampling": "",
    "table": "fork current sampling",
    "cost": "semconv guard fork reading privacy operations providers scope current",
    "prompted": "reading operations cost",
    "citations": "reading operations",
    "mapping": "semconv operations documents privacy",
    "events": "semconv",
    "sums": "fork cost",
    "spending": "semconv fork operations mapping cost",
    "metrics": "semconv guard fork operations mapping cost sums spending",
    "lineage": "semconv reading operations citations cost current prompted",
    "disclosure": "semconv guard operations privacy mapping current events",
    "closing": "semconv guard fork operations privacy providers mapping cost current events disclosure lineage"
    " metrics spending",
    "recorder": "semconv guard fork operations place privacy mapping cost current events disclosure lineage metrics"
    " spending closing sampling table",
    "settings": "fork privacy cost current spending recorder",
    "manual": "guard operations privacy providers current lineage recorder settings",
    "feedback": "semconv guard current settings",
    "explore": "semconv guard fork cost",
    "lookback": "recorder explore",
    "langchain": "semconv guard fork reading operations place documents privacy providers cost current lineage recorder"
    " settings lookback",
    "llama_index": "semconv guard fork reading operations place documents privacy providers cost current lineage"
    " recorder settings lookback",
    "handler": "settings langchain llama_index",
    "cost/reporting/command": "cost explore",
    "processors": "semconv cost settings",
    "testing": "processors settings",
    "conformance": "",
    "export": "guard fork metrics recorder explore processors",
    "extension": "explore export",
    "demo": "semconv cost export explore handler langchain llama_index",
    "cli": "conformance cost demo explore",
    "__main__": "cli",
    "__init__": "cost explore export extension feedback handler langchain manual privacy processors",
}
# Packages of others, and the modules (or folders) that may import them.
MAY_TOUCH = {
    "langchain": ("langchain/", "demo/"),
    "langchain_core": ("langchain/", "demo/"),
    "langgraph": ("langchain/", "demo/"),
    "llama_index": ("llama_index/", "demo/"),
    "llama_index_instrumentation": ("llama_index/", "demo/"),
    "workflows": ("llama_index/", "demo/"),
    "opentelemetry.sdk": (
        *("export/", "processors.py", "explore/files/writing.py", "explore/index/ring.py", "testing.py"),
    ),
    "opentelemetry.exporter": ("export/", "explore/files/writing.py"),
    "opentelemetry.instrumentation": (),
    "grpc": ("explore/files/senders.py",),
    "requests": ("explore/files/senders.py",),
    "rich": ("explore/commands/",),
    "pandas": ("explore/frames.py", "explore/collection.py", "cost/reporting/"),
    "IPython": ("explore/notebook.py",),
    "click": ("cli.py", "demo/", "conformance/command.py", "cost/reporting/command.py", "explore/commands/"),
}
# The rooms of `explore`, likewise: each may import these. What stands beside them in the folder may import them all.
ROOMS = {"spans": "", "files": "spans", "index": "spans files", "pictures": "spans"}
# Types for annotations; and the names of outcomes and events, which a handler passes to the recorder.
MAY_NAME = {"opentelemetry.trace.TracerProvider"}

MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Everything that is imported in a module, also within functions, by its full name."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module: str) -> None:
    name = module.removesuffix(".py")
    part = name if name in MAY_IMPORT else name.partition("/")[0]
    allowed = {part, *MAY_IMPORT[part].split()}
    used = {name.split(".")[1] for name in imports(module) if within(name, "otel_callbacks") and "." in name}
    assert used <= allowed, f"{module} may not import {sorted(used - allowed)}"


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_down_among_the_rooms_of_explore(room: str) -> None:
    """Imports within functions are left out: a trace that shows itself loads what looks at traces."""
    used = {
        node.module.removeprefix("otel_callbacks.explore.").partition(".")[0]
        for path in (PACKAGE / "explore" / room).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otel_callbacks.explore")
    }
    assert used <= {room, *ROOMS[room].split()}


@pytest.mark.parametrize("module", MODULES)
def test_who_touches_what(module: str) -> None:
    for name in imports(module):
        for package, allowed in MAY_TOUCH.items():
            assert not within(name, package) or module.startswith(allowed), f"{module} may not import {name}"


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name.startswith(("langchain/", "llama_index/"))]
)
def test_handlers_speak_operations(module: str) -> None:
    spans = {name for name in imports(module) if within(name, "opentelemetry.trace")}
    assert spans <= MAY_NAME
    assert module.endswith(("handler.py", "dispatch.py")) or "otel_callbacks.semconv" not in imports(module)


@pytest.mark.parametrize(
    "module", [name for name in MODULES if not name.startswith(("semconv", "conformance"))]
)
def test_names_stand_in_one_place(module: str) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Constant)
    ]
    assert not [text for text in texts if isinstance(text, str) and text.startswith("gen_ai.")]


def test_public_names_are_no_modules() -> None:
    assert {path.stem for path in PACKAGE.iterdir()}.isdisjoint(otel_callbacks.__all__)


def test_the_table_has_no_circles_and_nothing_that_is_gone() -> None:
    seen: set[str] = set()
    for part, below in MAY_IMPORT.items():
        assert (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
        assert set(below.split()) <= seen
        seen.add(part)
