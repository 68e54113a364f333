"""The names of all attributes, metrics and events that we emit, and their well-known values.

The GenAI names follow `open-telemetry/semantic-conventions-genai` at main@6fd0d763 (2026-10-09; the conventions have
no release yet). The names below "Ours" are our own, because the conventions have none for them. When the conventions
rename something, change one line here and add one to the changelog.
"""

from importlib.metadata import version
from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
SCOPE: Final = "otel_callbacks"
SCOPE_VERSION: Final = version("otel-callbacks")  # read from disk here: no callback may

# Operations: the values of gen_ai.operation.name.
OPERATION_NAME: Final = "gen_ai.operation.name"
CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
GENERATE_CONTENT: Final = "generate_content"  # how other instrumentations report a call of Gemini
EMBEDDINGS: Final = "embeddings"
RETRIEVAL: Final = "retrieval"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_AGENT: Final = "invoke_agent"
INVOKE_WORKFLOW: Final = "invoke_workflow"
RERANK: Final = "rerank"  # ours: no convention yet (semantic-conventions-genai issue 253)

# Core conventions (stable).
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

# GenAI: shared.
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
CONVERSATION_COMPACTED: Final = "gen_ai.conversation.compacted"  # true or absent
PROMPT_NAME: Final = "gen_ai.prompt.name"
PROMPT_VERSION: Final = "gen_ai.prompt.version"
PROMPT_VARIABLE_PREFIX: Final = "gen_ai.prompt.variable."
OUTPUT_TYPE: Final = "gen_ai.output.type"

# GenAI: request.
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
OPENAI_API_TYPE: Final = "openai.api.type"
AWS_BEDROCK_GUARDRAIL_ID: Final = "aws.bedrock.guardrail.id"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"

# GenAI: response.
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"

# GenAI: usage. Input includes cache reads and writes, output includes reasoning.
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_TEXT_INPUT_TOKENS: Final = "gen_ai.usage.text.input_tokens"
USAGE_TEXT_OUTPUT_TOKENS: Final = "gen_ai.usage.text.output_tokens"
USAGE_TEXT_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.text.cache_read.input_tokens"
USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.image.cache_read.input_tokens"
USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.audio.cache_read.input_tokens"
TOKEN_MODALITY: Final = "gen_ai.token.modality"

# GenAI: agents, workflows, tools.
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"

# GenAI: retrieval and embeddings.
DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"

# GenAI: content, opt-in.
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"

# GenAI: evaluation; feedback is a kind of it.
EVENT_EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"

# Events and metrics of the conventions.
EVENT_OPERATION_DETAILS: Final = "gen_ai.client.inference.operation.details"
EVENT_OPERATION_EXCEPTION: Final = "gen_ai.client.operation.exception"
METRIC_INFERENCE_DURATION: Final = "gen_ai.client.inference.duration"
METRIC_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
METRIC_TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.inference.time_per_output_chunk"
METRIC_USAGE_INPUT_TOKENS: Final = "gen_ai.client.inference.usage.input_tokens"
METRIC_USAGE_OUTPUT_TOKENS: Final = "gen_ai.client.inference.usage.output_tokens"
METRIC_USAGE_CACHE_READ: Final = "gen_ai.client.inference.usage.cache_read.input_tokens"
METRIC_USAGE_CACHE_WRITE: Final = "gen_ai.client.inference.usage.cache_write.input_tokens"
METRIC_USAGE_REASONING: Final = "gen_ai.client.inference.usage.reasoning.output_tokens"
METRIC_OPERATION_INPUT_TOKENS: Final = "gen_ai.client.inference.operation.input_tokens"
METRIC_OPERATION_OUTPUT_TOKENS: Final = "gen_ai.client.inference.operation.output_tokens"
METRIC_CLIENT_OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
METRIC_WORKFLOW_DURATION: Final = "gen_ai.invoke_workflow.duration"
METRIC_AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
METRIC_AGENT_INFERENCE_CALLS: Final = "gen_ai.invoke_agent.inference_calls"
METRIC_AGENT_TOOL_CALLS: Final = "gen_ai.invoke_agent.tool_calls"
METRIC_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"

