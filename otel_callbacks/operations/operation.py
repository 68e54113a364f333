"""The operations: one class for each kind of work that a framework reports.

A handler creates an operation when the work starts and completes the same object when the work ends.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from otel_callbacks.operations.documents import Document, ScoreKind
from otel_callbacks.operations.messages import Message, PromptTemplate
from otel_callbacks.operations.sparse import sparse
from otel_callbacks.operations.usage import Billing, Usage

UNKNOWN_PROVIDER = "unknown"
"""Stands for the provider of a call made by hand that names none."""


@sparse
class Operation:
    """The fields that all operations share. `name` is in the span's name: a model, an agent, a tool, a node.

    `agent_name` is the name of the agent that the operation works for. `in_search`: it finds documents, or rewrites the
    question for that; no model call in it writes the answer.
    """

    CONTENT: ClassVar[Sequence[str]] = ()
    """The fields that hold content, or the application's own objects."""
    IN_METRICS: ClassVar[bool] = True
    IS_AGENT: ClassVar[bool] = False
    IS_LEAF: ClassVar[bool] = False
    """Whether it does the work itself, and counts in totals; others only enclose."""
    IS_SEARCH: ClassVar[bool] = False
    """Whether it returns documents."""
    USES_TOKENS: ClassVar[bool] = False
    """Whether it may have a usage, and so a cost."""
    CALLS_CLIENT: ClassVar[bool] = False
    """Whether it calls a model through a provider's client, which somebody else may instrument, too."""
    NAMED_LATE: ClassVar[bool] = False
    """Whether its end may tell names that its start does not know."""
    _WITHOUT_CONTENT: ClassVar[Mapping[str, None]] = {}

    def __init_subclass__(cls) -> None:
        cls._WITHOUT_CONTENT = dict.fromkeys(cls.CONTENT)

    name: str | None = None
    conversation_id: str | None = None
    agent_name: str | None = None
    in_search: bool = False

    def inherit(self, above: "Operation") -> None:
        """Takes over the conversation and the agent of the operation that encloses this one, unless it has its own."""
        if above.conversation_id is not None and not self.conversation_id:
            self.conversation_id = above.conversation_id
        if self.agent_name is None and not self.IS_AGENT:
            self.agent_name = above.name if above.IS_AGENT else above.agent_name

    def forget_content(self) -> None:
        """Releases the content once it has been recorded."""
        self.__dict__.update(self._WITHOUT_CONTENT)


@sparse
class Workflow(Operation):
    """The outermost chain or graph of a call, or a sub-graph that the application defined."""

    CONTENT = ("input_messages", "output_messages")
    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None


@sparse
class AgentInvocation(Operation):
    """One run of an agent. The recorder fills in the totals of the agent's own model calls at the end.

    `system_instructions` and `tool_definitions` are what the agent's first model calls were sent.
    """

    CONTENT = ("input_messages", "output_messages", "system_instructions", "tool_definitions")
    IS_AGENT = True
    description: str | None = None
    finish_reasons: Sequence[str] | None = None
    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None
    system_instructions: Message | None = None
    tool_definitions: Sequence[Mapping[str, Any]] | None = None


@sparse
class Step(Operation):
    """Anything else worth a span: a graph node, a named runnable, a workflow step."""

    node: str | None = None
    step: int | None = None
    path: str | None = None
    checkpoint_ns: str | None = None


@sparse
class ReceivedMessage(Operation):
    """The work on a message that another process sent. `name` says what the work is."""

    IN_METRICS = False


@sparse
class ToolExecution(Operation):
    """A tool that the framework runs itself. `result_size` counts characters, also when content is off."""

    CONTENT = ("arguments", "result")
    IS_LEAF = True
    type: str = "function"
    description: str | None = None
    call_id: str | None = None
    arguments: Any = None
    result: Any = None
    result_size: int | None = None


@sparse
class Retrieval(Operation):
    """A search. `name` is the data source, when it has an id of its own.

    `unread_documents` is how many more were found than `documents` has. `store_scores` are the scores that a vector
    store computed and its retriever did not pass on: the store's document, its score and the kind of score.
    """

    CONTENT = ("query", "documents")
    IS_LEAF = IS_SEARCH = NAMED_LATE = True
    in_search: bool = True
    provider: str | None = None
    top_k: int | None = None
    server_address: str | None = None
    server_port: int | None = None
    embedding_model: str | None = None
    query: str | None = None
    documents: Sequence[Document] | None = None
    unread_documents: int = 0
    score_kind: ScoreKind | None = None
    store_scores: Sequence[tuple[Any, float, ScoreKind | None]] = ()


