"""What tracing adds to a call does not grow unnoticed: a budget in bytecodes, which no busy machine changes."""

import json
import subprocess
import sys
from pathlib import Path

import bytecodes
import pytest

ALLOWED = 1.03
MEASURE = "import json, bytecodes; print(json.dumps(bytecodes.measure()))"


@pytest.mark.skipif(
    bytecodes.python() not in bytecodes.recorded(), reason="figures are recorded for the Python of CI"
)
def test_no_call_costs_more_than_recorded() -> None:
    """If a change has to cost more: `python benchmarks/bytecodes.py --write "why"`."""
    benchmarks = Path(bytecodes.__file__).parent
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE],
        cwd=benchmarks,
        env={"PYTHONPATH": ":".join([str(benchmarks), *sys.path]), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    recorded = bytecodes.recorded()[bytecodes.python()]
    now = json.loads(ran.stdout.splitlines()[-1])
    assert now.keys() == recorded.keys()
    grown = {
        name: f"{figures['bytecodes']:,} instead of {recorded[name]['bytecodes']:,}"
        for name, figures in now.items()
        if figures["bytecodes"] > recorded[name]["bytecodes"] * ALLOWED
    }
    assert not grown, f"{grown}; see benchmarks/bytecodes.py --by-module"
