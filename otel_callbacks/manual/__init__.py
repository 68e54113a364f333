"""Operations by hand, for pipelines without a framework and for the user's own code in and around one."""

from otel_callbacks import operations
from otel_callbacks.manual.kinds import Kind
from otel_callbacks.manual.span import OperationSpan

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

workflow = Kind("workflow", operations.Workflow)
step = Kind("step", operations.Step)
agent = Kind("agent", operations.AgentInvocation)
tool = Kind("tool", operations.ToolExecution)
retrieval = Kind("retrieval", operations.Retrieval)
embedding = Kind("embedding", operations.Embedding)
rerank = Kind("rerank", operations.Rerank)
inference = Kind("inference", operations.Inference)
