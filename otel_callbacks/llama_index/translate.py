"""LlamaIndex's payloads to operations; what is not in the table here has no span of its own.

With `inference` and `messages`, the only place that digs in LlamaIndex's objects.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import BoundArguments
from typing import Any

from llama_index.core.agent.workflow import AgentWorkflow
from llama_index.core.agent.workflow.base_agent import BaseWorkflowAgent
from llama_index.core.agent.workflow.workflow_events import ToolCall, ToolCallResult
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine
from llama_index.core.constants import DEFAULT_CHUNK_SIZE  # noqa: F401
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.multi_modal_llms import MultiModalLLM
from llama_index.core.node_parser import NodeParser
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools import ToolOutput
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Workflow as LlamaWorkflow

from otel_callbacks.llama_index import inference, messages
from otel_callbacks.llama_index.inference import integer, text
from otel_callbacks.operations import (
    AgentInvocation,
    Document,
    Embedding,
    Failure,
    Operation,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
)

Describe = Callable[[Any, BoundArguments, bool], Operation | None]
