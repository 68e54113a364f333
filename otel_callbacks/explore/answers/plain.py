"""The answers of `why` as plain values, of bounded size, for programs and assistants."""

from collections.abc import Sequence
from typing import Any

from otel_callbacks.explore.answers.answer import Answer
from otel_callbacks.explore.causes.contributions import Contribution, Difference
from otel_callbacks.explore.causes.expensive import Expensive, Tokens
from otel_callbacks.explore.causes.failing import Failing
from otel_callbacks.explore.causes.groups import Groups
from otel_callbacks.explore.causes.in_common import InCommon
from otel_callbacks.explore.causes.misses import Misses
from otel_callbacks.explore.causes.slow import Slow, SlowStep
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS

_NAME = 20  # characters of a role


def plain(answer: Answer) -> dict[str, Any]:
    """Returns an answer as plain values; times in seconds, costs in US dollars, shares from 0 to 1."""
    found: dict[str, Any] = {
        "workflow": answer.workflow,
        "runs": len(answer.runs),
        "conversations": answer.conversations,
        "runs_before": None if answer.before is None else len(answer.before),
        "refused": answer.refused,
        "slow": answer.slow and _slow(answer.slow),
        "expensive": answer.expensive and _expensive(answer.expensive),
        "failing": answer.failing and _failing(answer.failing),
        "failing_before": answer.failing_before and _failing(answer.failing_before),
        "retrieval": answer.misses and _misses(answer.misses),
    }
    return {name: value for name, value in found.items() if value is not None}


def _groups(groups: Groups, difference: Difference, too_few: str | None) -> dict[str, Any]:
    return {
        "tail_runs": len(groups.tail),
        "usual_runs": len(groups.usual),
        "tail_begins": groups.begins,
        "tail_mean": difference.tail,
        "usual_mean": difference.usual,
        "expected_tail_mean": difference.ordinary,
        "stands_out": difference.stands_out,
        "too_few": too_few,
    }


def _step(step: Step) -> dict[str, str]:
    return {"kind": step.kind, "step": step.name}


def _contribution(each: Contribution) -> dict[str, Any]:
    return {
        **_step(each.step),
        "is_reason": each.is_reason,
        "share": each.share,
        "tail": each.tail,
        "usual": each.usual,
        "added": each.added,
        "added_interval": None if each.low is None else [each.low, each.high],
        "added_by_length": each.by_length,
        "added_by_calls": each.by_calls,
        "tail_calls": each.tail_calls,
        "usual_calls": each.usual_calls,
    }


def _slow(slow: Slow) -> dict[str, Any]:
    return {
        **_groups(slow.groups, slow.difference, slow.too_few),
        "steps": [_slow_step(each) for each in slow.steps],
        "in_common": _in_common(slow.common),
    }


def _slow_step(each: SlowStep) -> dict[str, Any]:
    limit = each.what_if
    return {
        **_contribution(each.contribution),
        "added_by_jaegers_rule": each.by_jaeger,
        "rules_agree": each.is_certain,
        "saved_without_it": each.saved,
        "runs_beside": each.beside and _step(each.beside),
        "failed_calls": each.failed,
        "longest_call": each.longest,
        "all_calls": list(each.all_calls),
        "retries": list(each.retries),
        "parts": dict(each.parts),
        "waited_in": each.waited_in and {"node": each.waited_in[0], "step": each.waited_in[1]},
        "longest_gap_between_chunks": each.gap,
        "with_time_out": limit
        and {
            "seconds": limit.seconds,
            "tail_mean_after": limit.tail_after,
            "quantile_before": limit.quantile_before,
            "quantile_after": limit.quantile_after,
            "calls_cut": limit.cut_calls,
            "calls": limit.calls,
        },
        "traces": list(each.examples),
    }


def _expensive(expensive: Expensive) -> dict[str, Any]:
    return {
        **_groups(expensive.groups, expensive.difference, expensive.too_few),
        "runs_unpriced": expensive.unpriced,
        "steps": [
            {
                **_contribution(each.contribution),
                "parts": {name: {"tail": tail, "usual": usual} for name, tail, usual in each.parts},
                "traces": list(each.examples),
            }
            for each in expensive.steps
        ],
        "input_tokens": expensive.tokens and _tokens(expensive.tokens),
        "in_common": _in_common(expensive.common),
    }


def _tokens(tokens: Tokens) -> dict[str, Any]:
    pairs = {
        name: {"tail": tail, "usual": usual}
        for name, (tail, usual) in (
            ("sent_again_estimated", tokens.resent),
            ("sent_again_uncached_estimated", tokens.missed),
            ("retries", tokens.retried),
            ("cache_reusable_estimated", tokens.reusable),
        )
    }
    kinds = [
        {"tool": each.tool, "kind": each.kind, "share": each.share, "tail": each.tail, "usual": each.usual}
        for each in tokens.kinds[: 4 * WHY_ROWS]
    ]
    unread = [
        {"reason": reason, "first_changed": changed[:_NAME] or None, "tail": tail, "usual": usual}
        for reason, changed, tail, usual in tokens.unread[:WHY_ROWS]
    ]
    return {
        "tool_result_share_estimated": tokens.result_share,
        "runs": tokens.runs,
        "kinds": kinds,
        **pairs,
        "cache_missed_estimated": unread,
    }


def _failing(failing: Failing) -> dict[str, Any]:
    return {
        "failed": failing.failed,
        "runs": failing.runs,
        "share": failing.share,
        "too_few": failing.too_few,
        "steps": [
            {
                **_step(each.step),
                "is_reason": each.is_reason,
                "failed_runs": each.runs,
                "error_types": dict(each.error_types[:WHY_ROWS]),
                "calls": each.calls,
                "failed_calls": each.failed_calls,
                "runs_that_went_on": each.survived,
                "traces": list(each.examples),
            }
            for each in failing.steps
        ],
        "in_common": _in_common(failing.common),
    }


def _misses(misses: Misses) -> dict[str, Any]:
    return {
        "runs": misses.runs,
        "missed": misses.missed,
        "sources": [
            {
                "source": each.name,
                "runs": each.runs,
                "searches": each.searches,
                "missed": each.misses,
                "median_best_score": each.best,
                "traces": list(each.examples),
            }
            for each in misses.sources
        ],
        "scores": {scale: {"usual": usual, "low": low} for scale, (usual, low) in misses.scales.items()},
        "queries": list(misses.queries),
        "in_common": _in_common(misses.common),
    }


def _in_common(common: InCommon | None) -> dict[str, Any] | None:
    if common is None:
        return None
    facts: Sequence[dict[str, Any]] = [
        {
            "name": each.fact.name,
            "value": each.fact.value,
            "known_at_start": each.fact.at_start,
            "inside": each.inside,
            "inside_runs": each.inside_runs,
            "outside": each.outside,
            "outside_runs": each.outside_runs,
            "lift": each.lift,
            "lift_interval": [each.low, each.high],
            "adds_nothing_beside": each.goes_with and str(each.goes_with),
            "traces": list(each.examples[:WHY_EXAMPLES]),
        }
        for each in common.facts[:WHY_ROWS]
    ]
    return {"facts": facts, "tried": common.tried, "too_few": common.too_few}
