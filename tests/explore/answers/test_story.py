"""The story that this project was ordered for: 45 seconds for some questions, and nobody knows which tool it is."""

import json
import math
import random
from statistics import mean, quantiles

import pytest

from otel_callbacks.explore import SpanRecord, Trace, Why, why

SECOND = 10**9
USUAL = {"search_docs": 0.5, "lookup": 0.1, "calculate": 0.05, "translate": 0.3, "citation_validator": 1.0}
QUESTIONS = {
    "cited": ["search_docs", "citation_validator", "citation_validator"],
    "counted": ["search_docs", "lookup", "calculate"],
    "translated": ["search_docs", "translate"],
}


def run(number: int, chance: random.Random, *, time_out: float, cache: float, result: int) -> Trace:
    """One run; `result` is the length of what `search_docs` returns, in tokens."""
    trace_id, root = f"{number + 1:08x}".ljust(32, "0"), f"{1:016x}"
    spans: list[SpanRecord] = []
    at, prompt, sent = number * 1_000 * SECOND, 1_100, {}

    def step(name: str, seconds: float, **attributes: object) -> None:
        nonlocal at
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        named["gen_ai.operation.name"] = name.split()[0]
        end = at + round(seconds * SECOND)
        spans.append(SpanRecord(trace_id, f"{len(spans) + 2:016x}", root, name, "INTERNAL", at, end, named))
        at = end

    def chat() -> None:
        usage = {"gen_ai.usage.input_tokens": prompt, "gen_ai.usage.cost_usd": prompt * 2e-6}
        step("chat m", 1.5 * math.exp(chance.gauss(0, 0.25)), **usage)

    start = at
    kind = chance.choice(list(QUESTIONS))
    hangs = kind == "cited" and chance.random() < 0.25
    for tool in QUESTIONS[kind]:
        chat()
        seconds = USUAL[tool] * math.exp(chance.gauss(0, 0.25))
        if tool == "citation_validator":
            seconds = chance.uniform(20, 41) if hangs else seconds
            seconds = 0.01 if chance.random() < cache else min(seconds, time_out)
        step(f"execute_tool {tool}", seconds, gen_ai__tool__name=tool)
        size = result if tool == "search_docs" else 30
        sent.setdefault(tool, []).append((size, len(spans)))
        prompt += size
    chat()
    calls = [place for place, span in enumerate(spans) if span.name == "chat m"]
    table = {
        tool: {
            "sent_once": sum(size for size, _ in results),
            "resent": sum(size * (sum(call >= place for call in calls) - 1) for size, place in results),
        }
        for tool, results in sent.items()
    }
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "session.id": f"s{number % 500}",
        "otel_callbacks.rollup.tools": json.dumps(table),
    }
    name = "invoke_agent research"
    return Trace.of([SpanRecord(trace_id, root, None, name, "INTERNAL", start, at, attributes), *spans])


def fleet(
    seed: int, runs: int = 700, *, time_out: float = math.inf, cache: float = 0.0, result: int = 1_240
) -> list[Trace]:
    chance = random.Random(seed)
    return [run(number, chance, time_out=time_out, cache=cache, result=result) for number in range(runs)]


@pytest.fixture(scope="module")
def before() -> list[Trace]:
    return fleet(1, 2_000)


@pytest.fixture(scope="module")
def said(before: list[Trace]) -> Why:
    return why(before)


def in_validator(trace: Trace) -> float:
    return sum(span.duration for span in trace.spans if span.tool_name == "citation_validator")


def test_one_question_names_the_validator_with_figures_that_the_spans_have(
    before: list[Trace], said: Why
) -> None:
    slow = said.answers[0].slow
    edge = sorted(trace.duration for trace in before)[1_899]
    tail = [trace for trace in before if trace.duration >= edge]
    low, _, high = quantiles([trace.duration for trace in before], n=4, method="inclusive")
    usual = [trace for trace in before if low <= trace.duration <= high]
    first = slow.steps[0]
    own = first.contribution
    assert (own.step, own.is_reason, first.is_certain) == (("tool", "citation_validator"), True, True)
    assert own.tail == pytest.approx(mean(map(in_validator, tail)))
    assert own.usual == pytest.approx(mean(map(in_validator, usual)), rel=0.01)
    whole = mean(trace.duration for trace in tail) - mean(trace.duration for trace in usual)
    assert own.share == pytest.approx((own.tail - own.usual) / whole, rel=0.01)
    assert first.longest == max(
        s.duration for t in tail for s in t.spans if s.tool_name == "citation_validator"
    )
    assert first.saved == pytest.approx(own.tail)  # nothing runs beside it
    by_id = {trace.trace_id: trace for trace in tail}
    assert in_validator(by_id[first.examples[0]]) == max(map(in_validator, tail))
    assert (
        "1. citation_validator: " in str(said)
        and "never failed" in str(said)
        and "no time-out seen" in str(said)
    )
    assert [each.contribution.step.name for each in slow.steps if each.contribution.is_reason] == [
        "citation_validator"
    ]


def test_the_fix_is_shown(before: list[Trace]) -> None:
    after = fleet(2, time_out=5.0, cache=0.5)
    fixed = why(before, after)
    [own] = [each.contribution for each in fixed.answers[0].slow.steps if each.contribution.is_reason]
    assert own.step == ("tool", "citation_validator")
    assert own.usual == pytest.approx(mean(map(in_validator, before)))
    assert own.tail == pytest.approx(mean(map(in_validator, after)))


def test_the_tokens_of_tool_results_are_found_and_what_cutting_them_short_saves(
    before: list[Trace], said: Why
) -> None:
    tokens = said.answers[0].expensive.tokens
    results = [
        row["sent_once"] + row["resent"]
        for trace in before
        for row in json.loads(trace.roots[0].attributes["otel_callbacks.rollup.tools"]).values()
    ]
    assert tokens.result_share == pytest.approx(sum(results) / sum(trace.input_tokens for trace in before))
    assert 0.35 < tokens.result_share < 0.55
    truncated = fleet(1, result=300)
    short = why(before[:700], truncated).answers[0].expensive  # the same questions
    assert short.tokens.result_share < 0.25
    [own] = short.difference.reasons
    assert own.added == pytest.approx(mean(t.cost for t in truncated) - mean(t.cost for t in before[:700]))
    assert "Results of tools are 4" in str(said) or "Results of tools are 5" in str(said)
