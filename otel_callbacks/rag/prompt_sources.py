"""Where what is in a prompt came from: which of the retrieved documents, and how much of it from tools.

Known only while a trace goes on. Its outermost run holds the documents that were found, an agent's run the weights of
the messages it has sent, and the run of a model call what its prompt is made of. No text outlives these runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_callbacks import operations, semconv
from otel_callbacks.operations import Document, Message, PromptPart, Text
from otel_callbacks.operations.payload import join_lines
from otel_callbacks.rag.citations import cited
from otel_callbacks.rag.in_prompt import in_prompt, token_share
from otel_callbacks.rag.prompt_weights import PromptWeights
from otel_callbacks.rag.tool_tokens import ToolTokens
from otel_callbacks.runs.current_span import Run

Attributes = dict[str, str | int | float | Sequence[str]]

_MAX_DOCUMENTS = 100
_MAX_CHARACTERS = 1_000_000
_LONG_ENOUGH = 40  # characters that do not stand in a prompt by chance


@dataclass(slots=True)
class TraceDocuments:
    """The documents of a trace: how many were retrieved and kept, and which reached a prompt or an answer."""

    retrieved: int = 0
    kept: int | None = None
    prompted: dict[str, None] = field(default_factory=dict)
    cited: dict[str, None] = field(default_factory=dict)
    _documents: list[Document] = field(default_factory=list)
    _reranked: list[Document] | None = None
    _characters: int = 0

    def add(self, documents: Sequence[Document]) -> None:
        """Takes what a retrieval has found, as long as there is room."""
        self.retrieved += len(documents)
        self._documents += self._that_fit(documents, self._documents)

    def rerank(self, documents: Sequence[Document]) -> None:
        """Takes what a reranker has kept; the others may be in a prompt only as they are."""
        self.kept = (self.kept or 0) + len(documents)
        self._reranked = self._reranked or []
        self._reranked += self._that_fit(documents, self._reranked)

    def _that_fit(self, documents: Sequence[Document], known: Sequence[Document]) -> list[Document]:
        fitting: list[Document] = []
        for document in documents[: _MAX_DOCUMENTS - len(known)]:
            self._characters += len(document.content or "")
            if self._characters > _MAX_CHARACTERS:
                break
            fitting.append(document)
        return fitting

    def standing_in(self, prompt: str) -> "PromptDocuments":
        """Which of the documents are in a prompt."""
        sought = self._documents if self._reranked is None else self._reranked
        shares = in_prompt(sought, prompt)
        there = [each for each, share in zip(sought, shares, strict=True) if share]
        share = token_share(sought, shares, prompt)
        if self._reranked is not None:
            there += self._others_in(prompt)
        return PromptDocuments(there, share)

    def told(self, in_prompt_documents: "PromptDocuments", answer: str) -> Attributes:
        """What a model call says of the documents in its prompt and its answer."""
        names = self._names(in_prompt_documents.documents)
        are_cited = cited(in_prompt_documents.documents, answer)
        of_answer = [name for name, is_cited in zip(names, are_cited, strict=True) if is_cited]
        names, of_answer = list(dict.fromkeys(names)), list(dict.fromkeys(of_answer))
        self.prompted.update(dict.fromkeys(names))
        self.cited.update(dict.fromkeys(of_answer))
        attributes: Attributes = {semconv.RAG_DOCUMENTS_IN_PROMPT: len(names)}
        if names:
            attributes[semconv.RAG_PROMPT_DOCUMENTS] = names
            attributes[semconv.RAG_CONTEXT_TOKEN_SHARE] = in_prompt_documents.token_share
        if of_answer:
            attributes[semconv.RAG_DOCUMENTS_CITED] = len(of_answer)
            attributes[semconv.RAG_CITED_DOCUMENTS] = of_answer
        return attributes

    def _others_in(self, prompt: str) -> list[Document]:
        """The documents that the reranker did not keep, and that are in the prompt nevertheless, as they are."""
        kept = {(each.id, each.content) for each in self._reranked or ()}
        others = ((each, (each.content or "").strip()) for each in self._documents)
        return [
            each
            for each, text in others
            if len(text) >= _LONG_ENOUGH and (each.id, each.content) not in kept and text in prompt
        ]

    def _names(self, documents: Sequence[Document]) -> list[str]:
        """The documents' ids, or their ranks among those that were found."""
        if all(each.id is not None for each in documents):
            return [each.id or "" for each in documents]
        ranks = {each.content: rank for rank, each in reversed([*enumerate(self._documents, 1)])}
        return [f"#{ranks.get(each.content, '?')}" if each.id is None else each.id for each in documents]

    def totals(self) -> Attributes:
        """What the outermost run says: found, kept, prompted and cited in one row."""
        attributes: Attributes = {semconv.RAG_RESULTS_COUNT: self.retrieved}
        if self.kept is not None:
            attributes[semconv.RAG_RERANKED_COUNT] = self.kept
        attributes[semconv.RAG_DOCUMENTS_IN_PROMPT] = len(self.prompted)
        attributes[semconv.RAG_DOCUMENTS_CITED] = len(self.cited)
        if self.prompted:
            attributes[semconv.RAG_PROMPT_DOCUMENTS] = list(self.prompted)
        if self.cited:
            attributes[semconv.RAG_CITED_DOCUMENTS] = list(self.cited)
        return attributes


