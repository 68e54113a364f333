"""Lists the LlamaIndex methods that get a span, and adds their results to the operations.

Methods that are not in the table have no span of their own.
"""

from collections.abc import Callable
from functools import lru_cache
from inspect import BoundArguments
from typing import Any

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


@lru_cache(maxsize=COMPONENT_METHODS_CACHED)
def start_function(kind: type, method: str) -> StartFunction | None:
    """Returns the function that makes the operation of a method call; None if the method gets no span."""
    if issubclass(kind, StructuredLLM):  # it calls another model, which gets the span
        return None
    return next(
        (start for base, methods, start in _TABLE if method in methods and issubclass(kind, base)), None
    )


def finish(operation: Operation, result: Any, *, with_content: bool) -> Failure | None:
    """Adds the result to any operation but a model call. Returns a failure if the result says that it is one."""
    match operation:
        case Retrieval():
            retrieval.finish_retrieval(operation, result)
        case Rerank():
            retrieval.finish_rerank(operation, result)
        case Embedding():
            retrieval.finish_embedding(operation, result)
        case ToolExecution():
            return tools.finish_tool(operation, result, with_content=with_content)
        case Workflow() | AgentInvocation() if with_content:
            operation.output_messages = workflows.answer_messages(result)
    return None
