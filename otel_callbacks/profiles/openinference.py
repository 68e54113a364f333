"""`openinference`: the names of Arize's conventions, for Phoenix and Arize AX.

https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md. Phoenix derives these names from the
GenAI ones by itself where it can (phoenix/trace/gen_ai/conversion.py), and keeps what a span carries already. The
columns of its lists are `input.value` and `output.value` alone.
"""

from collections.abc import Sequence
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles import reading
from otel_callbacks.profiles.reading import Attributes, Document, Kind

_SPAN_KINDS: dict[Kind, str] = {
    "chat": "LLM",
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
_USAGE = {
    "llm.token_count.prompt": semconv.USAGE_INPUT_TOKENS,
    "llm.token_count.completion": semconv.USAGE_OUTPUT_TOKENS,
    "llm.token_count.prompt_details.cache_read": semconv.USAGE_CACHE_READ_INPUT_TOKENS,
    "llm.token_count.prompt_details.cache_write": semconv.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "llm.token_count.prompt_details.audio": semconv.USAGE_AUDIO_INPUT_TOKENS,
    "llm.token_count.completion_details.reasoning": semconv.USAGE_REASONING_OUTPUT_TOKENS,
    "llm.token_count.completion_details.audio": semconv.USAGE_AUDIO_OUTPUT_TOKENS,
}
_COST = {
    "llm.cost.total": semconv.USAGE_COST_USD,
    "llm.cost.prompt_details.input": semconv.COST_INPUT_USD,
    "llm.cost.prompt_details.cache_read": semconv.COST_CACHE_READ_USD,
    "llm.cost.prompt_details.cache_write": semconv.COST_CACHE_WRITE_USD,
    "llm.cost.completion": semconv.COST_OUTPUT_USD,
}


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span, the most important first."""
    kind = reading.kind_of(attributes)
    if kind is None:
        return {}
    found: dict[str, Any] = {"openinference.span.kind": _SPAN_KINDS[kind]}
    if kind in reading.MODEL_CALLS:
        found |= _model_call(attributes, kind)
    elif kind == "invoke_agent":  # its usage is that of its model calls, and Phoenix adds all spans up
        found |= dict.fromkeys(
            ("llm.token_count.prompt", "llm.token_count.completion", "llm.token_count.total"), 0
        )
    found |= _who(attributes) | _value("input", reading.input_text(attributes, kind))
    if kind in ("retrieval", "rerank"):
        found |= _documents(attributes, kind)
    else:
        found |= _value("output", reading.output_text(attributes, kind))
    return found


def _model_call(attributes: Attributes, kind: Kind) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    model = attributes.get(semconv.RESPONSE_MODEL) or attributes.get(semconv.REQUEST_MODEL)
    if model is not None:
        extra["embedding.model_name" if kind == "embeddings" else "llm.model_name"] = model
    found = {name: reading.tokens(attributes, source) for name, source in _USAGE.items()}
    extra |= {name: count for name, count in found.items() if count is not None}
    if found["llm.token_count.prompt"] is not None or found["llm.token_count.completion"] is not None:
        sums = (found["llm.token_count.prompt"] or 0) + (found["llm.token_count.completion"] or 0)
        extra["llm.token_count.total"] = sums
    costs = {name: reading.usd(attributes, source) for name, source in _COST.items()}
    return extra | {name: cost for name, cost in costs.items() if cost is not None}


def _value(side: str, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    mime_type = "application/json" if reading.is_json(text) else "text/plain"
    return {f"{side}.value": text, f"{side}.mime_type": mime_type}


def _documents(attributes: Attributes, kind: Kind) -> dict[str, Any]:
    """Returns the documents one by one, and as JSON for the list of spans."""
    found = reading.documents(attributes)
    extra: dict[str, Any] = {}
    if kind == "rerank":
        extra = {
            "reranker.model_name": attributes.get(semconv.RAG_RERANK_MODEL),
            "reranker.query": reading.input_text(attributes, kind),
            "reranker.top_k": reading.tokens(attributes, semconv.RETRIEVAL_TOP_K),
        }
    if found:
        listed = [{name: value for name, value in each._asdict().items() if value} for each in found]
        extra |= {"output.value": reading.to_json(listed), "output.mime_type": "application/json"}
    extra |= _one_by_one("retrieval.documents" if kind == "retrieval" else "reranker.output_documents", found)
    if kind == "rerank":
        before = sorted((each for each in found if each.rank_before), key=lambda each: each.rank_before or 0)
        extra |= _one_by_one("reranker.input_documents", [each._replace(score=None) for each in before])
    return {name: value for name, value in extra.items() if value is not None}


def _one_by_one(prefix: str, found: Sequence[Document]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for at, each in enumerate(found):
        extra[f"{prefix}.{at}.document.id"] = each.id
        extra[f"{prefix}.{at}.document.score"] = each.score
        extra[f"{prefix}.{at}.document.content"] = each.content
        extra[f"{prefix}.{at}.document.metadata"] = reading.to_json(each.metadata) if each.metadata else None
    return extra


def _who(attributes: Attributes) -> dict[str, Any]:
    """Returns session and labels; Phoenix reads `user.id` and `session.id` as we write them."""
    extra: dict[str, Any] = {}
    if (session := reading.session(attributes)) is not None:
        extra["session.id"] = session
    if labels := reading.labels(attributes):
        extra["metadata"] = reading.to_json(labels)
        extra["tag.tags"] = [f"{name}:{value}" for name, value in labels.items()]
    return extra
