"""`mlflow`: what MLflow keeps of a span (`SpanAttributeKey` in mlflow/tracing/constant.py).

MLflow translates GenAI names when it stores a span (mlflow/tracing/otel/translation) and leaves alone what is there
already. It reads every value as JSON. The total of a trace is that of its topmost spans with usage.
"""

from collections.abc import Sequence
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles import reading
from otel_callbacks.profiles.reading import Attributes, Kind, Message

_TYPES: dict[Kind, str] = {
    "chat": "CHAT_MODEL",
    "text_completion": "LLM",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
    "rerank": "RERANKER",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "invoke_workflow": "CHAIN",
    "step": "CHAIN",
    "evaluation": "EVALUATOR",
}


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span, the most important first."""
    kind = reading.kind_of(attributes)
    if kind is None:
        return {}
    found = {"mlflow.spanType": _TYPES[kind]}
    if usage := _usage(attributes, kind):
        found["mlflow.chat.tokenUsage"] = reading.to_json(usage)
    if kind in reading.MODEL_CALLS and (cost := _cost(attributes)):
        found["mlflow.llm.cost"] = reading.to_json(cost)
    if (given := _input(attributes, kind)) is not None:
        found["mlflow.spanInputs"] = reading.to_json(given)
    if (result := _output(attributes, kind)) is not None:
        found["mlflow.spanOutputs"] = reading.to_json(result)
    if (session := reading.session(attributes)) is not None:
        found["session.id"] = session
    return found


def _usage(attributes: Attributes, kind: Kind) -> dict[str, int]:
    """Returns the usage where MLflow's own is wrong: it adds totals up, and makes none where there is no output."""
    if kind == "invoke_agent":
        return _subtree(attributes)
    given = reading.tokens(attributes, semconv.USAGE_INPUT_TOKENS) if kind == "embeddings" else None
    return {} if given is None else {"input_tokens": given, "total_tokens": given}


def _subtree(attributes: Attributes) -> dict[str, int]:
    """Returns the usage of everything below an agent: MLflow does not look below a span that has one."""
    names = {
        "input_tokens": semconv.ROLLUP_INPUT_TOKENS,
        "output_tokens": semconv.ROLLUP_OUTPUT_TOKENS,
        "total_tokens": semconv.ROLLUP_TOTAL_TOKENS,
        "cache_read_input_tokens": semconv.ROLLUP_CACHE_READ_TOKENS,
    }
    found = {name: reading.tokens(attributes, source) for name, source in names.items()}
    return {name: count for name, count in found.items() if count is not None}


def _cost(attributes: Attributes) -> dict[str, float]:
    total = reading.usd(attributes)
    if total is None:
        return {}
    output = reading.usd(attributes, semconv.COST_OUTPUT_USD) or 0.0
    return {"input_cost": total - output, "output_cost": output, "total_cost": total}


def _input(attributes: Attributes, kind: Kind) -> Any:
    if kind in ("retrieval", "rerank", "execute_tool"):
        return _parsed(reading.input_text(attributes, kind))
    messages = reading.input_messages(attributes)
    return {"messages": _listed(messages)} if messages else None


def _output(attributes: Attributes, kind: Kind) -> Any:
    if kind in ("retrieval", "rerank"):
        return _documents(attributes) or None
    if kind == "execute_tool":
        return _parsed(reading.output_text(attributes, kind))
    choices = [{"message": each} for each in _listed(reading.output_messages(attributes))]
    return {"choices": choices} if choices else None


def _listed(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Returns messages as OpenAI's chat API has them, which MLflow's lists and chat view read."""
    return [{"role": role, "content": text} for role, text in messages]


def _documents(attributes: Attributes) -> list[dict[str, Any]]:
    """Returns documents as MLflow shows them; it has no score, which goes into the metadata."""
    found = []
    for each in reading.documents(attributes):
        score = {} if each.score is None else {"score": each.score}
        found.append(
            {"page_content": each.content or "", "metadata": {**each.metadata, **score}, "id": each.id}
        )
    return found


def _parsed(text: str | None) -> Any:
    """Returns what a JSON text holds; any other text as it is."""
    found = reading.parsed(text)
    return text if found is None else found
