"""The `why` command over a file, as text and as JSON, and what it says to wrong arguments."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fleets import Fleet, write

from otel_callbacks.cli import main
from otel_callbacks.explore import Traces, why


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("why")
    slow = write(folder / "slow.jsonl", Fleet(3, "slow tool").trees(250))
    return slow, write(folder / "fast.jsonl", Fleet(3).trees(250))


def run(*arguments) -> str:
    result = CliRunner().invoke(main, ["why", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_text_and_json_say_the_same(files) -> None:
    slow, _ = files
    said = Traces.open(slow).why()
    assert run(slow) == f"{said}\n"
    assert json.loads(run(slow, "--format", "json", "--content")) == said.to_dict()
    without = json.loads(run(slow, "--format", "json"))
    assert all("queries" not in (each["retrieval"] or {}) for each in without["workflows"])
    assert without["workflows"][0]["slow"] == said.to_dict()["workflows"][0]["slow"]
    assert "1. citation_validator: " in str(said)


def test_before(files) -> None:
    slow, fast = files
    assert run(fast, "--before", slow) == f"{why(Traces.open(slow), Traces.open(fast))}\n"


def test_filters(files) -> None:
    slow, _ = files
    tenant = Traces.open(slow).last().spans[0].tenant
    arguments = ("--tenant", tenant, "--slow", "p80", "--format", "json", "--content")
    chosen = json.loads(run(slow, *arguments))
    assert chosen == Traces.open(slow).find(tenant=tenant).why(slow="p80").to_dict()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--slow", "p101"), 2, "--slow must be a tail"),
        (("--expensive", "dear"), 2, "--expensive must be a tail"),
        (("--tenant", "nobody"), 2, "no traces that match to ask"),
        (("--content",), 2, "--content is for --format json"),
        (("--before", "nowhere.jsonl"), 2, "nowhere.jsonl"),
    ],
)
def test_what_is_wrong_is_said(files, arguments, status, words) -> None:
    result = CliRunner().invoke(main, ["why", str(files[0]), *arguments])
    assert (result.exit_code, words in result.output) == (status, True), result.output
