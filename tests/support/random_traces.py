"""Random traces as a file of OTLP JSON lines: everything that decides what a model call counts and costs."""

import json
from pathlib import Path
from random import Random
from typing import Any

from otlp_json import otlp_attributes

DAY_1 = 1_791_331_200 * 10**9  # 2026-10-07T00:00:00Z
HOUR = 3_600 * 10**9
OPERATIONS = (
    "chat",
    "chat",
    "text_completion",
    "generate_content",
    "embeddings",
    "rerank",
    "execute_tool",
    "retrieval",
)


def write(file: Path, traces: int, seed: int = 18) -> None:
    """Writes traces of ours, of other instrumentations and of both, over three days; some spans twice."""
    random = Random(seed)
    with file.open("w") as out:
        for number in range(traces):
            spans = _trace(random, f"{seed:016x}{number:016x}")
            spans += [span for span in spans if random.random() < 0.05]
            scope = {"scope": {"name": "otel_callbacks"}, "spans": spans}
            attributes = {"service.name": "shop"} | (
                {"app.tenant_id": "of the process"} if number % 7 == 0 else {}
            )
            document = {"resource": {"attributes": otlp_attributes(attributes)}, "scopeSpans": [scope]}
            out.write(json.dumps({"resourceSpans": [document]}) + "\n")


def _trace(random: Random, trace_id: str) -> list[dict[str, Any]]:
    start = DAY_1 + random.randrange(72) * HOUR
    labels = {"app.feature": random.choice(["search", "chat", ""])}
    if random.random() < 0.7:
        labels["app.tenant_id"] = random.choice(["acme", "globex", "ünïcode 'quoted'"])
    mixed = random.random() < 0.4  # with spans of other instrumentations
    spans: list[dict[str, Any]] = []
    for number in range(random.randrange(1, 14)):
        attributes = {**labels, **_attributes(random, ours=not (mixed and random.random() < 0.6))}
        begins = start + random.randrange(10**10)
        spans.append(
            {
                "traceId": trace_id,
                "spanId": f"{number + 1:016x}",
                "parentSpanId": f"{random.randrange(1, number + 1):016x}" if number else "",
                "name": str(attributes.get("gen_ai.operation.name", "step")),
                "kind": 1,
                "startTimeUnixNano": str(begins),
                "endTimeUnixNano": str(begins + random.randrange(1, 4 * 10**9))
                if random.random() < 0.98
                else "0",
                "attributes": otlp_attributes(attributes),
                "status": {"code": 2} if "error.type" in attributes else {},
            }
        )
    return spans


def _attributes(random: Random, *, ours: bool) -> dict[str, Any]:
    operation = random.choice(OPERATIONS)
    attributes: dict[str, Any] = {"gen_ai.operation.name": operation}
    if random.random() < 0.1:
        attributes["error.type"] = "TimeoutError"
    if operation == "execute_tool":
        attributes["gen_ai.tool.name"] = random.choice(["look_up", "count", "send mail"])
        if random.random() < 0.3:
            attributes["otel_callbacks.cost.recorded_usd"] = _usd(random)
            attributes["otel_callbacks.cost.recorded_what"] = random.choice([["maps"], ["maps", "mail"]])
    elif operation == "retrieval":
        attributes |= _retrieval(random)
    elif random.random() < 0.9:
        attributes |= _call(random, ours=ours)
        if ours and random.random() < 0.05:
            del attributes["gen_ai.operation.name"]  # a call recorded by hand on a span of the application
    return attributes


def _retrieval(random: Random) -> dict[str, Any]:
    attributes: dict[str, Any] = {"gen_ai.data_source.id": random.choice(["docs", "tickets"])}
    if random.random() < 0.9:
        attributes["rag.results_count"] = random.choice([0, 0, 3, 5])
        attributes["rag.top_score"] = random.random()
    return attributes


def _call(random: Random, *, ours: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {"gen_ai.provider.name": random.choice(["openai", "anthropic"])}
    named = random.choice(["gen_ai.request.model", "gen_ai.response.model", "rag.rerank_model"])
    attributes[named] = random.choice(["gpt-4o", "claude-x"])
    if random.random() < 0.9:
        strange = random.choice([12.0, 12.7, -5, 10**15 + 1])
        attributes["gen_ai.usage.input_tokens"] = (
            strange if random.random() < 0.05 else random.randrange(100_000)
        )
        attributes["gen_ai.usage.output_tokens"] = random.randrange(5_000)
        attributes["gen_ai.usage.cache_read.input_tokens"] = random.randrange(100)
        attributes["gen_ai.usage.reasoning.output_tokens"] = random.randrange(100)
    if random.random() < 0.3:
        attributes["rag.documents_in_prompt"] = random.randrange(3)
    if random.random() < 0.7:
        cost = _usd(random)
        attributes["gen_ai.usage.cost_usd"] = cost
        attributes["gen_ai.usage.cost"] = cost
    elif not ours and random.random() < 0.3:
        attributes["gen_ai.usage.cost"] = _usd(random)
    if ours:
        status = random.choice(["priced", "reported", "partial", "unpriced", "cached"])
        attributes["otel_callbacks.cost.status"] = status
        if status == "cached":
            attributes["otel_callbacks.cost.saved_usd"] = _usd(random)
        if status in ("partial", "unpriced") and random.random() < 0.9:
            attributes["otel_callbacks.cost.unpriced_reason"] = "no_usage"
        if random.random() < 0.05:
            attributes["otel_callbacks.duplicate"] = True
    return attributes


def _usd(random: Random) -> float | int:
    return random.choice(
        [random.randrange(10**6) / 10**9, random.random() / 10**4, random.random() / 10**8, 0, 0.0]
    )
