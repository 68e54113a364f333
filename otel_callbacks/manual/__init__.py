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

_BY_FUNCTION = "by default that of the function."
workflow = OperationDecorator(
    *("workflow", operations.Workflow, "Records a whole piece of work, such as the answer to one request."),
    *(f"the name of the workflow; {_BY_FUNCTION}", '"answer"'),
)
step = OperationDecorator(
    *("step", operations.Step, "Records a step of the work that is worth a span."),
    *(f"the name of the step; {_BY_FUNCTION}", '"clean the text"'),
)
agent = OperationDecorator(
    *("agent", operations.AgentInvocation, "Records one run of an agent."),
    *(f"the name of the agent; {_BY_FUNCTION}", '"researcher"'),
)
tool = OperationDecorator(
    *("tool", operations.ToolExecution, "Records that a tool is executed."),
    *(f"the name of the tool; {_BY_FUNCTION}", '"search"'),
)
retrieval = OperationDecorator(
    *("retrieval", operations.Retrieval, "Records a search for documents."),
    *("the data source.", '"docs", top_k=5'),
)
embedding = OperationDecorator(
    *("embedding", operations.Embedding, "Records that texts are turned into vectors, which are not kept."),
    *("the model.", '"text-embedding-3-small", provider="openai"'),
)
rerank = OperationDecorator(
    *("rerank", operations.Rerank, "Records that documents are put in a better order."),
    *("the model.", '"bge-reranker-v2", top_n=4'),
)
inference = OperationDecorator(
    *("inference", operations.Inference, "Records one call of a model."),
    *("the model.", '"gpt-4o", provider="openai"'),
)
