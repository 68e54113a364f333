"""Which room of the package may import which others, and which modules may import a framework or the SDK."""

import ast

import pytest
from source_files import MODULES, PACKAGE, home, imports

import otel_callbacks

# Each room (a folder, or a file of the root) may import itself and these. Listed from the ground up.
MAY_IMPORT = {
    "limits": "",
    "semconv": "",
    "runtime": "",
    "operations": "limits runtime",
    "conformance": "limits runtime",
    "runs": "limits runtime",
    "privacy": "limits semconv runtime",
    "cost": "limits semconv runtime operations runs privacy",
    "rag": "limits semconv runtime operations runs",
    "profiles": "limits semconv runtime",
    "recording": "limits semconv runtime operations runs privacy cost rag profiles",
    "explore": "limits semconv runtime cost profiles",
    "mcp_server": "limits runtime explore",
    "carriers": "runtime runs privacy cost",
    "handlers": "limits runtime privacy cost profiles recording explore",
    "manual": "limits semconv runtime operations runs privacy rag recording handlers",
    "propagation": "semconv runtime operations runs cost carriers manual",
    "langchain": "limits semconv runtime operations runs privacy rag recording handlers",
    "llama_index": "limits semconv runtime operations runs privacy rag recording handlers carriers",
    "export": "limits semconv runtime privacy cost profiles recording explore",
    "extension": "explore export",
    "testing": "handlers recording export",
    "switch": "runtime",
    "both_frameworks": "runtime recording handlers langchain llama_index",
    "handler": "runtime handlers llama_index langchain both_frameworks switch",
    "zero_code": "runtime recording handlers langchain llama_index export",
    "demo": "limits semconv runtime cost explore export langchain llama_index",
    "doctor": "limits runtime cost recording export manual llama_index",
    "cli": "runtime conformance demo doctor explore mcp_server",
    "__main__": "cli",
    "__init__": "runtime cost explore export extension handler handlers langchain manual privacy switch",
}
# Other packages, and the modules (or folders) that may import them.
MAY_TOUCH = {
    "langchain": ("langchain/", "demo/"),
    "langchain_core": ("langchain/", "demo/"),
    "langgraph": ("langchain/", "demo/"),
    "llama_index": ("llama_index/", "demo/"),
    "llama_index_instrumentation": ("llama_index/", "demo/"),
    "workflows": ("llama_index/", "demo/"),
    "opentelemetry.sdk": (
        *("export/", "recording/sdk_span.py", "recording/series.py"),
        *("explore/files/writing.py", "explore/index/ring.py", "testing.py"),
    ),
    "opentelemetry.exporter": ("export/", "explore/files/writing.py"),
    "opentelemetry.instrumentation": ("zero_code/",),
    "wrapt": ("zero_code/", "both_frameworks.py"),
    "grpc": ("explore/files/senders.py", "doctor/probe.py"),
    "requests": ("explore/files/senders.py", "doctor/probe.py", "export/http_answers.py"),
    "rich": ("explore/commands/",),
    "pandas": ("explore/frames.py", "explore/collection.py", "cost/reporting/"),
    "IPython": ("explore/notebook.py",),
    "click": (
        *("cli.py", "demo/", "conformance/command.py", "doctor/command.py", "explore/commands/"),
        *("runtime/json_options.py", "mcp_server/command.py"),
    ),
    "starlette": ("explore/ui/",),
    "jinja2": ("explore/ui/",),
    "uvicorn": ("explore/ui/",),
}
# What a handler may import from `opentelemetry.trace`: types for annotations only.
MAY_NAME = {"opentelemetry.trace.TracerProvider"}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module: str) -> None:
    name = module.removesuffix(".py")
    part = name if name in MAY_IMPORT else name.partition("/")[0]
    allowed = {part, *MAY_IMPORT[part].split()}
    used = {name.split(".")[1] for name in imports(module) if within(name, "otel_callbacks") and "." in name}
    assert used <= allowed, f"{module} may not import {sorted(used - allowed)}"


def test_no_file_imports_itself_through_others() -> None:
    """Imports inside functions count, too: they only close the circle later."""
    below = {module: {home(name) for name in imports(module)} - {module, ""} for module in MODULES}
    for module in MODULES:  # a room's `__init__` re-exports its own modules, which closes no circle
        if module.endswith("/__init__.py"):
            below[module] = {
                each for each in below[module] if not each.startswith(module[: -len("__init__.py")])
            }
    while leaves := [module for module, used in below.items() if not used & below.keys()]:
        for module in leaves:
            del below[module]
    assert not below, "in or above a circle: " + ", ".join(sorted(below))


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
    assert module.endswith(
        ("handler.py", "dispatcher_reports.py")
    ) or "otel_callbacks.semconv" not in imports(module)


@pytest.mark.parametrize(
    "module", [name for name in MODULES if not name.startswith(("semconv", "conformance"))]
)
def test_attribute_names_are_in_semconv_only(module: str) -> None:
    texts = [
        node.value
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Constant)
    ]
    assert not [text for text in texts if isinstance(text, str) and text.startswith("gen_ai.")]


def test_no_public_name_is_a_module() -> None:
    assert {path.stem for path in PACKAGE.iterdir()}.isdisjoint(otel_callbacks.__all__)


def test_the_table_has_no_circles_and_only_existing_rooms() -> None:
    seen: set[str] = set()
    for part, below in MAY_IMPORT.items():
        assert (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
        assert set(below.split()) <= seen
        seen.add(part)
