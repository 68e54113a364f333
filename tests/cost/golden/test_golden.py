"""Every number true: calls through the real integrations, their providers' real answers, and the cost by hand.

`pip install -r tests/cost/golden/requirements.txt` installs what the rows call; without it they fail.
"""

import json
import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import rows_anthropic
import rows_bedrock
import rows_compatible
import rows_framework
import rows_google
import rows_local
import rows_openai
import rows_other
import rows_reported
import rows_responses
from clients import CLIENTS
from table import Row, call, handler_of, make
from wire import Wire

from otel_callbacks.testing import capture

pytestmark = pytest.mark.filterwarnings("ignore")  # what integrations deprecate is not ours

MODULES = (
    rows_openai,
    rows_responses,
    rows_anthropic,
    rows_google,
    rows_bedrock,
    rows_compatible,
    rows_local,
    rows_reported,
    rows_other,
    rows_framework,
)
ROWS: list[Row] = [row for module in MODULES for row in module.ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_call(row: Row, wire: Wire) -> None:
    with capture() as captured:
        row.check(wire, captured)


UNSAID = [row for row in ROWS if any(expected.finish in (None, "error|") for expected in row.expect)]


@pytest.mark.parametrize("row", UNSAID, ids=lambda row: row.id)
def test_no_end_is_made_up(row: Row, wire: Wire) -> None:
    """Where no provider said why the answer ended, the recorded message does not say that it ended as it should."""
    wire.answer = row.answer
    with capture() as captured:
        handler = handler_of(row, captured, content="spans")
        (row.do or call)(make(row, handler), row, handler)
        said = [(span.attributes or {}).get("gen_ai.output.messages", "[]") for span in captured.spans]
    ends = [message.get("finish_reason") for messages in said for message in json.loads(str(messages))]
    assert "stop" not in ends


def test_a_stream_without_usage_is_said_once(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """With what to write to get it."""
    (row,) = (row for row in ROWS if row.id == "a stream that was not asked for usage | li.openai stream")
    row, wire.answer = replace(row, model="gpt-4o-mini"), row.answer
    with capture() as captured:
        handler = handler_of(row, captured)
        for _ in range(2):
            call(make(row, handler), row, handler)
    assert len([each for each in caplog.records if "include_usage" in each.getMessage()]) == 1


def test_table() -> None:
    names = [row.id for row in ROWS]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


def test_packages() -> None:
    """Everything that the table needs is here: what a list names and what a row calls are the same."""
    lists = [Path(__file__).with_name(name) for name in ("requirements.txt", "requirements-no-deps.txt")]
    listed = set(
        re.findall(r"(?m)^((?:langchain|llama-index)[a-z-]+)", "\n".join(map(Path.read_text, lists)))
    )
    assert listed == {client.package for client in CLIENTS.values()}
    assert not [package for package in sorted(listed) if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