class PromptDocuments(NamedTuple):
    """The documents that are in a prompt, and what part of its tokens they make, from 0 to 1."""

    documents: Sequence[Document]
    token_share: float


@dataclass(slots=True)
class AgentPrompts:
    """What an agent has sent to its model so far."""

    weights: PromptWeights = field(default_factory=PromptWeights)
    tools: ToolTokens = field(default_factory=ToolTokens)


@dataclass(slots=True)
class Prompt:
    """What a model call's prompt is made of. A handler fills in what is asked for.

    Attributes:
        weights: of an agent's messages; asks for `parts`.
        found: the documents of the trace; asks for `read`, and for `answer` when it has come.
        standing: which of them are in the prompt.
    """

    weights: PromptWeights | None
    found: TraceDocuments | None
    parts: Sequence[PromptPart] = ()
    in_prompt_documents: PromptDocuments | None = None
    answer: str = ""

    def read(self, text: str) -> None:
        """Looks for the documents of the trace in the text of the prompt."""
        if self.found is not None and text:
            self.in_prompt_documents = self.found.standing_in(text)


def prompt_of(run: Run) -> Prompt | None:
    """Makes the prompt of a model call that starts; None if nothing is to be told of it."""
    agent = _agent_above(run)
    found = outermost(run).found
    if agent is None and found is None:
        return None
    if agent is not None and agent.prompts is None:
        agent.prompts = AgentPrompts()
    prompt = run.prompt = Prompt(agent.prompts.weights if agent is not None else None, found)
    return prompt


def read_messages(
    prompt: Prompt, asked: Sequence[Message] | None, answered: Sequence[Message] | None
) -> None:
    """Fills in what is asked for of a prompt whose messages are in the conventions' shape."""
    if prompt.weights is not None:
        prompt.parts = prompt.weights.parts(asked or (), None, _key, lambda message: message)
    if prompt.found is not None:
        prompt.read(_text(asked))
        prompt.answer = _text(answered)


def _key(message: Message) -> int:
    return hash((message.role, str(message.parts)))


def _text(messages: Sequence[Message] | None) -> str:
    parts = [part for message in messages or () for part in message.parts]
    said = [part.content if isinstance(part, Text) else str(getattr(part, "response", "")) for part in parts]
    return join_lines(said)


def note_documents(run: Run) -> None:
    """Has the outermost run hold the documents that a run has found or kept."""
    operation = run.operation
    if not isinstance(operation, operations.Retrieval | operations.Rerank) or operation.documents is None:
        return
    root = outermost(run)
    if root is run:
        return
    root.found = root.found or TraceDocuments()
    if isinstance(operation, operations.Retrieval):
        root.found.add(operation.documents)
    else:
        root.found.rerank(operation.documents)


def told(run: Run) -> Attributes:
    """What a run says of documents and tools when it ends."""
    attributes: Attributes = {}
    prompt: Prompt | None = run.prompt
    if prompt is not None and prompt.found is not None and prompt.in_prompt_documents is not None:
        attributes.update(prompt.found.told(prompt.in_prompt_documents, prompt.answer))
    if run.found is not None:
        attributes.update(run.found.totals())
    if run.prompts is not None:
        tools: ToolTokens = run.prompts.tools
        if tools.uses:
            attributes[semconv.ROLLUP_TOOL_TOKENS] = tools.tokens
            attributes[semconv.ROLLUP_TOOL_TOKEN_SHARE] = tools.share
            attributes[semconv.ROLLUP_TOOLS] = tools.to_json()
    return attributes


def hand_on(run: Run) -> None:
    """Adds what an agent spent on its tools to the agent that called it."""
    if run.prompts is None:
        return
    above = _agent_above(run)
    if above is not None:
        above.prompts = above.prompts or AgentPrompts()
        above.prompts.tools.merge(run.prompts.tools)


def tool_tokens(run: Run) -> Mapping[tuple[str, str], int]:
    """Adds a model call that has ended to its agent; its tokens by tool and part."""
    operation, prompt, agent = run.operation, run.prompt, _agent_above(run)
    if prompt is None or not prompt.parts or agent is None or agent.prompts is None:
        return {}
    usage = operation.usage if isinstance(operation, operations.Inference) else None
    if usage is None or usage.input_tokens is None or operation.cached:
        return {}
    tools: ToolTokens = agent.prompts.tools
    return tools.prompt(prompt.parts, usage.input_tokens, usage.cache_read_input_tokens or 0)


def outermost(run: Run) -> Run:
    """The root of the runs above."""
    while run.parent is not None:
        run = run.parent
    return run


def _agent_above(run: Run) -> Run | None:
    above = run.parent
    while above is not None and not isinstance(above.operation, operations.AgentInvocation):
        above = above.parent
    return above
