"""Turns an operation into a span's start attributes and end attributes.

Each table pairs a field of the operation with the attribute that carries it. The start tables hold what a sampler may
want to see; everything else is set once, at the end.
"""

from collections.abc import Callable, Sequence
from typing import Any

from otel_callbacks import operations, semconv
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.rag import recorded_documents
from otel_callbacks.recording.attribute_table import Attributes, AttributeTable, Rows, reader
from otel_callbacks.recording.content_writer import ContentWriter

_SERVER = (("server_address", semconv.SERVER_ADDRESS), ("server_port", semconv.SERVER_PORT))

_START_ROWS: dict[type[operations.Operation], Rows] = {
    operations.Workflow: (("name", semconv.WORKFLOW_NAME),),
    operations.AgentInvocation: (("name", semconv.AGENT_NAME),),
    operations.Step: (
        ("node", semconv.LANGGRAPH_NODE),
        ("step", semconv.LANGGRAPH_STEP),
        ("path", semconv.LANGGRAPH_PATH),
        ("checkpoint_ns", semconv.LANGGRAPH_CHECKPOINT_NS),
    ),
    operations.ReceivedMessage: (),
    operations.ToolExecution: (
        ("name", semconv.TOOL_NAME),
        ("type", semconv.TOOL_TYPE),
        ("call_id", semconv.TOOL_CALL_ID),
    ),
    operations.Retrieval: (("name", semconv.DATA_SOURCE_ID), ("provider", semconv.PROVIDER_NAME), *_SERVER),
    operations.Rerank: (("provider", semconv.PROVIDER_NAME), ("name", semconv.RAG_RERANK_MODEL)),
    operations.Embedding: (
        ("provider_or_integration", semconv.PROVIDER_NAME),
        ("name", semconv.REQUEST_MODEL),
        *_SERVER,
    ),
    operations.Inference: (
        ("provider_or_integration", semconv.PROVIDER_NAME),
        ("name", semconv.REQUEST_MODEL),
        *_SERVER,
    ),
}

_END_ROWS: dict[type[operations.Operation], Rows] = {
    operations.Embedding: (
        # at the start too: an inner model may know what the outer one does not
        ("provider_or_integration", semconv.PROVIDER_NAME),
        ("name", semconv.REQUEST_MODEL),
        ("encoding_formats", semconv.REQUEST_ENCODING_FORMATS),
        ("response_model", semconv.RESPONSE_MODEL),
        ("dimension_count", semconv.EMBEDDINGS_DIMENSION_COUNT),
        ("name", semconv.RAG_EMBEDDING_MODEL),
        ("dimension_count", semconv.RAG_EMBEDDING_DIM),
        ("count", semconv.RAG_EMBEDDING_COUNT),
        ("duplicate", semconv.DUPLICATE),
    ),
    operations.AgentInvocation: (
        ("description", semconv.AGENT_DESCRIPTION),
        ("finish_reasons", semconv.RESPONSE_FINISH_REASONS),
    ),
    operations.ToolExecution: (
        ("description", semconv.TOOL_DESCRIPTION),
        ("call_id", semconv.TOOL_CALL_ID),
        ("result_size", semconv.TOOL_RESULT_SIZE),
    ),
    operations.Rerank: (
        ("provider", semconv.PROVIDER_NAME),
        ("name", semconv.RAG_RERANK_MODEL),
        ("top_n", semconv.RETRIEVAL_TOP_K),
        ("duplicate", semconv.DUPLICATE),
    ),
    operations.Retrieval: (
        ("provider", semconv.PROVIDER_NAME),
        ("name", semconv.DATA_SOURCE_ID),
        ("top_k", semconv.RETRIEVAL_TOP_K),
        ("embedding_model", semconv.RAG_EMBEDDING_MODEL),
        ("score_kind", semconv.RAG_SCORE_KIND),
    ),
    operations.Inference: (
        ("choice_count", semconv.REQUEST_CHOICE_COUNT),
        ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY),
        ("max_tokens", semconv.REQUEST_MAX_TOKENS),
        ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY),
        ("previous_response_id", semconv.REQUEST_PREVIOUS_RESPONSE_ID),
        ("reasoning_level", semconv.REQUEST_REASONING_LEVEL),
        ("seed", semconv.REQUEST_SEED),
        ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES),
        ("stream", semconv.REQUEST_STREAM),
        ("temperature", semconv.REQUEST_TEMPERATURE),
        ("top_k", semconv.REQUEST_TOP_K),
        ("top_p", semconv.REQUEST_TOP_P),
        ("output_type", semconv.OUTPUT_TYPE),
        ("request_service_tier", semconv.OPENAI_REQUEST_SERVICE_TIER),
        ("api_type", semconv.OPENAI_API_TYPE),
        ("compacted", semconv.CONVERSATION_COMPACTED),
        ("compaction_tokens_before", semconv.COMPACTION_TOKENS_BEFORE),
        ("compaction_tokens_after", semconv.COMPACTION_TOKENS_AFTER),
        ("guardrail_id", semconv.AWS_BEDROCK_GUARDRAIL_ID),
        ("response_model", semconv.RESPONSE_MODEL),
        ("response_id", semconv.RESPONSE_ID),
        ("response_service_tier", semconv.OPENAI_RESPONSE_SERVICE_TIER),
        ("system_fingerprint", semconv.OPENAI_RESPONSE_SYSTEM_FINGERPRINT),
        ("finish_reasons", semconv.RESPONSE_FINISH_REASONS),
        ("time_to_first_chunk", semconv.RESPONSE_TIME_TO_FIRST_CHUNK),
        ("duplicate", semconv.DUPLICATE),
    ),
}

