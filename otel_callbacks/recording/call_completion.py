"""Completes a call that has ended with what its run knows, and finds out whether other calls did its work."""

from dataclasses import replace
from typing import Any, Literal

from otel_callbacks import limits, operations
from otel_callbacks.cost.totals import Totals
from otel_callbacks.operations import providers
from otel_callbacks.runs.run import Run


def complete_call(
    run: Run, operation: operations.Inference | operations.Rerank | operations.Embedding, failed: bool
) -> None:
    """Completes a call from its run, and tells whether other calls did it."""
    if isinstance(operation, operations.Inference):
        _complete_inference(run, operation, failed)
    else:
        operation.duplicate = _is_done_by_other_calls(run, operation)


def _complete_inference(run: Run, operation: operations.Inference, failed: bool) -> None:
    """Completes a model call from its run: the first chunk, the failure, and whether its usage is another call's."""
    if run.first_chunk is not None:
        operation.stream = True
        operation.time_to_first_chunk = (run.first_chunk - run.started) / 1e9
    if failed:
        if run.first_chunk is not None and operation.usage is not None and not operation.finish_reasons:
            operation.usage = replace(operation.usage, is_final=False)  # the answer went on after the count
        operation.finish_reasons = operation.finish_reasons or ("error",)  # no reason came
    _tell_outer_model(run, operation.usage)
    if operation.duplicate or (
        run.totals is not None and _repeats_inner_usage(run.totals, run, operation.usage)
    ):
        operation.duplicate = True  # the call that counts is on another span
        operation.usage = None


def _is_done_by_other_calls(
    run: Run, operation: operations.Rerank | operations.Embedding
) -> Literal[True] | None:
    """Tells whether a reranker or embedding reports nothing because other calls did its work, and have the cost."""
    totals = run.totals
    if totals is None or operation.usage is not None or operation.billing is not None:
        return None
    return True if totals.cost is not None or totals.sums.unpriced_calls else None


def _repeats_inner_usage(totals: Totals, run: Run, usage: operations.Usage | None) -> bool:
    """Tells whether a model that called other models reports their usage: of one of them, or the sum.

    Other usage is its own, beside theirs; an estimate of what they have counted is not.
    """
    sums = totals.sums
    if not (sums.inference_calls or sums.cached_calls):
        return False
    if usage is None or usage.estimated:
        return True
    reported = usage.input_tokens or 0, usage.output_tokens or 0
    inner = run.inner_usages or ()
    return reported == (sums.input_tokens, sums.output_tokens) or any(
        reported == (each.input_tokens or 0, each.output_tokens or 0) for each in inner
    )


def _tell_outer_model(run: Run, usage: operations.Usage | None) -> None:
    """Notes the usage of a model call at the model call around it, if there is one."""
    outer = run.parent if usage is not None else None
    while outer is not None and not isinstance(outer.operation, operations.Inference):
        outer = outer.parent
    if outer is None or usage is None:
        return
    if outer.inner_usages is None:
        outer.inner_usages = []
    if len(outer.inner_usages) < limits.INNER_CALLS_COMPARED:
        outer.inner_usages.append(usage)


def valid_usage(usage: operations.Usage | None) -> operations.Usage | None:
    """Returns a usage without the counts that make no sense, such as negative ones."""
    if usage is None:
        return None
    checked: dict[str, Any] = {
        name: providers.token_count(getattr(usage, name)) for name in operations.TOKEN_COUNTS
    }
    return replace(usage, **checked)
