"""Pyright agrees with mypy about what users may write."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from applications import program

SNIPPETS = Path(__file__).with_name("snippets.py")


@pytest.mark.services
def test_pyright_finds_the_same_errors(tmp_path: Path) -> None:
    settings = {
        "include": [str(SNIPPETS)],
        "extraPaths": [str(SNIPPETS.parents[2])],
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    checker, python = program("types", "basedpyright"), program("types", "python")
    command = [checker, "--project", str(tmp_path), "--pythonpath", python, "--outputjson"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    found = {error["range"]["start"]["line"] for error in json.loads(ran.stdout)["generalDiagnostics"]}
    lines = SNIPPETS.read_text().splitlines()
    assert found == {number for number, line in enumerate(lines) if re.search("# type: ignore", line)}