START = {kind: AttributeTable(kind, rows) for kind, rows in _START_ROWS.items()}
"""The tables of what is known when an operation starts."""
_END = {kind: AttributeTable(kind, rows) for kind, rows in _END_ROWS.items()}

_USAGE = reader(
    (
        ("input_tokens", semconv.USAGE_INPUT_TOKENS),
        ("output_tokens", semconv.USAGE_OUTPUT_TOKENS),
        ("cache_read_input_tokens", semconv.USAGE_CACHE_READ_INPUT_TOKENS),
        ("cache_write_input_tokens", semconv.USAGE_CACHE_WRITE_INPUT_TOKENS),
        ("reasoning_output_tokens", semconv.USAGE_REASONING_OUTPUT_TOKENS),
        ("text_input_tokens", semconv.USAGE_TEXT_INPUT_TOKENS),
        ("text_output_tokens", semconv.USAGE_TEXT_OUTPUT_TOKENS),
        ("text_cache_read_input_tokens", semconv.USAGE_TEXT_CACHE_READ_INPUT_TOKENS),
        ("image_input_tokens", semconv.USAGE_IMAGE_INPUT_TOKENS),
        ("image_output_tokens", semconv.USAGE_IMAGE_OUTPUT_TOKENS),
        ("image_cache_read_input_tokens", semconv.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS),
        ("audio_cache_read_input_tokens", semconv.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS),
        ("audio_input_tokens", semconv.USAGE_AUDIO_INPUT_TOKENS),
        ("audio_output_tokens", semconv.USAGE_AUDIO_OUTPUT_TOKENS),
        ("cache_write_1h_input_tokens", semconv.USAGE_CACHE_WRITE_1H),
    )
)


_TOTALS = reader(
    (("input_tokens", semconv.USAGE_INPUT_TOKENS), ("output_tokens", semconv.USAGE_OUTPUT_TOKENS))
)
"""For embeddings and rerankers, whose tokens have no parts."""

_CACHED = reader(
    (("input_tokens", semconv.CACHED_INPUT_TOKENS), ("output_tokens", semconv.CACHED_OUTPUT_TOKENS))
)
"""For an answer from the framework's cache, which used no tokens this time."""

_OPERATION_NAMES = {
    operations.Workflow: semconv.INVOKE_WORKFLOW,
    operations.AgentInvocation: semconv.INVOKE_AGENT,
    operations.ToolExecution: semconv.EXECUTE_TOOL,
    operations.Retrieval: semconv.RETRIEVAL,
    operations.Embedding: semconv.EMBEDDINGS,
    operations.Rerank: semconv.RERANK,
    operations.Inference: semconv.CHAT,
}


def operation_name(operation: operations.Operation) -> str | None:
    """Returns the value of `gen_ai.operation.name`; None for a step."""
    if type(operation) is operations.Inference and operation.text_completion:
        return semconv.TEXT_COMPLETION
    return _OPERATION_NAMES.get(type(operation))


def end_attributes(operation: operations.Operation, clean: Callable[[str], str]) -> Attributes:
    """Returns the attributes known when the operation has ended, without content and credentials.

    `clean` applies the content policy to the ids and sources of documents.
    """
    table = _END.get(type(operation))
    if table is None:
        return {}
    attributes = table.read(operation)
    match operation:
        case operations.Inference():
            _put_usage(attributes, operation)
            if (template := operation.prompt_template) is not None and template.name is not None:
                attributes[semconv.PROMPT_NAME] = clean(redact_name(template.name))
                if template.version is not None:
                    attributes[semconv.PROMPT_VERSION] = clean(redact_name(template.version))
        case operations.Embedding() if operation.usage is not None and not operation.deferred:
            _put_totals(attributes, operation.usage, cached=operation.cached)
        case operations.Retrieval() if operation.documents is not None:
            attributes[semconv.RAG_RESULTS_COUNT] = len(operation.documents) + operation.unread_documents
            attributes[semconv.RAG_DOCUMENTS] = recorded_documents.retrieved(
                operation.documents, operation.score_kind, clean
            )
            _put_top_score(attributes, operation.documents, operation.score_kind)
        case operations.Rerank():
            if operation.usage is not None:
                _put_totals(attributes, operation.usage)
            if operation.candidates is not None:
                attributes[semconv.RAG_CANDIDATE_COUNT] = (
                    len(operation.candidates) + operation.unread_candidates
                )
            if operation.documents is not None:
                attributes[semconv.RAG_RERANKED_COUNT] = len(operation.documents) + operation.unread_documents
                attributes[semconv.RAG_DOCUMENTS] = recorded_documents.reranked(
                    operation.documents, operation.candidates or (), clean
                )
                _put_top_score(attributes, operation.documents)
    return attributes


