"""`langfuse`: what Langfuse reads of a span.

https://langfuse.com/integrations/native/opentelemetry, and its source: `ObservationTypeMapper`,
`OtelIngestionProcessor` and `attributes.ts` in packages/shared/src/server/otel. Without a type, a span with a model is
a generation. Langfuse adds up the usage of all observations.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles import reading
from otel_callbacks.profiles.reading import Attributes, Kind

_TYPES: dict[Kind, str] = {
    "chat": "generation",
    "text_completion": "generation",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "rerank": "chain",  # Langfuse has no reranker, and would count a retriever as a retrieval
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "invoke_workflow": "chain",
    "step": "span",
    "evaluation": "evaluator",
}
_CACHE = {
    "input_cached_tokens": semconv.USAGE_CACHE_READ_INPUT_TOKENS,
    "input_cache_creation": semconv.USAGE_CACHE_WRITE_INPUT_TOKENS,
}
_COSTS = {
    "input": semconv.COST_INPUT_USD,
    "output": semconv.COST_OUTPUT_USD,
    "input_cached_tokens": semconv.COST_CACHE_READ_USD,
    "input_cache_creation": semconv.COST_CACHE_WRITE_USD,
    "fees": semconv.COST_FEES_USD,
    "total": semconv.USAGE_COST_USD,
}


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span, the most important first."""
    kind = reading.kind_of(attributes)
    if kind is None:
        return {}
    found: dict[str, Any] = {"langfuse.observation.type": _TYPES[kind]}
    if kind in (*reading.MODEL_CALLS, "rerank", "invoke_agent"):
        is_agent = kind == "invoke_agent"  # its usage is that of its model calls
        found["langfuse.observation.usage_details"] = reading.to_json({} if is_agent else _usage(attributes))
        found["langfuse.observation.cost_details"] = reading.to_json({} if is_agent else _cost(attributes))
    if (wait := attributes.get(semconv.RESPONSE_TIME_TO_FIRST_CHUNK)) is not None:
        found["langfuse.observation.completion_start_time"] = _time(started, wait)
    if (given := _input(attributes, kind)) is not None:
        found["langfuse.observation.input"] = given
    if (result := _output(attributes, kind)) is not None:
        found["langfuse.observation.output"] = result
    return found | _prompt(attributes) | _who(attributes)


def _usage(attributes: Attributes) -> dict[str, int]:
    """Returns the tokens in parts that add up to all of them, as Langfuse prices and adds up each part."""
    cache = {name: reading.tokens(attributes, source) or 0 for name, source in _CACHE.items()}
    reasoning = reading.tokens(attributes, semconv.USAGE_REASONING_OUTPUT_TOKENS) or 0
    given = reading.tokens(attributes, semconv.USAGE_INPUT_TOKENS)
    made = reading.tokens(attributes, semconv.USAGE_OUTPUT_TOKENS)
    found = {} if given is None else {"input": max(given - sum(cache.values()), 0), **cache}
    if made is not None:
        found |= {"output": max(made - reasoning, 0), "output_reasoning_tokens": reasoning}
    return {name: count for name, count in found.items() if count or name in ("input", "output")}


def _cost(attributes: Attributes) -> dict[str, float]:
    found = {name: reading.usd(attributes, source) for name, source in _COSTS.items()}
    return {name: cost for name, cost in found.items() if cost is not None}


def _time(started: int, wait: float) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=started / 1000 + wait * 1e6)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _input(attributes: Attributes, kind: Kind) -> str | None:
    messages = reading.input_messages(attributes)
    if kind in ("chat", "text_completion") and messages:
        return reading.to_json([{"role": role, "content": text} for role, text in messages])
    return reading.input_text(attributes, kind)


def _output(attributes: Attributes, kind: Kind) -> str | None:
    if kind not in ("retrieval", "rerank"):
        return reading.output_text(attributes, kind)
    found = [
        {name: value for name, value in each._asdict().items() if value not in (None, {})}
        for each in reading.documents(attributes)
    ]
    return reading.to_json(found) if found else None


def _prompt(attributes: Attributes) -> dict[str, Any]:
    """Returns the name of the prompt template; Langfuse links only prompts of its own, whose version is a number."""
    version = attributes.get(semconv.PROMPT_VERSION)
    if not (isinstance(version, str) and version.isdecimal()):
        return {}
    return {
        "langfuse.observation.prompt.name": attributes.get(semconv.PROMPT_NAME, ""),
        "langfuse.observation.prompt.version": int(version),
    }


def _who(attributes: Attributes) -> dict[str, Any]:
    """Returns session and labels; Langfuse reads `user.id` as we write it."""
    extra: dict[str, Any] = {}
    if (session := reading.session(attributes)) is not None:
        extra["langfuse.session.id"] = session
    if labels := reading.labels(attributes):
        extra["langfuse.trace.tags"] = [f"{name}:{value}" for name, value in labels.items()]
        extra |= {f"langfuse.trace.metadata.{name}": value for name, value in labels.items()}
    return extra
