"""Finished spans as plain data, made from spans of the OpenTelemetry SDK or of OTLP JSON documents.

Both sources give the same record. This module imports neither the SDK nor a framework, so a trace file can be read
where neither is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Self

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import COST_ATTRIBUTES, call_kind, has_recorded_cost
from otel_callbacks.explore.spans.attributes import (
    Attributes,
    integer,
    json_list,
    number,
    otlp_attributes,
    plain_attributes,
    text,
)
from otel_callbacks.limits import TOKENS_OF_A_CALL
from otel_callbacks.runtime.encodable import INT64, well_formed

# In the order of OTLP's enum; 0 is "unspecified", which OTLP reads as internal.
_KINDS = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUS_CODES = ("UNSET", "OK", "ERROR")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event of a span; `time_ns` is in nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link from a span to another span that is not its parent; ids are lower-case hex."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span.

    Ids are lower-case hex (32 and 16 digits). Times are nanoseconds since the epoch; an `end_ns` of 0 means that
    the end is unknown, as in OTLP. `kind` is `INTERNAL`, `SERVER`, `CLIENT`, `PRODUCER` or `CONSUMER`; `status` is
    `UNSET`, `OK` or `ERROR`. Arrays among the attributes are tuples. A property is None if its attribute is missing
    or has another type than the conventions ask for.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes = field(hash=False)
    events: tuple[EventRecord, ...] = field(default=(), hash=False)
    links: tuple[LinkRecord, ...] = field(default=(), hash=False)
    status: str = "UNSET"
    status_message: str = ""
    scope: str = ""
    resource: Attributes = field(default_factory=dict, hash=False)

    @classmethod
    def from_readable(cls, span: Any) -> Self:
        """Makes a record of a `ReadableSpan` of the OpenTelemetry SDK.

        Lone surrogates, which no file and no database can hold, become U+FFFD.
        """
        context = span.get_span_context()
        return cls(
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            parent_id=f"{span.parent.span_id:016x}" if span.parent else None,
            name=well_formed(span.name),
            kind=span.kind.name,
            start_ns=span.start_time or 0,
            end_ns=span.end_time or 0,
            attributes=plain_attributes(span.attributes),
            events=tuple(
                EventRecord(well_formed(event.name), event.timestamp, plain_attributes(event.attributes))
                for event in span.events
            ),
            links=tuple(
                LinkRecord(
                    f"{link.context.trace_id:032x}",
                    f"{link.context.span_id:016x}",
                    plain_attributes(link.attributes),
                )
                for link in span.links
            ),
            status=span.status.status_code.name,
            status_message=well_formed(span.status.description or ""),
            scope=well_formed(span.instrumentation_scope.name) if span.instrumentation_scope else "",
            resource=plain_attributes(span.resource.attributes),
        )

    @classmethod
    def from_otlp(cls, resource: Attributes, scope: Mapping[str, Any], span: Mapping[str, Any]) -> Self:
        """Makes a record of one span of an OTLP JSON document.

        `resource` holds the attributes of the span's resource; `scope` is the `scope` object of the document.

        Raises:
            KeyError: The span has no id.
            ValueError, TypeError, AttributeError, OverflowError: A value is not one that OTLP allows in its place.
        """
        status = span.get("status") or {}
        return cls(
            trace_id=span["traceId"].lower(),
            span_id=span["spanId"].lower(),
            parent_id=_parent_id(span.get("parentSpanId")),
            name=text(span.get("name")),
            kind=_enum(span.get("kind") or 0, "SPAN_KIND_", _KINDS),
            start_ns=_time(span.get("startTimeUnixNano")),
            end_ns=_time(span.get("endTimeUnixNano")),
            attributes=otlp_attributes(span),
            events=tuple(
                EventRecord(text(event.get("name")), _time(event.get("timeUnixNano")), otlp_attributes(event))
                for event in span.get("events") or ()
            ),
            links=tuple(
                LinkRecord(link["traceId"].lower(), link["spanId"].lower(), otlp_attributes(link))
                for link in span.get("links") or ()
            ),
            status=_enum(status.get("code") or 0, "STATUS_CODE_", _STATUS_CODES),
            status_message=text(status.get("message")),
            scope=text(scope.get("name")),
            resource=resource,
        )

    @property
    def duration(self) -> float:
        """Seconds from start to end; 0 if the end is unknown."""
        return max(0, self.end_ns - self.start_ns) / 1e9

    @property
    def operation(self) -> str | None:
        """The GenAI operation, such as `chat`, `execute_tool` or `retrieval`; None for a plain step."""
        return self._text(semconv.OPERATION_NAME)

    @property
    def is_model_call(self) -> bool:
        """Tells whether the span is itself a model call, and does not only repeat the usage of the calls below it."""
        return call_kind(self.attributes) is not None

    @property
    def model(self) -> str | None:
        """The response model, else the requested model, else that of a reranker."""
        names = (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL, semconv.RAG_RERANK_MODEL)
        return next((model for name in names if (model := self._text(name))), None)

    @property
    def provider(self) -> str | None:
        """The provider of the model."""
        return self._text(semconv.PROVIDER_NAME)

    @property
    def tenant(self) -> str | None:
        """The tenant to which the span is attributed."""
        return self._text(semconv.APP_TENANT_ID)

    @property
    def feature(self) -> str | None:
        """The feature of the application to which the span is attributed."""
        return self._text(semconv.APP_FEATURE)

    @property
    def user(self) -> str | None:
        """The user to whom the span is attributed."""
        return self._text(semconv.USER_ID)

    @property
    def session(self) -> str | None:
        """The id of the session, else of the conversation."""
        return self._text(semconv.SESSION_ID) or self._text(semconv.CONVERSATION_ID)

    @property
    def input_tokens(self) -> int | None:
        """Input tokens, including those read from and written to the provider's cache."""
        return self._count(semconv.USAGE_INPUT_TOKENS)

    @property
    def output_tokens(self) -> int | None:
        """Output tokens, including reasoning."""
        return self._count(semconv.USAGE_OUTPUT_TOKENS)

    @property
    def cache_read_tokens(self) -> int | None:
        """Input tokens read from the provider's cache."""
        return self._count(semconv.USAGE_CACHE_READ_INPUT_TOKENS)

    @property
    def cost(self) -> float | None:
        """Own cost in US dollars; None if the span has no cost, which is not the same as 0."""
        names = (*COST_ATTRIBUTES, semconv.COST_RECORDED_USD)
        costs = map(self._number, names)
        return next((cost for cost in costs if cost is not None and isfinite(cost)), None)

    @property
    def has_own_cost(self) -> bool:
        """Whether its tokens and cost are its own: those of a model call, or a cost recorded by hand."""
        return self.is_model_call or has_recorded_cost(self.attributes)

    @property
    def cost_status(self) -> str | None:
        """`priced`, `reported`, `cached`, `partial` or `unpriced`."""
        return self._text(semconv.COST_STATUS)

    @property
    def is_unpriced(self) -> bool:
        """Whether the call has no cost (`unpriced`), or lacks a part of it (`partial`)."""
        return self.cost_status in ("unpriced", "partial")

    @property
    def unpriced_reason(self) -> str | None:
        """Why the call has no cost, or what a partial one leaves out."""
        return self._text(semconv.COST_UNPRICED_REASON)

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why the model stopped, one reason per choice."""
        reasons = self.attributes.get(semconv.RESPONSE_FINISH_REASONS)
        return tuple(map(str, reasons)) if isinstance(reasons, tuple) else ()

    @property
    def time_to_first_chunk(self) -> float | None:
        """Seconds until the first chunk of a stream."""
        return self._number(semconv.RESPONSE_TIME_TO_FIRST_CHUNK)

    @property
    def tool_name(self) -> str | None:
        """The name of the tool."""
        return self._text(semconv.TOOL_NAME)

    @property
    def agent_name(self) -> str | None:
        """The name of the agent."""
        return self._text(semconv.AGENT_NAME)

    @property
    def documents_count(self) -> int | None:
        """The number of documents that a retrieval returned or a rerank kept."""
        counts = map(self._integer, (semconv.RAG_RESULTS_COUNT, semconv.RAG_RERANKED_COUNT))
        count = next((count for count in counts if count is not None), None)
        return self._recorded_documents_count() if count is None else count

    @property
    def candidates_count(self) -> int | None:
        """The number of documents that a rerank received."""
        return self._integer(semconv.RAG_CANDIDATE_COUNT)

    @property
    def top_score(self) -> float | None:
        """The score of the best document, in the unit of the retriever or reranker."""
        return self._number(semconv.RAG_TOP_SCORE)

    @property
    def outcome(self) -> str | None:
        """`abandoned`, `cancelled`, `interrupted` or `unfinished`; None if the operation ended normally or failed."""
        return self._text(semconv.OUTCOME)

    @property
    def evaluates(self) -> str | None:
        """The id of the trace that this span judges, as `record_feedback` writes it; None for any other span."""
        is_judgement = semconv.EVALUATION_NAME in self.attributes and self.links and self.parent_id is None
        return self.links[0].trace_id if is_judgement else None

    @property
    def failed(self) -> bool:
        """Tells whether the span ended in an error, its own or one that came from below."""
        return self.status == "ERROR" or semconv.ERROR_TYPE in self.attributes

    @property
    def error_type(self) -> str | None:
        """The class or code of the failure; None on success and if it was not recorded."""
        if not self.failed:
            return None
        recorded = self._exception().get(semconv.EXCEPTION_TYPE)
        return self._text(semconv.ERROR_TYPE) or (recorded if isinstance(recorded, str) else None)

    @property
    def error_message(self) -> str:
        """The message of the failure, without its type; empty on success and if it was not recorded."""
        if not self.failed:
            return ""
        recorded = self._exception().get(semconv.EXCEPTION_MESSAGE)
        if isinstance(recorded, str):
            return recorded
        error_type = self.error_type or ""
        # The SDK describes a failure as "Type: message", without the type's module.
        for prefix in (error_type, error_type.rpartition(".")[2]):
            if self.status_message.startswith(f"{prefix}: "):
                return self.status_message[len(prefix) + 2 :]
        return self.status_message

    def _exception(self) -> Attributes:
        """Returns the attributes of the last exception event."""
        return next((event.attributes for event in reversed(self.events) if event.name == "exception"), {})

    def _recorded_documents_count(self) -> int | None:
        documents = json_list(self.attributes.get(semconv.RETRIEVAL_DOCUMENTS))
        return None if documents is None else len(documents)

    def _text(self, name: str) -> str | None:
        value = self.attributes.get(name)
        return value if isinstance(value, str) else None

    def _integer(self, name: str) -> int | None:
        return integer(self.attributes.get(name))

    def _count(self, name: str) -> int | None:
        count = self._integer(name)
        return count if count is not None and 0 <= count <= TOKENS_OF_A_CALL else None

    def _number(self, name: str) -> float | None:
        return number(self.attributes.get(name))


def _parent_id(text: str | None) -> str | None:
    return text.lower() if text and text.strip("0") else None


def _time(value: Any) -> int:
    """Returns a time in nanoseconds, which must fit in the 63 bits that databases have; 0 if it is unknown."""
    time = int(value or 0)
    if time < 0 or time not in INT64:
        raise ValueError("a time is out of range")
    return time


def _enum(value: int | str, prefix: str, names: tuple[str, ...]) -> str:
    """Returns the name of an OTLP enum, which a file holds as its number or as its prefixed name."""
    if isinstance(value, str):
        name = value.removeprefix(prefix)
        if name == "UNSPECIFIED":
            return names[0]
        if name not in names:
            raise ValueError(f"unknown {prefix.rstrip('_').lower()} {value!r}")
        return name
    if not 0 <= value < len(names):
        raise ValueError(f"unknown {prefix.rstrip('_').lower()} {value!r}")
    return names[value]
