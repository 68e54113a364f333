"""The README's worked examples run unchanged and produce the spans that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_callbacks.conformance import check_file
from otel_callbacks.explore import SpanRecord, read_jsonl

README = (Path(__file__).parent.parent / "README.md").read_text()
SECTION = README.partition("## Worked examples\n")[2].partition("\n## ")[0]
EXAMPLES = re.findall(
    r"^### (.+?)\n.*?```python\n(.+?)```\n\n```\n(.+?)```", SECTION, re.DOTALL | re.MULTILINE
)


def outline(spans: list[SpanRecord], parent: str | None = None, depth: int = 0) -> str:
    """Returns the names of the spans, indented, in the order of their start."""
    return "".join(
        f"{'  ' * depth}{span.name}\n{outline(spans, span.span_id, depth + 1)}"
        for span in sorted(spans, key=lambda span: span.start_ns)
        if span.parent_id == parent
    )


def test_there_is_one_by_hand_and_one_per_framework() -> None:
    assert [name for name, *_ in EXAMPLES] == ["By hand", "LangChain", "LlamaIndex"]


@pytest.mark.parametrize(
    ("code", "shown"), [example[1:] for example in EXAMPLES], ids=[name for name, *_ in EXAMPLES]
)
def test_a_worked_example(code: str, shown: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, check=True)
    (file,) = (tmp_path / ".otel_callbacks").iterdir()
    assert outline(list(read_jsonl(file))) == shown
    violations = {finding.message for finding in check_file(file) if finding.level == "violation"}
    # LlamaIndex's mock model has no provider, and we do not invent one
    assert violations <= ({"gen_ai.provider.name is required"} if "MockLLM" in code else set())
