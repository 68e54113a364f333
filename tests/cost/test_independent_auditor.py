"""A file of ours, priced from the tokens in it by another project's program: the same calls, the same money.

Its price table is a copy of the list that ours come from; how it reads the file, what it counts and its arithmetic
are its own.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tracecost.cli
import typer.testing
from click.testing import CliRunner

from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter
from otel_callbacks.manual import agent, embedding, inference, workflow
from otel_callbacks.testing import Captured

USED = {
    "gpt-4o": {"input_tokens": 2_000, "cache_read_input_tokens": 1_000, "output_tokens": 400},
    "claude-sonnet-4-5": {"input_tokens": 3_000, "cache_read_input_tokens": 500, "output_tokens": 200},
    "text-embedding-3-small": {"input_tokens": 1_000},
}
SPENT = {
    "gpt-4o": Decimal("0.00775"),
    "claude-sonnet-4-5": Decimal("0.01065"),
    "text-embedding-3-small": Decimal("0.00002"),
}


@pytest.fixture
def file(captured: Captured, tmp_path: Path) -> Path:
    """A trace in which the agent repeats what its two calls used."""

    def call(kind: Callable[..., Any], model: str, provider: str) -> None:
        with kind(model, provider=provider) as made:
            made.usage(**USED[model])

    with workflow("ask"):
        call(embedding, "text-embedding-3-small", "openai")
        with agent("writer"):
            call(inference, "gpt-4o", "openai")
            call(inference, "claude-sonnet-4-5", "anthropic")
    JsonLinesSpanExporter(tmp_path / "t.jsonl").export(captured.spans)
    return tmp_path / "t.jsonl"


def priced(runner: Any, program: Any, file: Path) -> Any:
    arguments = ["cost", str(file), "--by", "model", "--recompute", "--format", "json"]
    ran = runner.invoke(program, arguments)
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_both_price_the_file_the_same(file: Path) -> None:
    ours = priced(CliRunner(), main, file)
    theirs = priced(typer.testing.CliRunner(), tracecost.cli.app, file)
    assert {row["model"]: Decimal(row["recomputed_usd"]) for row in ours["rows"]} == SPENT
    assert {row["key"]: Decimal(repr(row["cost"])) for row in theirs["rows"]} == SPENT
    assert (ours["total"]["calls"], theirs["total"]["llm_calls"]) == (3, 3)
    assert theirs["total"]["cost"] == pytest.approx(float(sum(SPENT.values())))
