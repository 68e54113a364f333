"""Rules that need the whole tree: missing parents, exceptions recorded twice, usage counted twice."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from otel_callbacks.conformance.findings import Finding, advice, violation
from otel_callbacks.conformance.otlp import Span
from otel_callbacks.conformance.registry import OPERATION

_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
_MODEL_CALLS = ("chat", "text_completion", "generate_content", "embeddings", "rerank")
_Key = tuple[str, str]


def check_tree(spans: Iterable[Span], checked: Iterable[Span]) -> Iterator[Finding]:
    """Applies the tree rules to the spans in `checked`; `spans` also holds those of other libraries."""
    all_spans, checked_spans = list(spans), list(checked)
    tree = {(span.trace_id, span.span_id): span for span in all_spans}
    checked_keys = {(span.trace_id, span.span_id) for span in checked_spans}
    counts = Counter((span.trace_id, span.span_id) for span in all_spans)
    for span in checked_spans:
        if counts[span.trace_id, span.span_id] > 1:
            yield violation("span_id_duplicate", str(span), "another span has the same id")
        if span.parent_id and (span.trace_id, span.parent_id) not in tree:
            yield advice("parent_missing", str(span), f"remote or missing parent {span.parent_id}")
        if exceptions := _exceptions(span):
            yield from _check_exceptions(span, exceptions, list(_ancestors(span, tree, checked_keys)))
        if _has_tokens(span):
            yield from _check_usage(span, _ancestors(span, tree, checked_keys))


def _ancestors(span: Span, tree: Mapping[_Key, Span], checked: Container[_Key]) -> Iterator[Span]:
    """Yields the checked ancestors from the parent up; walks a circle, which a broken file may hold, only once."""
    seen = {span.span_id}
    while span.parent_id and span.parent_id not in seen:
        seen.add(span.parent_id)
        parent = tree.get((span.trace_id, span.parent_id))
        if parent is None:
            return
        span = parent
        if (span.trace_id, span.span_id) in checked:
            yield span


def _check_exceptions(
    span: Span, exceptions: list[tuple[str, str]], ancestors: list[Span]
) -> Iterator[Finding]:
    """Checks that an exception is recorded only where it arose; an equal one further up is the same one.

    Only the nearest ancestor is named, which names the next.
    """
    for exception, count in Counter(exceptions).items():
        if count > 1:
            yield violation(
                "exception_recorded_twice", str(span), f"{exception[0]} {count} times on this span"
            )
        nearest = next((each for each in ancestors if exception in _exceptions(each)), None)
        if nearest:
            message = f"{exception[0]} is recorded again on its ancestor {nearest}"
            yield violation("exception_recorded_twice", str(span), message)


def _exceptions(span: Span) -> list[tuple[str, str]]:
    return [
        (str(event.attributes.get("exception.type")), str(event.attributes.get("exception.message")))
        for event in span.events
        if event.name == "exception"
    ]


def _check_usage(span: Span, ancestors: Iterable[Span]) -> Iterator[Finding]:
    """Checks that a plain sum over a trace is right: only an agent may repeat what its model calls used.

    A model that asks another model may have usage of its own, which differs from the other's. Only the nearest ancestor
    is named, which names the next.
    """
    if span.attributes.get(OPERATION) == "invoke_agent":
        return
    for ancestor in ancestors:
        operation = ancestor.attributes.get(OPERATION)
        has_its_own = operation in _MODEL_CALLS and _tokens(ancestor) != _tokens(span)
        if _has_tokens(ancestor) and operation != "invoke_agent" and not has_its_own:
            yield violation(
                "usage_counted_twice", str(ancestor), f"it has token usage, and so has {span} below it"
            )
            return


def _has_tokens(span: Span) -> bool:
    return any(name in span.attributes for name in _TOKENS)


def _tokens(span: Span) -> list[object]:
    return [span.attributes.get(name) for name in _TOKENS]
