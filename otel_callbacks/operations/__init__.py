"""What a framework did, in typed form: the one language that handlers speak and the recorder understands.

Also how untrusted payloads are read (`payload.py`), and what we know of model providers (`providers.py`). This room
is on the ground: it imports nothing else of the package. Open `operation.py` first.
"""

from otel_callbacks.operations.documents import (
    Document,
    ScoreKind,
    ranks_before,
    rescored,
)
from otel_callbacks.operations.failure import Failure
from otel_callbacks.operations.messages import (
    Data,
    Media,
    Message,
    Part,
    PromptPart,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
    first_and_newest,
    with_few_parts,
)
from otel_callbacks.operations.operation import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
)
from otel_callbacks.operations.usage import Usage

__all__ = [
    "AgentInvocation",
    "Data",
    "Document",
    "Embedding",
    "Failure",
    "Inference",
    "Media",
    "Message",
    "Operation",
    "Part",
    "PromptPart",
    "Reasoning",
    "Rerank",
    "Retrieval",
    "ScoreKind",
    "Step",
    "Text",
    "ToolCall",
    "ToolCallResponse",
    "ToolExecution",
    "Usage",
    "Workflow",
    "first_and_newest",
    "ranks_before",
    "rescored",
    "with_few_parts",
]
