"""Checks that other vendors' LangChain instrumentations record the same spans with our handler beside them.

    python benchmarks/beside_others.py [--folder /tmp/beside-others]

Installs OpenInference's and OpenLLMetry's instrumentations from PyPI into an environment of its own, runs the shapes
of `tests/support/shapes_langchain.py` with each of them, alone and beside our handler, and compares their spans:
name, status, attributes, parent.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
VENDORS = {
    "openinference-instrumentation-langchain": "openinference.instrumentation.langchain:LangChainInstrumentor",
    "opentelemetry-instrumentation-langchain": "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
}
RANDOM = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|0x[0-9a-f]+|\d+\.\d+")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "beside-others")
    parser.add_argument("--record", nargs=2, metavar=("VENDOR", "HOW"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        print(json.dumps(_record(*arguments.record)))
        return 0
    python = _installed(arguments.folder)
    lost = 0
    for vendor in VENDORS:
        alone, beside = (_recorded(python, vendor, how) for how in ("alone", "beside"))
        print(f"{vendor}: {len(alone)} shapes, {sum(map(len, alone.values()))} spans")
        for shape, spans in alone.items():
            missing = Counter(map(_without_parent, spans)) - Counter(map(_without_parent, beside[shape]))
            lost += missing.total()
            if missing:
                print(f"  {shape} lacks {dict(missing)}")
            # OpenLLMetry may make the first call of a batch the parent of the others.
            elif spans != beside[shape]:
                print(f"  {shape}: parents differ")
    print(f"{lost} spans lost")
    return 1 if lost else 0


def _without_parent(span: list[Any]) -> str:
    name, _, status, attributes = span
    return f"{name} {status} {attributes}"


def _installed(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        ours = [f"{name}=={version(name)}" for name in ("langchain", "langchain-core", "langgraph")]
        subprocess.run(
            (python, "-m", "pip", "install", "--quiet", f"{REPOSITORY}[cost]", "langsmith", *ours, *VENDORS),
            check=True,
        )
    return python


def _recorded(python: Path, vendor: str, how: str) -> dict[str, list[Any]]:
    done = subprocess.run(
        (python, __file__, "--record", vendor, how), check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


# --- in the environment with the vendors ------------------------------------------------------------------------------


def _record(vendor: str, how: str) -> dict[str, list[Any]]:
    """Returns the spans of one vendor, by the shape that made them."""
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]
    from importlib import import_module

    import shapes_langchain
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks.langchain import instrument

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    module, name = VENDORS[vendor].split(":")
    getattr(import_module(module), name)().instrument(tracer_provider=provider)
    if how == "beside":
        instrument(tracer_provider=TracerProvider(), content="both")
    found = {}
    for shape in shapes_langchain.SHAPES:
        exporter.clear()
        asyncio.run(shape({}))  # type: ignore[arg-type]
        found[shape.__name__] = sorted(map(_outline(exporter), exporter.get_finished_spans()))
    return found


def _outline(exporter: Any) -> Any:
    names = {span.context.span_id: span.name for span in exporter.get_finished_spans()}

    def outline(span: Any) -> list[Any]:
        parent = names.get(span.parent.span_id) if span.parent else None
        attributes = sorted(span.attributes or {})
        return [RANDOM.sub("…", span.name), str(parent), span.status.status_code.name, attributes]

    return outline


if __name__ == "__main__":
    sys.exit(main())
