"""Many small traces with the labels, costs and failures that lists, filters and reports tell apart."""

import json
import random
from collections.abc import Iterator

from otel_callbacks.explore import LinkRecord, SpanRecord

NOON = 1_700_000_000 * 10**9  # 2023-11-14T22:13:20Z
SECOND = 10**9
KINDS = ("priced", "reported", "cached", "partial", "unpriced", "failed", "recorded", "silent")
"""How the cost of a call can be known; `silent` calls come from others and say nothing of it."""


def said(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def priced(kind: str, number: int) -> dict[str, object]:
    """The attributes of a call whose cost is known in one way."""
    tokens = {"gen_ai.usage.input_tokens": 100 + number, "gen_ai.usage.output_tokens": 10}
    status = {"otel_callbacks.cost.status": kind}
    cost = {"gen_ai.usage.cost_usd": (number % 50 + 1) * 1e-4}
    match kind:
        case "priced" | "reported":
            return tokens | status | cost
        case "cached":
            return status | {"gen_ai.usage.cost_usd": 0.0}
        case "partial":
            return tokens | status | cost | {"otel_callbacks.cost.unpriced_reason": "audio"}
        case "unpriced":
            return tokens | status | {"otel_callbacks.cost.unpriced_reason": "unknown_model"}
        case "failed":
            return {"error.type": "TimeoutError"}
        case "recorded":
            return {
                "otel_callbacks.cost.recorded_usd": 0.002,
                "otel_callbacks.cost.recorded_what": ("search", "map"),
            }
    return tokens | cost


def fleet(count: int, seed: int = 7) -> Iterator[SpanRecord]:
    """Yields the spans of `count` traces, each a workflow with a model call and a tool, one second apart."""
    dice = random.Random(seed)
    for number in range(count):
        yield from one(number, dice)


def one(number: int, dice: random.Random) -> Iterator[SpanRecord]:
    trace_id, start = f"{number + 1:032x}", NOON + number * SECOND
    labels: dict[str, object] = {
        "app.tenant_id": dice.choice(("acme", "globex", "initech")),
        "user.id": f"u-{dice.randrange(5)}",
        "session.id": f"s-{number // 4}",
    }
    if dice.random() < 0.5:
        labels |= {"app.user_tier": "gold", "app.urgent": dice.random() < 0.5, "app.team": dice.randrange(3)}
    kind = KINDS[number % len(KINDS)]
    fails = dice.random() < 0.2
    seconds = dice.randrange(100, 3000) / 1000

    def span(place: int, name: str, attributes: dict[str, object], fails: bool = False) -> SpanRecord:
        return SpanRecord(
            trace_id=trace_id,
            span_id=f"{place + 1:016x}",
            parent_id=f"{1:016x}" if place else None,
            name=name,
            kind="INTERNAL",
            start_ns=start,
            end_ns=start + int(seconds * SECOND) - place,
            attributes={"gen_ai.operation.name": name.split()[0], **labels, **attributes},
            status="ERROR" if fails else "UNSET",
            resource={"service.name": f"service-{number % 2}", "app.feature": "chat"},
        )

    model = dice.choice(("gpt-4o", "claude-sonnet-4-5"))
    asked = {"gen_ai.input.messages": said("user", f"question {number}")}
    answered = {"gen_ai.output.messages": said("assistant", f"answer {number}")}
    yield span(0, f"invoke_workflow {dice.choice(('rag', 'agent'))}", asked | answered)
    if kind == "recorded":
        yield span(1, "execute_tool billed", priced(kind, number) | {"gen_ai.tool.name": "billed"})
    else:
        yield span(
            1, f"chat {model}", priced(kind, number) | {"gen_ai.response.model": model}, kind == "failed"
        )
    failure: dict[str, object] = {"error.type": "builtins.ValueError"} if fails else {}
    yield span(2, "execute_tool search", {"gen_ai.tool.name": "search"} | failure, fails)
    if number % 5 == 0:
        yield judgement(trace_id, number, start + 60 * SECOND)


def judgement(trace_id: str, number: int, when: int) -> SpanRecord:
    """A user's feedback on a trace."""
    attributes = {"gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.score.value": float(number % 2)}
    return SpanRecord(
        trace_id=f"{number + 1:016x}".rjust(32, "f"),
        span_id="e" * 16,
        parent_id=None,
        name="feedback helpful",
        kind="INTERNAL",
        start_ns=when,
        end_ns=when,
        attributes=attributes,
        links=(LinkRecord(trace_id, "0" * 15 + "1", {}),),
    )
