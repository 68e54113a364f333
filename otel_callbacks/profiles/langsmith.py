"""`langsmith`: what LangSmith reads of a span.

https://docs.langchain.com/langsmith/trace-with-opentelemetry (`langsmith.span.kind`, `langsmith.span.tags`,
`langsmith.metadata.*`, `gen_ai.prompt`, `gen_ai.completion`), and https://docs.langchain.com/langsmith/threads (every
run of a thread carries `session_id` in its metadata). `langsmith.trace.session_id` is left out: a session of
LangSmith's API is a project, and it refuses a run whose session is not one.
"""

from collections.abc import Sequence
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles import reading
from otel_callbacks.profiles.reading import Attributes, Kind, Message

_RUN_TYPES: dict[Kind, str] = {
    "chat": "llm",
    "text_completion": "llm",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "rerank": "chain",
    "execute_tool": "tool",
    "invoke_agent": "chain",
    "invoke_workflow": "chain",
    "step": "chain",
    "evaluation": "chain",
}


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span, the most important first."""
    kind = reading.kind_of(attributes)
    if kind is None:
        return {}
    found: dict[str, Any] = {"langsmith.span.kind": _RUN_TYPES[kind]}
    metadata: dict[str, Any] = {**reading.labels(attributes)}
    metadata |= {"session_id": reading.session(attributes), "user_id": attributes.get(semconv.USER_ID)}
    if kind in reading.MODEL_CALLS:
        metadata |= {
            "ls_provider": attributes.get(semconv.PROVIDER_NAME),
            "ls_model_name": attributes.get(semconv.RESPONSE_MODEL) or attributes.get(semconv.REQUEST_MODEL),
            "cost_usd": reading.usd(attributes),
        }
    found |= {f"langsmith.metadata.{name}": value for name, value in metadata.items() if value is not None}
    if labels := reading.labels(attributes):
        found["langsmith.span.tags"] = ",".join(f"{name}:{value}" for name, value in labels.items())
    if (given := _input(attributes, kind)) is not None:
        found[semconv.PROMPT] = reading.to_json(given)
    if (result := _output(attributes, kind)) is not None:
        found[semconv.COMPLETION] = reading.to_json(result)
    return found


def _input(attributes: Attributes, kind: Kind) -> dict[str, Any] | None:
    if kind in ("retrieval", "rerank", "execute_tool"):
        text = reading.input_text(attributes, kind)
        return None if text is None else {"input" if kind == "execute_tool" else "query": text}
    return _messages(reading.input_messages(attributes))


def _output(attributes: Attributes, kind: Kind) -> dict[str, Any] | None:
    if kind == "execute_tool":
        text = reading.output_text(attributes, kind)
        return None if text is None else {"output": text}
    if kind in ("retrieval", "rerank"):
        found = [
            {"type": "Document", "page_content": each.content or "", "metadata": _metadata(each)}
            for each in reading.documents(attributes)
        ]
        return {"documents": found} if found else None
    return _messages(reading.output_messages(attributes))


def _messages(messages: Sequence[Message]) -> dict[str, Any] | None:
    listed = [{"role": role, "content": text} for role, text in messages]
    return {"messages": listed} if listed else None


def _metadata(document: reading.Document) -> dict[str, Any]:
    known = {"id": document.id, "score": document.score}
    return {**document.metadata, **{name: value for name, value in known.items() if value is not None}}
