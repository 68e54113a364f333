"""LlamaIndex's durable runtime: a workflow that another process runs is in its caller's trace, with its labels."""

from pathlib import Path

import pytest
from applications import outline, run

pytestmark = pytest.mark.services


def test_a_workflow_in_another_process_is_in_its_callers_trace(tmp_path: Path) -> None:
    run("durable", tmp_path, "durable.py", "start")
    assert outline(tmp_path) == "start: invoke_workflow ask acme"
    run("durable", tmp_path, "durable.py", "go-on")
    assert outline(tmp_path) == (
        "start: invoke_workflow ask acme\n"
        "  go-on: invoke_workflow Answers acme\n"
        "    go-on: answer acme\n"
        "      go-on: text_completion acme"
    )
