"""Tells of the reports of LlamaIndex's dispatcher whether their model calls help a search or write the answer."""

from functools import lru_cache
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

from otel_callbacks.limits import COMPONENT_METHODS_CACHED
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations.payload import attribute, mapping

_Role = Literal["engine"] | bool
_ROLES: tuple[tuple[Any, tuple[str, ...], _Role], ...] = (
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


class SearchReports:
    """The ids of the open reports whose model calls help a search."""

    def __init__(self) -> None:
        self._ids: set[str | None] = set()

    def enter(
        self, id_: str, method: str, instance: Any, above: ReportedRun | None, parent_id: str | None
    ) -> bool:
        """Tells whether a report helps a search: by its method, else by the report above. Keeps its id if so."""
        role = _role(instance.__class__, method)
        if role == "engine":
            role = _has_synthesizer(instance)
        elif role is None:
            role = parent_id in self._ids or (
                method in _CONDENSING
                and above is not None
                and above.id == parent_id
                and hasattr(above.instance.__class__, "_condense_question")
            )
        if role:
            self._ids.add(id_)
        return role

    def leave(self, id_: str) -> None:
        """Forgets a report that has ended."""
        self._ids.discard(id_)

    def clear(self) -> None:
        """Forgets all reports."""
        self._ids.clear()


@lru_cache(maxsize=COMPONENT_METHODS_CACHED)
def _role(kind: type, method: str) -> _Role | None:
    roles = (role for base, methods, role in _ROLES if method in methods and issubclass(kind, base))
    return next(roles, None)


def _has_synthesizer(engine: Any) -> bool:
    """Tells whether an engine leaves the answer to a synthesizer, or to the query engine behind it."""
    fields = mapping(attribute(engine, "__dict__"))
    return (
        "_response_synthesizer" in fields
        or "_query_engine" in fields
        or hasattr(engine.__class__, "_get_response_synthesizer")
    )