@sparse
class _ModelCall(Operation):
    """A call of a provider's model. `integration` names the class that makes it, for a provider that is not known.

    `deferred` marks a call whose usage is on the span of another instrumentation.
    """

    IS_LEAF = USES_TOKENS = CALLS_CLIENT = NAMED_LATE = True
    provider: str | None = None
    integration: str | None = None
    deferred: bool = False

    @property
    def provider_or_integration(self) -> str:
        """The provider's name; else, as the conventions require one, the integration's in lower case."""
        return self.provider or (self.integration or UNKNOWN_PROVIDER).lower()


@sparse
class Embedding(_ModelCall):
    """Texts turned into vectors: only their number and length are kept. `name` is the model.

    `cached` marks a call that reached no provider: there were no texts, or all vectors came from a cache. `duplicate`
    marks a call that other model calls did and have the cost of.
    """

    in_search: bool = True
    server_address: str | None = None
    server_port: int | None = None
    encoding_formats: Sequence[str] | None = None
    response_model: str | None = None
    count: int | None = None
    dimension_count: int | None = None
    usage: Usage | None = None
    billing: Billing | None = None
    cached: bool = False
    duplicate: bool | None = None


@sparse
class Rerank(Operation):
    """Documents put in a better order. `name` is the model, `documents` are those that were kept.

    `unread_candidates` and `unread_documents` are how many more there are than `candidates` and `documents` have.
    `may_pass_on_scores`: a document with the score of its candidate may have got none from this reranker.
    `duplicate` marks a call that other model calls did and have the cost of.
    """

    CONTENT = ("query", "candidates", "documents")
    IS_LEAF = IS_SEARCH = USES_TOKENS = NAMED_LATE = True
    in_search: bool = True
    provider: str | None = None
    top_n: int | None = None
    query: str | None = None
    candidates: Sequence[Document] | None = None
    unread_candidates: int = 0
    documents: Sequence[Document] | None = None
    unread_documents: int = 0
    may_pass_on_scores: bool = False
    usage: Usage | None = None
    billing: Billing | None = None
    reported_usd: Decimal | None = None
    duplicate: bool | None = None


@sparse
class Inference(_ModelCall):
    """One model call; `name` is the requested model.

    `compacted` marks a call that summarises its conversation, or is sent a summary in place of it; never False.
    `cached` marks an answer from the framework's own cache: nothing was sent, and nothing is owed. `duplicate` marks
    the call of a model that wraps another: its usage is the inner call's; and all prompts of one request but the first,
    which has its usage. `request` is the same object for the prompts of a request with several. `reported_usd`
    is the cost that the provider or a gateway reports. `time_to_first_chunk` is in seconds.

    `estimated_input_tokens` stands in for a count that does not come, if the application asks for estimates.
    """

    CONTENT = ("input_messages", "output_messages", "tool_definitions", "prompt_template")
    text_completion: bool = False
    server_address: str | None = None
    server_port: int | None = None

    choice_count: int | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    previous_response_id: str | None = None
    reasoning_level: str | None = None
    seed: int | None = None
    stop_sequences: Sequence[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    output_type: str | None = None
    request_service_tier: str | None = None
    estimated_input_tokens: int | None = None
    api_type: str | None = None
    guardrail_id: str | None = None
    compacted: bool | None = None
    compaction_tokens_before: int | None = None
    compaction_tokens_after: int | None = None

    response_model: str | None = None
    response_id: str | None = None
    response_service_tier: str | None = None
    system_fingerprint: str | None = None
    finish_reasons: Sequence[str] | None = None
    time_to_first_chunk: float | None = None
    usage: Usage | None = None
    billing: Billing | None = None
    reported_usd: Decimal | None = None
    cached: bool = False
    duplicate: bool | None = None
    request: Any = None

    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None
    tool_definitions: Sequence[Mapping[str, Any]] | None = None
    prompt_template: PromptTemplate | None = None