def longest_gap(gaps: Sequence[float]) -> Attributes:
    """Returns the longest time between two chunks of a stream, and how many chunks had come before it."""
    if not gaps:
        return {}
    longest = max(gaps)
    return {
        semconv.STREAM_LONGEST_GAP: longest,
        semconv.STREAM_LONGEST_GAP_AFTER: gaps.index(longest) + 1,
    }


def _put_usage(attributes: Attributes, operation: operations.Inference) -> None:
    usage = operation.usage
    if operation.deferred:
        attributes[semconv.USAGE_SOURCE] = "deferred"
        return
    if not operation.duplicate:
        source = "missing" if usage is None else "estimated" if usage.estimated else "provider"
        attributes[semconv.USAGE_SOURCE] = source
    if usage is not None:
        attributes.update((_CACHED if operation.cached else _USAGE)(usage))


def _put_totals(attributes: Attributes, usage: operations.Usage, *, cached: bool = False) -> None:
    attributes.update((_CACHED if cached else _TOTALS)(usage))


def _put_top_score(
    attributes: Attributes, documents: Sequence[operations.Document], kind: operations.ScoreKind | None = None
) -> None:
    score = operations.top_score(documents, kind)
    if score is not None:
        attributes[semconv.RAG_TOP_SCORE] = score


def content_attributes(operation: operations.Operation, writer: ContentWriter) -> dict[str, Any]:
    """Returns the content of an operation, in the structure that the conventions define for events.

    Writes the most important content first, because the allowance may be used up.
    """
    content: dict[str, Any] = {}
    match operation:
        case operations.Inference():
            _put_messages(content, operation, writer)
            content[semconv.TOOL_DEFINITIONS] = writer.definitions(
                semconv.TOOL_DEFINITIONS, operation.tool_definitions
            )
            if operation.prompt_template is not None:
                content.update(writer.variables(operation.prompt_template.variables))
        case operations.Workflow():
            _put_messages(content, operation, writer)
        case operations.AgentInvocation():
            _put_messages(content, operation, writer)
            content[semconv.SYSTEM_INSTRUCTIONS] = writer.instructions(
                semconv.SYSTEM_INSTRUCTIONS, operation.system_instructions
            )
            content[semconv.TOOL_DEFINITIONS] = writer.definitions(
                semconv.TOOL_DEFINITIONS, operation.tool_definitions
            )
        case operations.ToolExecution():
            content[semconv.TOOL_CALL_ARGUMENTS] = writer.value(
                semconv.TOOL_CALL_ARGUMENTS, "tool_arguments", operation.arguments
            )
            content[semconv.TOOL_CALL_RESULT] = writer.value(
                semconv.TOOL_CALL_RESULT, "tool_results", operation.result
            )
        case operations.Retrieval():
            query = writer.value(semconv.RETRIEVAL_QUERY_TEXT, "queries", operation.query)
            content[semconv.RETRIEVAL_QUERY_TEXT] = content[semconv.RAG_QUERY] = query
            content[semconv.RETRIEVAL_DOCUMENTS] = writer.documents(
                semconv.RETRIEVAL_DOCUMENTS, operation.documents
            )
        case operations.Rerank():
            content[semconv.RAG_QUERY] = writer.value(semconv.RAG_QUERY, "queries", operation.query)
            content[semconv.RETRIEVAL_DOCUMENTS] = writer.documents(
                semconv.RETRIEVAL_DOCUMENTS, operation.documents, operation.candidates or ()
            )
    return {name: value for name, value in content.items() if value is not None}


def cut_content_attributes(writer: ContentWriter) -> Attributes:
    """Returns the attributes that say which content did not fit."""
    attributes: Attributes = {}
    if writer.cut:
        attributes[semconv.CONTENT_CUT] = writer.cut
    if writer.left_out:
        attributes[semconv.CONTENT_MESSAGES_LEFT_OUT] = writer.left_out
    return attributes


def _put_messages(
    content: dict[str, Any],
    operation: operations.Inference | operations.AgentInvocation | operations.Workflow,
    writer: ContentWriter,
) -> None:
    reasons = None if isinstance(operation, operations.Workflow) else operation.finish_reasons
    content[semconv.OUTPUT_MESSAGES] = writer.messages(
        semconv.OUTPUT_MESSAGES,
        operation.output_messages,
        # the schema requires a reason of every output message, and Phoenix drops the whole list without
        operations.providers.message_finish_reason(reasons[-1] if reasons else None),
    )
    content[semconv.INPUT_MESSAGES] = writer.messages(semconv.INPUT_MESSAGES, operation.input_messages)
