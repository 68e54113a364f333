"""Lists the LlamaIndex methods that get a span, and adds their results to the operations.

Methods that are not in the table have no span of their own.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from inspect import BoundArguments
from types import NoneType
from typing import Any, NamedTuple

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.multi_modal_llms import MultiModalLLM
from llama_index.core.node_parser import NodeParser
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Workflow as LlamaWorkflow

from otel_callbacks.limits import COMPONENT_METHODS_CACHED
from otel_callbacks.llama_index import inference, retrieval, tools, workflows
from otel_callbacks.llama_index.search_reports import Role, role_of
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Failure,
    Operation,
    Rerank,
    Retrieval,
    ToolExecution,
    Workflow,
)
from otel_callbacks.runs.run import Run

StartFunction = Callable[[Any, BoundArguments, bool], Operation | None]
"""Makes an operation from a component, the arguments of the call, and whether content is recorded."""

_LLM = (BaseLLM, MultiModalLLM)
_TABLE: tuple[tuple[Any, tuple[str, ...], StartFunction], ...] = (
    (BaseQueryEngine, ("query", "aquery"), workflows.start_query),
    (BaseChatEngine, ("chat", "achat", "stream_chat", "astream_chat"), workflows.start_chat),
    (IngestionPipeline, ("run", "arun"), workflows.start_ingestion),
    (LlamaWorkflow, ("run",), workflows.start_workflow),
    (BaseRetriever, ("retrieve", "aretrieve"), retrieval.start_retrieval),
    (
        (BaseEmbedding, BaseSparseEmbedding),
        (
            *("get_query_embedding", "get_text_embedding", "get_text_embedding_batch"),
            *("aget_query_embedding", "aget_text_embedding", "aget_text_embedding_batch"),
        ),
        retrieval.start_embedding,
    ),
    (BaseNodePostprocessor, ("_postprocess_nodes", "_apostprocess_nodes"), retrieval.start_rerank),
    (BaseSynthesizer, ("synthesize", "asynthesize"), workflows.start_synthesis),
    (NodeParser, ("__call__", "acall", "_parse_nodes", "_aparse_nodes"), workflows.start_node_parsing),
    (BaseTool, ("__call__", "call", "acall"), tools.start_tool),
    (_LLM, ("chat", "achat"), inference.start_chat),
    (_LLM, ("stream_chat", "astream_chat"), inference.start_streamed_chat),
    (_LLM, ("complete", "acomplete"), inference.start_completion),
    (_LLM, ("stream_complete", "astream_complete"), inference.start_streamed_completion),
)


QUALIFIED_NAME = slice(-37)
"""The part of a report's id that names the method: the id is "Class.method-" and a UUID."""


def method_name(id_: str) -> str:
    """Returns the method that a report is about, from its id."""
    return id_[QUALIFIED_NAME].rpartition(".")[2]


class Method(NamedTuple):
    """What is known of a method of a class.

    Attributes:
        name: its name.
        start: makes the operation of a call; None if the method gets no span.
        role: whether model calls directly below help a search, see `search_reports.py`; None if it does not say.
    """

    name: str
    start: StartFunction | None
    role: Role | None


@lru_cache(maxsize=COMPONENT_METHODS_CACHED)
def method_of(kind: type, qualified_name: str) -> Method:
    """Returns what is known of a method, such as `MockLLM.chat`, of a component of a class.

    The steps of workflows are functions without a component.
    """
    name = qualified_name.rpartition(".")[2]
    if kind is NoneType:
        return Method(name, partial(workflows.start_step, name), role_of(kind, name))
    # a structured model calls another model, which gets the span
    table = _TABLE if not issubclass(kind, StructuredLLM) else ()
    start = next(
        (start for base, methods, start in table if name in methods and issubclass(kind, base)), None
    )
    return Method(name, start, role_of(kind, name))


_FINISH: Mapping[type, Callable[[Any, Any], None]] = {
    Retrieval: retrieval.finish_retrieval,
    Rerank: retrieval.finish_rerank,
    Embedding: retrieval.finish_embedding,
}


def finish(run: Run, result: Any) -> Failure | None:
    """Adds the result to the operation of a run that is no model call. Returns a failure if the result is one."""
    operation = run.operation
    kind = type(operation)
    if (add_result := _FINISH.get(kind)) is not None:
        add_result(operation, result)
    elif kind is ToolExecution:
        return tools.finish_tool(operation, result, with_content=run.recorder.wants_content(run))
    elif kind in (Workflow, AgentInvocation) and run.recorder.wants_content(run):
        operation.output_messages = workflows.answer_messages(result)
    return None
