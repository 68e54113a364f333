"""Facts about a run that other runs may share: its labels, versions, models, tools, and how it went.

Each is known at the start, so it may be a cause, or a result, so it may be a consequence.
"""

from collections.abc import Iterator
from typing import NamedTuple

from otel_callbacks import semconv
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_LABELS = {
    semconv.APP_TENANT_ID: "tenant",
    semconv.APP_FEATURE: "feature",
    semconv.APP_USER_TIER: "user_tier",
    semconv.USER_ID: "user",
}
_RESOURCE = ("service.name", "service.version", "deployment.environment.name", "host.name", "k8s.pod.name")
_CHOSEN = {
    semconv.REQUEST_MODEL: "model",
    semconv.PROVIDER_NAME: "provider",
    semconv.REQUEST_REASONING_LEVEL: "reasoning level",
    semconv.OPENAI_REQUEST_SERVICE_TIER: "service tier asked for",
    semconv.PROMPT_NAME: "prompt",
    semconv.PROMPT_VERSION: "prompt version",
    semconv.DATA_SOURCE_ID: "data source",
    semconv.RETRIEVAL_TOP_K: "documents asked for",
}
TOOL_CALLED = "tool called"
_FOUND = {
    semconv.TOOL_NAME: TOOL_CALLED,
    semconv.OPENAI_RESPONSE_SERVICE_TIER: "service tier got",
    semconv.OUTCOME: "outcome",
    semconv.CACHE_MISS_REASON: "provider's cache missed",
}
_VALUE_CHARACTERS = 100  # a longer value is no name that runs share

AT_START = {"tokens of the first prompt"}
"""Which of the names in `numbers_of` are known at the start."""


class Fact(NamedTuple):
    """A name and a value; `at_start` tells whether it was known before the run did its work."""

    name: str
    value: str
    at_start: bool

    @property
    def is_choice(self) -> bool:
        """Whether somebody chose it, such as a label or a version; a number is none."""
        return self.at_start and self.name not in AT_START

    def __str__(self) -> str:
        return f"{self.name} {self.value}" if self.value else self.name


def facts_of(tree: SpanTree) -> frozenset[Fact]:
    """Returns the facts about a run that are words; `numbers_of` has the others."""
    found: set[Fact] = set()
    for span in tree.spans:
        found.update(_of_span(span))
    for name in _RESOURCE:
        value = tree.roots[0].resource.get(name)
        if isinstance(value, str):
            found.add(Fact(name, value, True))
    calls = [span for span in tree.model_calls if span.input_tokens]
    if calls:
        read = any(span.cache_read_tokens for span in calls)
        found.add(Fact("provider's cache", "read" if read else "not read", False))
    if any(span.cost_status == "cached" for span in tree.model_calls):
        found.add(Fact("answer from the application's cache", "", False))
    return frozenset(found)


def _of_span(span: SpanRecord) -> Iterator[Fact]:
    attributes = span.attributes
    for name, value in attributes.items():
        shown = _LABELS.get(name) or _CHOSEN.get(name)
        if shown is None and name.startswith(semconv.APP_PREFIX):
            shown = name.removeprefix(semconv.APP_PREFIX)
        at_start = shown is not None
        shown = shown or _FOUND.get(name)
        if shown and isinstance(value, str | int) and 0 < len(text := str(value)) <= _VALUE_CHARACTERS:
            yield Fact(shown, text, at_start)
    for reason in span.finish_reasons:
        yield Fact("finish reason", reason[:_VALUE_CHARACTERS], False)
    if span.failed and span.error_type:
        yield Fact("error", span.error_type[:_VALUE_CHARACTERS], False)


def numbers_of(tree: SpanTree) -> dict[str, float]:
    """Returns the facts about a run that are numbers."""
    inferences = [span for span in tree.model_calls if span.input_tokens]
    found: dict[str, float] = {
        "model calls": len(tree.model_calls),
        "tool calls": sum(span.operation == semconv.EXECUTE_TOOL for span in tree.spans),
        "output tokens": tree.output_tokens,
    }
    if inferences:
        first = min(inferences, key=lambda span: span.start_ns)
        found["tokens of the first prompt"] = first.input_tokens or 0
    counts = [span.documents_count for span in tree.spans if span.operation == semconv.RETRIEVAL]
    if known := [count for count in counts if count is not None]:
        found["documents found"] = sum(known)
    return found
