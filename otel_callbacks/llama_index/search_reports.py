"""Tells of the reports of LlamaIndex's dispatcher whether their model calls help a search or write the answer."""

from typing import Any, Literal

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_selector import BaseSelector
from llama_index.core.chat_engine.types import BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.question_gen.types import BaseQuestionGenerator
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Workflow

from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations.payload import attribute, mapping

Role = Literal["engine", "condenses"] | bool
_ROLES: tuple[tuple[Any, tuple[str, ...], Role], ...] = (
    (BaseQueryEngine, ("query", "aquery"), "engine"),
    (BaseChatEngine, ("chat", "achat", "stream_chat", "astream_chat"), "engine"),
    (BaseQueryTransform, ("_run",), True),
    (BaseSelector, ("_select", "_aselect"), True),
    (BaseQuestionGenerator, ("generate", "agenerate"), True),
    (BaseNodePostprocessor, ("_postprocess_nodes", "_apostprocess_nodes"), True),
    (BaseSynthesizer, ("synthesize", "asynthesize"), False),
    (StreamingAgentChatResponse, ("write_response_to_history", "awrite_response_to_history"), False),
    (BaseTool, ("__call__", "call", "acall"), False),
    (Workflow, ("run",), False),
)
"""Whether model calls directly below these methods help a search. An engine that has a synthesizer leaves the answer
to it, so the engine's own model calls help the search; those of any other engine write the answer."""
_CONDENSING = ("complete", "acomplete")  # a chat engine without a synthesizer answers by chat methods


def role_of(kind: type, method: str) -> Role | None:
    """Returns whether model calls directly below a method help a search; None if the report above decides."""
    if method in _CONDENSING:
        return "condenses"
    roles = (role for base, methods, role in _ROLES if method in methods and issubclass(kind, base))
    return next(roles, None)


def helps_search(
    role: Role, instance: Any, above: ReportedRun | None, parent_id: str | None, *, is_in_search: bool
) -> bool:
    """Tells whether a report with a role helps a search; `is_in_search` says whether the report above does."""
    if role == "engine":
        return _has_synthesizer(instance)
    if role == "condenses":
        engine = above.instance if above is not None and above.id == parent_id else None
        return is_in_search or hasattr(engine.__class__, "_condense_question")
    return role


def _has_synthesizer(engine: Any) -> bool:
    """Tells whether an engine leaves the answer to a synthesizer, or to the query engine behind it."""
    fields = mapping(attribute(engine, "__dict__"))
    return (
        "_response_synthesizer" in fields
        or "_query_engine" in fields
        or hasattr(engine.__class__, "_get_response_synthesizer")
    )
