"""What an operation inherits from the runs above it."""

from otel_callbacks.operations import AgentInvocation, Operation, Step, ToolExecution
from otel_callbacks.runs.run import Run


def inherit(operation: Operation, parent: Run | None) -> None:
    """Copies the conversation id, and for a tool the agent's name, from the nearest runs above that have one."""
    if isinstance(operation, Step):
        return
    agent: AgentInvocation | None = None
    run = parent
    while run is not None:
        above = run.operation
        operation.conversation_id = operation.conversation_id or above.conversation_id
        if agent is None and isinstance(above, AgentInvocation):
            agent = above
        run = run.parent
    if agent is not None and isinstance(operation, ToolExecution):
        operation.agent_name = operation.agent_name or agent.name
