"""What changed from one trace to another, as plain dictionaries."""

from typing import Any

from otel_callbacks import limits
from otel_callbacks.explore.as_json.facts import line, span_facts, trace_facts
from otel_callbacks.explore.diff import Diff, StepDiff
from otel_callbacks.runtime.json_text import bounded

_TOTALS = ("duration_seconds", "model_calls", "input_tokens", "output_tokens", "errors", "unpriced_calls")


def difference_facts(difference: Diff) -> dict[str, Any]:
    """Returns both traces and, under `change`, how much more `b` has of each number; the steps are `step_facts`."""
    a, b = trace_facts(difference.a), trace_facts(difference.b)
    return {"a": a, "b": b, "change": {name: b[name] - a[name] for name in _TOTALS}}


def step_facts(step: StepDiff) -> dict[str, Any]:
    """Returns one step in both traces; `change` is `added`, `removed` or empty."""
    most = limits.ANSWER_PIECES
    return {
        "depth": step.depth,
        "name": line(step.name),
        "change": step.change,
        "a": span_facts(step.a) if step.a else None,
        "b": span_facts(step.b) if step.b else None,
        **bounded("documents_gained", list(map(line, step.gained)), most),
        **bounded("documents_lost", list(map(line, step.lost)), most),
    }
