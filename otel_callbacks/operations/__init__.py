"""What a framework did, in typed form: handlers create operations, and the recorder turns them into spans.

The room also reads untrusted payloads (`payload.py`) and knows the model providers (`providers/`). May import `limits`
and `runtime`. Open `operation.py` first.
"""

from otel_callbacks.operations.documents import (
    Document,
    ScoreKind,
    candidate_ranks,
    document_keys,
    top_score,
    without_retriever_scores,
)
from otel_callbacks.operations.failure import Failure
from otel_callbacks.operations.messages import (
    Data,
    Media,
    Message,
    OtherPart,
    Part,
    PromptPart,
    PromptTemplate,
    Reasoning,
    ServerToolCall,
    ServerToolCallResponse,
    Text,
    ToolCall,
    ToolCallResponse,
    first_and_newest,
    limit_parts,
)
from otel_callbacks.operations.operation import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    ReceivedMessage,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
)
from otel_callbacks.operations.usage import TOKEN_COUNTS, Billing, Usage

__all__ = [
    "TOKEN_COUNTS",
    "AgentInvocation",
    "Billing",
    "Data",
    "Document",
    "Embedding",
    "Failure",
    "Inference",
    "Media",
    "Message",
    "Operation",
    "OtherPart",
    "Part",
    "PromptPart",
    "PromptTemplate",
    "Reasoning",
    "ReceivedMessage",
    "Rerank",
    "Retrieval",
    "ScoreKind",
    "ServerToolCall",
    "ServerToolCallResponse",
    "Step",
    "Text",
    "ToolCall",
    "ToolCallResponse",
    "ToolExecution",
    "Usage",
    "Workflow",
    "candidate_ranks",
    "document_keys",
    "first_and_newest",
    "limit_parts",
    "top_score",
    "without_retriever_scores",
]
