"""The instruments: those of the conventions with exactly their attributes and buckets, and ours beside them."""

from collections.abc import Callable, Sequence

from opentelemetry.metrics import Histogram, Meter

from otel_callbacks import semconv
from otel_callbacks.recording.counter import Counter

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (
    *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144),
    *(1048576, 4194304, 16777216, 67108864),
)
_WORKFLOW = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_AGENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_SCORES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 2, 5, 10, 20, 50)
_CALLS = (1, 2, 4, 8, 16, 32, 64, 128)


class Instruments:
    """The instruments of one meter, but for those of tokens and cost.

    Args:
        meter: makes the instruments.
        before_reading: is called before a counter is read, see `Counter`.
    """

    def __init__(self, meter: Meter, before_reading: Callable[[], None]) -> None:
        self._meter = meter
        self._before_reading = before_reading
        self._create_for_inference()
        self._create_for_other_operations()
        self._create_released()
        self._create_own()

    def _create_for_inference(self) -> None:
        self.inference = self._histogram(
            semconv.METRIC_INFERENCE_DURATION, "s", _DURATION, "Duration of a model call"
        )
        self.first_chunk = self._histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK, "s", _DURATION, "Time from the request to the first chunk"
        )
        self.chunk = self._histogram(
            semconv.METRIC_TIME_PER_OUTPUT_CHUNK, "s", _DURATION, "Time per chunk after the first"
        )
        self.input = self._token_counter(semconv.METRIC_USAGE_INPUT_TOKENS, "Input tokens used")
        self.output = self._token_counter(semconv.METRIC_USAGE_OUTPUT_TOKENS, "Output tokens used")
        self.cache_read = self._token_counter(
            semconv.METRIC_USAGE_CACHE_READ, "Input tokens read from a cache"
        )
        self.cache_write = self._token_counter(
            semconv.METRIC_USAGE_CACHE_WRITE, "Input tokens written to a cache"
        )
        self.reasoning = self._token_counter(
            semconv.METRIC_USAGE_REASONING, "Output tokens used for reasoning"
        )
        self.call_input = self._histogram(
            semconv.METRIC_OPERATION_INPUT_TOKENS, "{token}", _TOKENS, "Input tokens of one call"
        )
        self.call_output = self._histogram(
            semconv.METRIC_OPERATION_OUTPUT_TOKENS, "{token}", _TOKENS, "Output tokens of one call"
        )

    def _create_for_other_operations(self) -> None:
        self.client = self._histogram(
            semconv.METRIC_CLIENT_OPERATION_DURATION, "s", _DURATION, "Duration of a client operation"
        )
        self.workflow = self._histogram(
            semconv.METRIC_WORKFLOW_DURATION, "s", _WORKFLOW, "Duration of a workflow"
        )
        self.agent = self._histogram(
            semconv.METRIC_AGENT_DURATION, "s", _AGENT, "Duration of an agent invocation"
        )
        self.inference_calls = self._histogram(
            semconv.METRIC_AGENT_INFERENCE_CALLS,
            "{inference_call}",
            _CALLS,
            "Model calls of one agent invocation",
        )
        self.tool_calls = self._histogram(
            semconv.METRIC_AGENT_TOOL_CALLS, "{tool_call}", _CALLS, "Tool calls of one agent invocation"
        )
        self.tool = self._histogram(
            semconv.METRIC_TOOL_DURATION, "s", _DURATION, "Duration of a tool execution"
        )

    def _create_released(self) -> None:
        self.token_usage = self._histogram(
            semconv.METRIC_CLIENT_TOKEN_USAGE, "{token}", _TOKENS, "Tokens of one call (released name)"
        )
        self.old_first_chunk = self._histogram(
            semconv.METRIC_OLD_TIME_TO_FIRST_CHUNK,
            "s",
            _DURATION,
            "Time from the request to the first chunk (released name)",
        )
        self.old_chunk = self._histogram(
            semconv.METRIC_OLD_TIME_PER_OUTPUT_CHUNK,
            "s",
            _DURATION,
            "Time per chunk after the first (released name)",
        )

    def _create_own(self) -> None:
        self.step = self._histogram(semconv.METRIC_STEP_DURATION, "s", _DURATION, "Duration of a step")
        self.rerank = self._histogram(semconv.METRIC_RERANK_DURATION, "s", _DURATION, "Duration of a rerank")
        self.top_score = self._histogram(
            semconv.METRIC_RAG_TOP_SCORE, "1", _SCORES, "Best score among the documents of a retrieval"
        )
        self.operations = self._counter(
            semconv.METRIC_OPERATIONS, "{operation}", "Operations that ended, by how they ended and who pays"
        )
        self.retrievals = self._counter(
            semconv.METRIC_RAG_RETRIEVALS, "{retrieval}", "Retrievals, by whether they found nothing"
        )
        self.documents = self._counter(
            semconv.METRIC_RAG_DOCUMENTS, "{document}", "Documents that retrievals returned"
        )
        self.documents_in_prompt = self._counter(
            semconv.METRIC_RAG_DOCUMENTS_IN_PROMPT,
            "{document}",
            "Retrieved documents that were in a prompt, once for each trace",
        )
        self.documents_cited = self._counter(
            semconv.METRIC_RAG_DOCUMENTS_CITED,
            "{document}",
            "Retrieved documents that an answer cited, once for each trace",
        )

    def _histogram(self, name: str, unit: str, buckets: Sequence[float], description: str) -> Histogram:
        try:
            return self._meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=buckets
            )
        except TypeError:  # a provider that was written for an older API
            return self._meter.create_histogram(name, unit, description)

    def _token_counter(self, name: str, description: str) -> Counter:
        return self._counter(name, "{token}", description)

    def _counter(self, name: str, unit: str, description: str) -> Counter:
        return Counter(self._meter, name, unit, description, self._before_reading)
