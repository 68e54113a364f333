"""What a model call's prompt is made of: which retrieved documents, and how much of it came from tools.

This is known only while a trace goes on. Its outermost run holds the documents of the trace, an agent's run holds the
weights of the messages it has sent, and the run of a model call holds its prompt. No text outlives these runs.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from otel_callbacks import operations, semconv
from otel_callbacks.operations import (
    AgentInvocation,
    Inference,
    Media,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
    without_retriever_scores,
)
from otel_callbacks.operations.payload import attribute, join_lines
from otel_callbacks.rag.prompt_cache import SentPrompt, is_in_conversation
from otel_callbacks.rag.prompt_weights import PromptWeights, weight
from otel_callbacks.rag.tool_tokens import ToolTokens
from otel_callbacks.rag.trace_documents import Attributes, DocumentCounts, InPromptDocuments, TraceDocuments
from otel_callbacks.rag.weighed_prompt import MessageForm, WeighedPrompt
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded


class AgentPrompts:
    """What an agent has sent to its model so far: the weights of its messages, and the tokens spent on its tools."""

    __slots__ = ("tools", "weights")

    def __init__(self) -> None:
        self.weights = PromptWeights()
        self.tools = ToolTokens()


class Prompt:
    """What a model call's prompt is made of. A handler fills in `weighed` and `answer` and calls `find_documents`.

    Attributes:
        weights: the weights of the agent's messages; None outside an agent, where `weighed` is not needed.
        trace_documents: the documents of the trace; None before a retrieval, when `answer` is not needed.
        weighed: what was sent, weighed; None if that is not known.
        in_prompt_documents: which documents of the trace are in the prompt; None until they have been looked for.
        answer: the text of the model's answer.
        first_time: the documents that no call of the trace had in its prompt, or cited, before; known at the end.
        sent: messages, tools and how the messages are read, for a comparison with earlier prompts.
    """

    weighed: WeighedPrompt | None = None
    in_prompt_documents: InPromptDocuments | None = None
    answer = ""
    first_time: DocumentCounts = {}
    sent: tuple[Sequence[Any], Any, MessageForm] | None = None

    def __init__(self, weights: PromptWeights | None, trace_documents: TraceDocuments | None) -> None:
        self.weights = weights
        self.trace_documents = trace_documents

    def find_documents(self, text: str) -> None:
        """Looks for the documents of the trace in the text of the prompt."""
        if self.trace_documents is not None and text:
            self.in_prompt_documents = self.trace_documents.find_in(text)


def start_prompt(run: Run) -> Prompt | None:
    """Attaches a prompt to the run of a model call that starts; None without an agent, documents and conversation.

    A call inside a retrieval, a reranker or a query transformer has no documents: it does not write the answer.
    """
    agent = _agent_above(run)
    trace_documents = None if run.in_search else run.outermost().trace_documents
    weights = None
    if agent is not None:
        if agent.agent_prompts is None:
            agent.agent_prompts = AgentPrompts()
        weights = agent.agent_prompts.weights
    elif trace_documents is None and not is_in_conversation(run):
        return None
    prompt = run.prompt = Prompt(weights, trace_documents)
    return prompt


def read_messages(
    prompt: Prompt, input_messages: Sequence[Message] | None, output_messages: Sequence[Message] | None
) -> None:
    """Fills in a prompt from the messages of a model call."""
    if input_messages:
        prompt.sent = input_messages, None, _FORM
    if prompt.weights is not None and input_messages:
        prompt.weighed = prompt.weights.weigh(input_messages, None, _FORM)
    if prompt.trace_documents is not None:
        prompt.find_documents(_text(input_messages))
        prompt.answer = _text(output_messages)


def _key(message: Message) -> int:
    return hash((message.role, *map(_part_key, message.parts)))


def _part_key(part: Part) -> Hashable:
    match part:
        case Text(content) | Reasoning(content):
            return content
        case ToolCall(name, call_id, arguments):
            return call_id or (name, weight(arguments))
        case ToolCallResponse(response, call_id):
            return call_id, response if type(response) is str else weight(response)
        case Media():
            return part
    return type(part), weight(attribute(part, "fields"))


_FORM = MessageForm("parts", _key, lambda message: message)


def _text(messages: Sequence[Message] | None) -> str:
    parts = [part for message in messages or () for part in message.parts]
    return join_lines(
        [part.content if isinstance(part, Text) else str(getattr(part, "response", "")) for part in parts]
    )


def add_to_trace_documents(
    run: Run, operation: operations.Retrieval | operations.Rerank, *, failed: bool
) -> DocumentCounts:
    """Adds the documents that a run found or kept to those of its trace, or of the retrieval around it.

    Returns how many the trace has now more, by data source.
    """
    inside = run.trace_documents
    holder = _holder_of_documents(run)
    found = holder.trace_documents if holder is not None else None
    if isinstance(operation, operations.Rerank) and operation.may_pass_on_scores and operation.documents:
        known: TraceDocuments = found or TraceDocuments()
        operation.documents = without_retriever_scores(
            operation.documents, operation.candidates or (), known.is_reranked
        )
    is_late = holder is None and run.parent is not None
    if is_late or (operation.documents is None and (failed or inside is None)):
        return {}
    found = found or TraceDocuments()
    if holder is not None:
        holder.trace_documents = found
    counts: DocumentCounts = {}
    if operation.documents is None:
        counts = found.add_inside(inside)
    elif isinstance(operation, operations.Retrieval):
        counts = found.add_retrieved(operation.documents, operation.unread_documents, inside, operation.name)
    else:
        found.add_reranked(operation.documents, operation.unread_documents, operation.candidates)
    return {} if holder is not None and isinstance(holder.operation, operations.Retrieval) else counts


def _holder_of_documents(run: Run) -> Run | None:
    """Returns the run that holds the documents of another: the nearest retrieval around it, else the outermost run.

    None for the outermost run itself, and for one that is late, because the search around it is over.
    """
    above = run.parent
    if above is None:
        return None
    while above.parent is not None and not isinstance(above.operation, operations.Retrieval):
        if above.in_search and not above.open:
            return None
        above = above.parent
    return above if above.open else None


def add_tool_tokens_to_agent(run: Run) -> Mapping[tuple[str, str], int]:
    """Adds a model call that has ended to the tool tokens of its agent; returns its tokens by tool and kind of part."""
    operation, prompt = run.operation, run.prompt
    if prompt is None or prompt.weighed is None or not isinstance(operation, Inference) or operation.cached:
        return {}
    usage, agent = operation.usage, _agent_above(run)
    if usage is None or usage.input_tokens is None or agent is None or agent.agent_prompts is None:
        return {}
    tools: ToolTokens = agent.agent_prompts.tools
    return tools.add_model_call(prompt.weighed, usage.input_tokens, usage.cache_read_input_tokens or 0)


def add_tool_tokens_to_caller(run: Run) -> None:
    """Adds what an agent that has ended spent on its tools to the agent that called it."""
    caller = _agent_above(run)
    if caller is not None:
        caller.agent_prompts = caller.agent_prompts or AgentPrompts()
        caller.agent_prompts.tools.add_agent(run.agent_prompts.tools)


def end_attributes(run: Run) -> Attributes:
    """Returns the attributes of documents, tools and the provider's cache for a run that ends; to be called once."""
    attributes: Attributes = {}
    prompt: Prompt | None = run.prompt
    if prompt is not None:
        usage = getattr(run.operation, "usage", None)
        tells_of_cache = usage is not None and (usage.cache_reported or usage.cache_read_input_tokens)
        if prompt.sent is not None and tells_of_cache:
            attributes.update(_cache_attributes(run, prompt, *prompt.sent) or {})
        if prompt.trace_documents is not None and prompt.in_prompt_documents is not None:
            said, prompt.first_time = prompt.trace_documents.add_model_call(
                prompt.in_prompt_documents, prompt.answer
            )
            attributes.update(said)
    if run.parent is None and run.trace_documents is not None and not run.operation.in_search:
        attributes.update(run.trace_documents.root_attributes())
    if run.agent_prompts is not None:
        tools: ToolTokens = run.agent_prompts.tools
        if tools.uses:
            attributes[semconv.ROLLUP_TOOL_TOKENS] = tools.tokens
            attributes[semconv.ROLLUP_TOOL_TOKEN_SHARE] = tools.share
            attributes[semconv.ROLLUP_TOOLS] = tools.to_json()
    return attributes


@guarded  # messages that fail must not cost the call its other attributes
def _cache_attributes(
    run: Run, prompt: Prompt, chat: Sequence[Any], tools: Any, form: MessageForm
) -> Attributes:
    """Returns what could have come from the provider's cache, for a call whose usage says what did."""
    sent = SentPrompt(chat, tools, form, prompt.weights or PromptWeights(), prompt.weighed)
    found: Attributes = run.recorder.prompt_caches.attributes(run, sent, _agent_above(run))
    return found


def _agent_above(run: Run) -> Run | None:
    above = run.parent
    while above is not None and not isinstance(above.operation, AgentInvocation):
        above = above.parent
    return above
