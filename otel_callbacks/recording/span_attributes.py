"""Turns an operation into a span's name, kind, start attributes and end attributes.

Each table pairs a field of the operation with the attribute that carries it. The start tables hold what a sampler may
want to see; everything else is set once, at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from otel_callbacks import operations, semconv
from otel_callbacks.privacy.redactor import redact_attributes, redact_name
from otel_callbacks.rag import recorded_documents
from otel_callbacks.recording.content_writer import ContentWriter

Attributes = dict[str, AttributeValue]
_Table = Sequence[tuple[str, str]]


def _reader(table: _Table) -> Callable[[Any], Attributes]:
    """Compiles a table into a function that returns the attributes of the fields that are set."""
    names = tuple(attribute for _, attribute in table)
    fields = attrgetter(*(field for field, _ in table))
    if len(table) == 1:
        return lambda operation: {} if (value := fields(operation)) is None else {names[0]: value}
    return lambda operation: {
        name: value for name, value in zip(names, fields(operation), strict=True) if value is not None
    }


_SERVER = (("server_address", semconv.SERVER_ADDRESS), ("server_port", semconv.SERVER_PORT))

_START: dict[type[operations.Operation], Callable[[Any], Attributes]] = {
    operations.Workflow: _reader((("name", semconv.WORKFLOW_NAME),)),
    operations.AgentInvocation: _reader((("name", semconv.AGENT_NAME),)),
    operations.Step: _reader(
        (
            ("node", semconv.LANGGRAPH_NODE),
            ("step", semconv.LANGGRAPH_STEP),
            ("path", semconv.LANGGRAPH_PATH),
            ("checkpoint_ns", semconv.LANGGRAPH_CHECKPOINT_NS),
        )
    ),
    operations.ToolExecution: _reader(
        (
            ("name", semconv.TOOL_NAME),
            ("type", semconv.TOOL_TYPE),
            ("call_id", semconv.TOOL_CALL_ID),
        )
    ),
    operations.Retrieval: _reader(
        (("name", semconv.DATA_SOURCE_ID), ("provider", semconv.PROVIDER_NAME), *_SERVER)
    ),
    operations.Rerank: _reader((("provider", semconv.PROVIDER_NAME), ("name", semconv.REQUEST_MODEL))),
    operations.Embedding: _reader(
        (("provider_or_integration", semconv.PROVIDER_NAME), ("name", semconv.REQUEST_MODEL), *_SERVER)
    ),
    operations.Inference: _reader(
        (("provider_or_integration", semconv.PROVIDER_NAME), ("name", semconv.REQUEST_MODEL), *_SERVER)
    ),
}

_END: dict[type[operations.Operation], Callable[[Any], Attributes]] = {
    operations.Embedding: _reader(
        (
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
        )
    ),
    operations.AgentInvocation: _reader(
        (("description", semconv.AGENT_DESCRIPTION), ("finish_reasons", semconv.RESPONSE_FINISH_REASONS))
    ),
    operations.ToolExecution: _reader(
        (
            ("description", semconv.TOOL_DESCRIPTION),
            ("call_id", semconv.TOOL_CALL_ID),
            ("result_size", semconv.TOOL_RESULT_SIZE),
        )
    ),
    operations.Rerank: _reader(
        (
            ("provider", semconv.PROVIDER_NAME),
            ("name", semconv.REQUEST_MODEL),
            ("top_n", semconv.RETRIEVAL_TOP_K),
            ("duplicate", semconv.DUPLICATE),
        )
    ),
    operations.Retrieval: _reader(
        (
            ("provider", semconv.PROVIDER_NAME),
            ("name", semconv.DATA_SOURCE_ID),
            ("top_k", semconv.RETRIEVAL_TOP_K),
            ("embedding_model", semconv.RAG_EMBEDDING_MODEL),
            ("score_kind", semconv.RAG_SCORE_KIND),
        )
    ),
    operations.Inference: _reader(
        (
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
        )
    ),
}

_USAGE = _reader(
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


_TOTALS = _reader(
    (("input_tokens", semconv.USAGE_INPUT_TOKENS), ("output_tokens", semconv.USAGE_OUTPUT_TOKENS))
)
"""For embeddings and rerankers, whose tokens have no parts."""

_CACHED = _reader(
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
_CLIENTS = (operations.Inference, operations.Embedding, operations.Retrieval)


def operation_name(operation: operations.Operation) -> str | None:
    """Returns the value of `gen_ai.operation.name`; None for a step."""
    if type(operation) is operations.Inference and operation.text_completion:
        return semconv.TEXT_COMPLETION
    return _OPERATION_NAMES.get(type(operation))


def span_kind(operation: operations.Operation) -> SpanKind:
    """Returns CLIENT for operations that call a model or a store, INTERNAL for the others."""
    return SpanKind.CLIENT if isinstance(operation, _CLIENTS) else SpanKind.INTERNAL


def span_name(operation: operations.Operation) -> str:
    """Returns `{operation} {key}`, or the operation alone if its key is unknown; for a step, its own name."""
    verb = operation_name(operation)
    if verb is None:
        return operation.name or "step"
    return f"{verb} {operation.name}" if operation.name else verb


_CLEANED = ("name", "provider", "response_model")
_NAMES = {kind: [each.name for each in fields(kind) if each.name in _CLEANED] for kind in _START}


def clean_names(operation: operations.Operation) -> None:
    """Removes credentials from the names of an operation, which spans, metrics and warnings about prices repeat."""
    for field in _NAMES[type(operation)]:
        if (name := getattr(operation, field)) is not None:
            setattr(operation, field, redact_name(name))


def start_attributes(operation: operations.Operation, clean: Callable[[str], str]) -> Attributes:
    """Returns the attributes known when the operation starts, without credentials. Samplers see them.

    `clean` applies the content policy to the conversation's id, which the application chooses.
    """
    attributes = _START[type(operation)](operation)
    if operation.agent_name is not None:
        attributes.setdefault(semconv.AGENT_NAME, operation.agent_name)
    redact_attributes(attributes)
    if operation.conversation_id is not None:
        attributes[semconv.CONVERSATION_ID] = clean(operation.conversation_id)
    verb = operation_name(operation)
    if verb is not None:
        attributes[semconv.OPERATION_NAME] = verb
    return attributes


def end_attributes(operation: operations.Operation, clean: Callable[[str], str]) -> Attributes:
    """Returns the attributes known when the operation has ended, without content and credentials.

    `clean` applies the content policy to the ids and sources of documents.
    """
    read = _END.get(type(operation))
    if read is None:
        return {}
    attributes = read(operation)
    redact_attributes(attributes)
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
            _put_top_score(attributes, operation.documents, lowest=operation.score_kind == "distance")
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
    attributes: Attributes, documents: Sequence[operations.Document], *, lowest: bool = False
) -> None:
    scores = [document.score for document in documents if document.score is not None]
    if scores:
        attributes[semconv.RAG_TOP_SCORE] = min(scores) if lowest else max(scores)


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
    reasons = operation.finish_reasons if isinstance(operation, operations.AgentInvocation) else None
    content[semconv.OUTPUT_MESSAGES] = writer.messages(
        semconv.OUTPUT_MESSAGES,
        operation.output_messages,
        # the schema requires a reason of every output message, and Phoenix drops the whole list without
        operations.providers.message_finish_reason(reasons[-1] if reasons else None),
    )
    content[semconv.INPUT_MESSAGES] = writer.messages(semconv.INPUT_MESSAGES, operation.input_messages)