# Ours.
OUTCOME: Final = "otel_callbacks.outcome"
ABANDONED: Final = "abandoned"
CANCELLED: Final = "cancelled"
INTERRUPTED: Final = "interrupted"
UNFINISHED: Final = "unfinished"
COMPACTION_TOKENS_BEFORE: Final = "otel_callbacks.compaction.tokens_before"
COMPACTION_TOKENS_AFTER: Final = "otel_callbacks.compaction.tokens_after"
DUPLICATE: Final = "otel_callbacks.duplicate"
STREAM_LONGEST_GAP: Final = "otel_callbacks.stream.longest_gap"  # between two chunks
STREAM_LONGEST_GAP_AFTER: Final = (
    "otel_callbacks.stream.longest_gap_after_chunk"  # the number of chunks before it
)
USAGE_SOURCE: Final = "otel_callbacks.usage.source"
USAGE_CACHE_WRITE_1H: Final = "otel_callbacks.usage.cache_write_1h.input_tokens"
USAGE_REQUESTS: Final = "otel_callbacks.usage.requests"  # this and the next ones are billed by number
USAGE_WEB_SEARCHES: Final = "otel_callbacks.usage.web_searches"
USAGE_FILE_SEARCHES: Final = "otel_callbacks.usage.file_searches"
USAGE_RERANK_SEARCHES: Final = "otel_callbacks.usage.rerank_searches"
USAGE_SOURCES: Final = "otel_callbacks.usage.sources"
USAGE_CITATION_TOKENS: Final = "otel_callbacks.usage.citation_tokens"
USAGE_AUDIO_SECONDS: Final = "otel_callbacks.usage.audio_seconds"
USAGE_NOT_COUNTED: Final = "otel_callbacks.usage.not_counted"  # names what is billed and nobody counted
COST_TERMS: Final = (
    "otel_callbacks.cost.price_terms"  # "name=value": the tier and other conditions of the price
)
TOOL_RESULT_SIZE: Final = "otel_callbacks.tool.result_size"
CONTENT_CUT: Final = "otel_callbacks.content.cut"  # names the attributes that are not complete
CONTENT_MESSAGES_LEFT_OUT: Final = "otel_callbacks.content.messages_left_out"
ROLLUP_INPUT_TOKENS: Final = "otel_callbacks.rollup.input_tokens"
ROLLUP_OUTPUT_TOKENS: Final = "otel_callbacks.rollup.output_tokens"
ROLLUP_TOTAL_TOKENS: Final = "otel_callbacks.rollup.total_tokens"
ROLLUP_CACHE_READ_TOKENS: Final = "otel_callbacks.rollup.cache_read_tokens"
ROLLUP_REASONING_TOKENS: Final = "otel_callbacks.rollup.reasoning_tokens"
ROLLUP_INFERENCE_CALLS: Final = "otel_callbacks.rollup.inference_calls"
ROLLUP_TOOL_CALLS: Final = "otel_callbacks.rollup.tool_calls"
ROLLUP_CACHED_CALLS: Final = "otel_callbacks.rollup.cached_calls"
ROLLUP_COST_USD: Final = "otel_callbacks.rollup.cost_usd"
ROLLUP_UNPRICED_CALLS: Final = "otel_callbacks.rollup.unpriced_calls"
ROLLUP_LATE: Final = "otel_callbacks.rollup.late"
ROLLUP_TOOL_TOKENS: Final = "otel_callbacks.rollup.tool_tokens_estimated"
ROLLUP_TOOL_TOKEN_SHARE: Final = "otel_callbacks.rollup.tool_token_share_estimated"
ROLLUP_TOOLS: Final = "otel_callbacks.rollup.tools"  # JSON: tokens by tool, sent first and sent again
USAGE_COST_USD: Final = "gen_ai.usage.cost_usd"
COST_STATUS: Final = "otel_callbacks.cost.status"
COST_UNPRICED_REASON: Final = "otel_callbacks.cost.unpriced_reason"
COST_INPUT_USD: Final = "otel_callbacks.cost.input_usd"
COST_OUTPUT_USD: Final = "otel_callbacks.cost.output_usd"
COST_CACHE_READ_USD: Final = "otel_callbacks.cost.cache_read_usd"
COST_CACHE_WRITE_USD: Final = "otel_callbacks.cost.cache_write_usd"
COST_FEES_USD: Final = "otel_callbacks.cost.fees_usd"  # what is not billed by the token
COST_SAVED_USD: Final = "otel_callbacks.cost.saved_usd"
COST_SOURCE: Final = "otel_callbacks.cost.source"
COST_MODEL: Final = "otel_callbacks.cost.model"
COST_PRICE_VERSION: Final = "otel_callbacks.cost.price_version"
COST_RECORDED_USD: Final = "otel_callbacks.cost.recorded_usd"  # of what is no model call: `record_cost`
COST_RECORDED_WHAT: Final = "otel_callbacks.cost.recorded_what"  # on spans, for what; a list
COST_WHAT: Final = "otel_callbacks.cost.what"  # on the metric, for what
CACHE_REUSABLE_TOKENS: Final = "otel_callbacks.cache.reusable_tokens_estimated"
CACHE_MISSED_TOKENS: Final = "otel_callbacks.cache.missed_tokens_estimated"
CACHE_MISS_REASON: Final = "otel_callbacks.cache.miss_reason"
CACHE_FIRST_CHANGED: Final = "otel_callbacks.cache.first_changed"  # tools, or the role of a message
CACHE_FIRST_CHANGED_MESSAGE: Final = "otel_callbacks.cache.first_changed_message"  # its number, from 0
CACHE_IDLE_SECONDS: Final = "otel_callbacks.cache.idle_seconds"
CACHE_PREFIX_CHANGED: Final = "prefix_changed"
CACHE_TOOLS_CHANGED: Final = "tools_changed"
CACHE_MODEL_CHANGED: Final = "model_changed"
CACHE_TOO_OLD: Final = "too_old"
CACHE_BELOW_MINIMUM: Final = "below_minimum"
CACHE_UNKNOWN: Final = "unknown"
CACHED_INPUT_TOKENS: Final = "otel_callbacks.cached.input_tokens"
CACHED_OUTPUT_TOKENS: Final = "otel_callbacks.cached.output_tokens"
APP_TENANT_ID: Final = "app.tenant_id"
APP_FEATURE: Final = "app.feature"
APP_USER_TIER: Final = "app.user_tier"
APP_PREFIX: Final = "app."
USER_ID: Final = "user.id"
SESSION_ID: Final = "session.id"
RAG_DOCUMENTS: Final = "rag.documents"  # JSON: rank, id, score, source, size; never text
RAG_DOCUMENTS_IN_PROMPT: Final = "rag.documents_in_prompt"
RAG_DOCUMENTS_CITED: Final = "rag.documents_cited"
RAG_PROMPT_DOCUMENTS: Final = "rag.prompt_documents"
RAG_CITED_DOCUMENTS: Final = "rag.cited_documents"
RAG_CONTEXT_TOKEN_SHARE: Final = "rag.context_token_share_estimated"
RAG_RESULTS_COUNT: Final = "rag.results_count"
RAG_TOP_SCORE: Final = "rag.top_score"
RAG_SCORE_KIND: Final = "rag.score_kind"
RAG_QUERY: Final = "rag.query"
RAG_TOTAL_TOKENS: Final = "rag.total_tokens"
RAG_RERANK_MODEL: Final = (
    "rag.rerank_model"  # back ends take a span with `gen_ai.request.model` for a model call
)
RAG_EMBEDDING_MODEL: Final = "rag.embedding_model"
RAG_EMBEDDING_DIM: Final = "rag.embedding_dim"
RAG_EMBEDDING_COUNT: Final = "rag.embedding_count"
RAG_CANDIDATE_COUNT: Final = "rag.candidate_count"
RAG_RERANKED_COUNT: Final = "rag.reranked_count"
LANGGRAPH_NODE: Final = "langgraph.node"
LANGGRAPH_STEP: Final = "langgraph.step"
LANGGRAPH_PATH: Final = "langgraph.path"
LANGGRAPH_CHECKPOINT_NS: Final = "langgraph.checkpoint_ns"
KEEP_REASON: Final = "otel_callbacks.keep.reason"  # why a trace is exported
KEPT_ERROR: Final = "error"
KEPT_SLOW: Final = "slow"
KEPT_COST: Final = "cost"
KEPT_LABEL: Final = "label"
KEPT_SHARE: Final = "share"
KEEP_RATIO: Final = "otel_callbacks.keep.ratio"  # which share of the traces like this one is exported
EVENT_CUSTOM: Final = "custom"  # replaces the name of an application's own event if it is more than a name
EVENT_INTERRUPT: Final = "interrupt"
EVENT_RUN_STARTED: Final = "otel_callbacks.run.started"  # a log record, on request
EVENT_RETRY: Final = "retry"
METRIC_SPANS_STARTED: Final = "otel_callbacks.spans.started"
METRIC_SPANS_ENDED: Final = "otel_callbacks.spans.ended"
METRIC_SPANS_SWEPT: Final = "otel_callbacks.spans.swept"
METRIC_SPANS_ERRORS: Final = "otel_callbacks.spans.errors"
METRIC_TOKENS_TOTAL: Final = "gen_ai.tokens.total"
METRIC_COST_USD: Final = "gen_ai.cost.usd"
METRIC_OPERATIONS: Final = f"{SCOPE}.operations"  # in one piece it would look like the module of this name
METRIC_DELIVERY_QUEUED: Final = "otel_callbacks.delivery.queued"
METRIC_DELIVERY_SENT: Final = "otel_callbacks.delivery.sent"
METRIC_DELIVERY_LOST: Final = "otel_callbacks.delivery.lost"
METRIC_STEP_DURATION: Final = "otel_callbacks.step.duration"
METRIC_RERANK_DURATION: Final = "otel_callbacks.rerank.duration"
METRIC_RAG_RETRIEVALS: Final = "otel_callbacks.rag.retrievals"
METRIC_RAG_DOCUMENTS: Final = "otel_callbacks.rag.documents"
METRIC_RAG_DOCUMENTS_IN_PROMPT: Final = "otel_callbacks.rag.documents_in_prompt"
METRIC_RAG_DOCUMENTS_CITED: Final = "otel_callbacks.rag.documents_cited"
METRIC_RAG_TOP_SCORE: Final = "otel_callbacks.rag.top_score"
METRIC_UNPRICED: Final = "otel_callbacks.cost.unpriced"
METRIC_TOOL_TOKENS: Final = "otel_callbacks.tool.attributed_tokens"
METRIC_BUDGET_EXCEEDED: Final = "otel_callbacks.budget.exceeded"
EVENT_BUDGET_EXCEEDED: Final = "otel_callbacks.budget.exceeded"
BUDGET_USD: Final = "otel_callbacks.budget.usd"
BUDGET_SPENT_USD: Final = "otel_callbacks.budget.spent_usd"
BUDGET_USED_SHARE: Final = (
    "otel_callbacks.budget.used_share"  # on roots, with the names around: how much is used
)
BUDGET_PER: Final = "otel_callbacks.budget.per"
TOKEN_TYPE: Final = "token_type"
STEP_NAME: Final = "otel_callbacks.step.name"  # on the metric; a span of a step has it as its name
DELIVERY_DESTINATION: Final = "otel_callbacks.delivery.destination"
DELIVERY_SIGNAL: Final = "otel_callbacks.delivery.signal"
RAG_EMPTY: Final = "otel_callbacks.rag.empty"
TOOL_PART: Final = "otel_callbacks.tool.part"

# What profiles add: the names of the released conventions (core v1.41), of a draft, and older ones.
USAGE_CACHE_CREATION_INPUT_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_COST: Final = "gen_ai.usage.cost"  # what Langfuse, OpenLIT and Grafana read; no convention
USAGE_COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
USAGE_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
USAGE_COST_SOURCE: Final = "gen_ai.usage.cost.source"
PROMPT: Final = "gen_ai.prompt"
COMPLETION: Final = "gen_ai.completion"
METRIC_CLIENT_TOKEN_USAGE: Final = "gen_ai.client.token.usage"
METRIC_OLD_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
METRIC_OLD_TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
RELEASED_TOKEN_TYPE: Final = "gen_ai.token.type"
