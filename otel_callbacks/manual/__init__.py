"""Manual operations: decorators and context managers for your own code, inside or outside a framework.

The room also has `record_usage`, `record_cost` and `record_feedback`. It may import `operations`, `runs`, `privacy`,
`rag`, `recording` and `options`, but neither a framework nor the SDK. Open `operation_span.py` first: every manual
operation starts and ends there.
"""

from otel_callbacks import operations
from otel_callbacks.manual.decorators import OperationDecorator
from otel_callbacks.manual.operation_span import OperationSpan

__all__ = [
    "OperationSpan",
    "agent",
    "embedding",
    "inference",
    "rerank",
    "retrieval",
    "step",
    "tool",
    "workflow",
]

workflow = OperationDecorator("workflow", operations.Workflow)
step = OperationDecorator("step", operations.Step)
agent = OperationDecorator("agent", operations.AgentInvocation)
tool = OperationDecorator("tool", operations.ToolExecution)
retrieval = OperationDecorator("retrieval", operations.Retrieval)
embedding = OperationDecorator("embedding", operations.Embedding)
rerank = OperationDecorator("rerank", operations.Rerank)
inference = OperationDecorator("inference", operations.Inference)
