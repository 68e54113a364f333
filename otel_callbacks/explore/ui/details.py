"""What was recorded of a span, or of a whole trace, in words: facts, failures, messages, documents, costs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.cost.reporting.reports import Row, report
from otel_callbacks.explore.pictures.cells import failure_text
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.pictures.html import best_score, score_share
from otel_callbacks.explore.pictures.recorded import (
    Piece,
    answering_calls,
    conversations,
    events,
    judgement,
    texts,
)
from otel_callbacks.explore.spans.attributes import json_value
from otel_callbacks.explore.spans.content import (
    input_messages,
    instructions,
    named_json_objects,
    output_messages,
)
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace
from otel_callbacks.limits import PAGE_EXCERPT_CHARACTERS, UI_ITEMS
from otel_callbacks.runtime.untrusted_text import escaped_lines, printable

_CONTENT = (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS)


@dataclass(frozen=True, slots=True)
class Said:
    """One recorded text as it is shown: what it is, such as `user` or `arguments`, and `more` characters left out."""

    role: str
    text: str
    more: int

    @classmethod
    def of(cls, piece: Piece) -> "Said":
        """Makes the beginning of a text readable: JSON on several lines, control characters spelled out."""
        role, text = piece
        shown = text[:PAGE_EXCERPT_CHARACTERS]
        value = json_value(text) if text[:1] in ("{", "[") and len(text) <= PAGE_EXCERPT_CHARACTERS else None
        if isinstance(value, dict | list):
            shown = json.dumps(value, indent=2, ensure_ascii=False)
        shown = shown.replace("\r\n", "\n").replace("\xa0", " ").expandtabs(4)
        return cls(printable(role)[:80], escaped_lines(shown), max(0, len(text) - PAGE_EXCERPT_CHARACTERS))


@dataclass(frozen=True, slots=True)
class Found:
    """The documents that one span found, each with the share of its score bar in percent; `left_out` are not shown."""

    span_id: str
    name: str
    query: str
    score_kind: str
    documents: Sequence[tuple[RetrievedDocument, Said | None, int]]
    left_out: int


@dataclass(frozen=True, slots=True)
class Talk:
    """The messages of one model call; an earlier call has already shown `before` of them."""

    span_id: str
    name: str
    before: int
    said: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Tools:
    """The input tokens that an agent spent on tools: a head, and a row for each tool."""

    name: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Details:
    """What stands beside the waterfall, of a trace or of its span with `span_id`.

    `facts` are names and values; a fact with the name of a filter links to the traces that have the same value.
    `failures` are a span's id and name, what failed, and the stack. `costs` are rows of a report by model. `silent`
    says that there are model calls and none of their content was recorded.
    """

    span_id: str
    name: str
    facts: Sequence[tuple[str, str, str]]
    failures: Sequence[tuple[str, str, str, str]]
    evaluations: Sequence[Said]
    talks: Sequence[Talk] = ()
    texts: Sequence[Said] = ()
    found: Sequence[Found] = ()
    tools: Sequence[Tools] = ()
    costs: Sequence[Row] = ()
    events: Sequence[Said] = ()
    attributes: Sequence[Said] = ()
    silent: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)


def of_trace(trace: Trace) -> Details:
    """Returns what is known of a trace as a whole."""
    talks = list(conversations(trace))
    found = list(_found(trace.documents(), {span.span_id: span.name for span in trace.spans}))
    failures = [_failure(span) for span in trace.errors[:UI_ITEMS]]
    return Details(
        span_id="",
        name=printable(trace.name),
        facts=[
            *_labels(trace.roots[0]),
            ("trace", printable(trace.trace_id), ""),
            ("started", _time(trace.start_ns), ""),
        ],
        failures=failures,
        evaluations=_said(map(judgement, reversed(trace.evaluations))),
        talks=[
            Talk(span.span_id, printable(span.name), earlier, _said(pieces))
            for span, earlier, pieces in talks[:UI_ITEMS]
        ],
        found=found[:UI_ITEMS],
        tools=[tools for span in trace.spans if (tools := _tools(span)) is not None][:UI_ITEMS],
        costs=report(trace, by=["model"]).rows if trace.counted else (),
        silent=not talks and bool(answering_calls(trace)),
        left_out={
            "failures": len(trace.errors) - len(failures),
            "model calls with messages": max(0, len(talks) - UI_ITEMS),
            "searches": max(0, len(found) - UI_ITEMS),
        },
    )


def of_span(trace: Trace, span: SpanRecord) -> Details:
    """Returns what is known of one span."""
    messages = [*instructions(span), *input_messages(span), *output_messages(span)]
    before = max(0, len(messages) - UI_ITEMS)
    said = _said((message.role, message.text) for message in messages[before:])
    tools = _tools(span)
    own = [document for document in trace.documents() if document.span_id == span.span_id]
    return Details(
        span_id=span.span_id,
        name=printable(span.name),
        facts=list(_facts(trace, span)),
        failures=[_failure(span)] if span.failed else [],
        evaluations=_said(map(judgement, trace.evaluations_of(span))),
        talks=[Talk(span.span_id, "", before, said)] if messages else [],
        texts=_said(texts(span)),
        found=list(_found(own, {span.span_id: span.name})),
        tools=[tools] if tools is not None else [],
        events=_said(events(span)),
        attributes=_said(sorted((name, _as_text(value)) for name, value in span.attributes.items())),
        silent=not messages and span in answering_calls(trace),
    )


def _said(pieces: Iterable[Piece]) -> list[Said]:
    return [Said.of(piece) for piece in pieces]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _time(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns // 10**6 % 1000:03} UTC"


def _labels(span: SpanRecord) -> Iterator[tuple[str, str, str]]:
    """Yields the labels of a span, with the name of the filter for each."""
    for name in ("tenant", "feature", "user", "session"):
        if value := getattr(span, name):
            yield name, printable(value), value


def _facts(trace: Trace, span: SpanRecord) -> Iterator[tuple[str, str, str]]:
    """Yields the facts of a span: name, text, and the value of the filter with this name, if it is one."""
    after = (span.start_ns - trace.start_ns) / 1e9
    yield "time", format_duration(span.duration) if span.end_ns else "unknown: it has no end", ""
    yield "started", f"{format_duration(after)} after the start", ""
    for name, value in (("model", span.model), ("provider", span.provider), ("tool", span.tool_name)):
        if value:
            yield name, printable(value), value
    if span.agent_name:
        yield "agent", printable(span.agent_name), ""
    tokens = (
        ("input tokens", span.input_tokens),
        ("of them cached", span.cache_read_tokens),
        ("output tokens", span.output_tokens),
    )
    yield from ((name, f"{count:,}", "") for name, count in tokens if count is not None)
    if span.time_to_first_chunk is not None:
        yield "first chunk after", format_duration(span.time_to_first_chunk), ""
    if span.cost is not None:
        yield "cost", format_cost(span.cost), ""
    if span.cost_status:
        why = f": {printable(span.unpriced_reason)}" if span.unpriced_reason else ""
        yield "price", printable(span.cost_status) + why, ""
    for name, text in (("outcome", span.outcome or ""), ("finish reasons", ", ".join(span.finish_reasons))):
        if text:
            yield name, printable(text), ""
    yield from _labels(span)
    yield "span", printable(span.span_id), ""


def _failure(span: SpanRecord) -> tuple[str, str, str, str]:
    stacks = (event.attributes.get(semconv.EXCEPTION_STACKTRACE) for event in reversed(span.events))
    stack = next((each for each in stacks if isinstance(each, str)), "")
    shown = escaped_lines(stack[:PAGE_EXCERPT_CHARACTERS])
    return span.span_id, printable(span.name), failure_text(span, at_origin=True), shown


def _found(documents: Iterable[RetrievedDocument], names: Mapping[str, str]) -> Iterator[Found]:
    for span_id, group in groupby(documents, key=lambda document: document.span_id):
        held = list(group)
        best = best_score(held)
        shown = [
            (each, Said.of(("text", each.text)) if each.text else None, round(100 * score_share(each, best)))
            for each in held[:UI_ITEMS]
        ]
        yield Found(
            span_id,
            printable(names[span_id]),
            printable(held[0].query or ""),
            printable(held[0].score_kind or ""),
            shown,
            len(held) - len(shown),
        )


def _tools(span: SpanRecord) -> Tools | None:
    """Returns the input tokens that an agent spent on tools; None for other spans."""
    used = named_json_objects(span, semconv.ROLLUP_TOOLS)
    if not used:
        return None
    heads = list(dict.fromkeys(name for use in used.values() for name in use))
    rows = [[printable(tool)[:80], *(_cell(use.get(name)) for name in heads)] for tool, use in used.items()]
    return Tools(
        printable(span.name), [["tool", *(printable(head.replace("_", " ")) for head in heads)], *rows]
    )


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return "" if value is None else printable(str(value))[:40]
