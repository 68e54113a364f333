"""Tests feedback on traces, which may have ended long ago, and the ids that name them."""

import asyncio
import uuid
from types import SimpleNamespace
from typing import Any

import fakes
import llama_fakes
import pytest
from langchain_core.runnables import RunnableLambda
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index_instrumentation.span import active_span_id
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags

from otel_callbacks import ContentPolicy, attribution, content
from otel_callbacks.conformance import check_spans
from otel_callbacks.explore import SpanRecord, group
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.manual import inference, step, workflow
from otel_callbacks.manual.feedback import current_trace_id, record_feedback
from otel_callbacks.privacy.policy import CAPTURE_VARIABLE
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

TRACE, SPAN = 0xABC, 0xDEF
PARENT = f"00-{TRACE:032x}-{SPAN:016x}-01"
UNSAMPLED = f"00-{TRACE:032x}-{SPAN:016x}-00"


def read(captured: Captured) -> Any:
    """Returns a finished SDK span."""
    with step("judged"):
        pass
    return captured.spans[0]


def test_an_event_there_and_a_span_that_links(captured: Captured) -> None:
    record_feedback(PARENT, name="helpful", score=1, label="yes", explanation="it was")
    (event,), (span,) = captured.events, captured.spans
    judged = {
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.label": "yes",
        "gen_ai.evaluation.score.value": 1.0,
    }
    assert (event.event_name, event.attributes) == ("gen_ai.evaluation.result", judged)
    assert (event.trace_id, event.span_id) == (TRACE, SPAN)
    assert (span.name, span.parent, dict(span.attributes or {})) == ("evaluation helpful", None, judged)
    (link,) = span.links
    assert (link.context.trace_id, link.context.span_id) == (TRACE, SPAN)
    assert span.context.trace_id != TRACE
    assert check_spans(captured.spans) == []


@pytest.mark.parametrize(
    ("policy", "on_span", "in_event"),
    [("SPAN_ONLY", True, False), ("EVENT_ONLY", False, True), ("SPAN_AND_EVENT", True, True)],
)
def test_the_explanation_is_content(
    policy: str,
    on_span: bool,
    in_event: bool,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, policy)
    captured: Captured = request.getfixturevalue("captured")
    record_feedback(PARENT, name="helpful", explanation="it was")
    assert ("gen_ai.evaluation.explanation" in (captured.spans[0].attributes or {})) is on_span
    assert ("gen_ai.evaluation.explanation" in captured.events[0].attributes) is in_event


def test_explanations_and_labels_are_redacted(captured: Captured) -> None:
    policy = ContentPolicy("both", redact=("emails",))
    with content(policy), attribution(user="ann@example.org"):
        record_feedback(PARENT, name="helpful", explanation="ask ann@example.org")
    on_span, in_event = captured.spans[0].attributes or {}, captured.events[0].attributes
    assert on_span["user.id"] == "[redacted:email]"
    assert {recorded["gen_ai.evaluation.explanation"] for recorded in (on_span, in_event)} == {
        "ask [redacted:email]"
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("0xabc",), (TRACE, 0, 1)),
        ((f"{TRACE:032X}", f"0x{SPAN:016x}"), (TRACE, SPAN, 1)),
        ((TRACE, SPAN), (TRACE, SPAN, 1)),
        ((PARENT,), (TRACE, SPAN, 1)),
        ((UNSAMPLED,), (TRACE, SPAN, 0)),
        ((UNSAMPLED, 5), (TRACE, 5, 0)),
        ((TRACE, PARENT), (TRACE, SPAN, 1)),
        ((TRACE, UNSAMPLED), (TRACE, SPAN, 0)),
        ((SpanContext(TRACE, SPAN, False, TraceFlags(0)),), (TRACE, SPAN, 0)),
    ],
)
def test_how_a_trace_can_be_named(given: Any, expected: Any, captured: Captured) -> None:
    record_feedback(*given, name="helpful", score=1)
    context = captured.spans[0].links[0].context
    assert (context.trace_id, context.span_id, context.trace_flags) == expected


@pytest.mark.parametrize(
    "named",
    [
        lambda span: span,
        lambda span: SpanRecord.from_readable(span),
        lambda span: group([SpanRecord.from_readable(span)])[0],
        lambda span: trace.NonRecordingSpan(span.context),
    ],
)
def test_spans_and_traces_name_themselves(named: Any, captured: Captured) -> None:
    span = read(captured)
    record_feedback(named(span), name="helpful", score=1)
    (event,) = captured.events
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)


def test_a_judge_in_the_run_judges_what_it_is_in(captured: Captured) -> None:
    with workflow("w"):
        with inference("m"):
            record_feedback(trace.get_current_span(), name="grounded", label="pass")
        assert current_trace_id() == f"{1:032x}"
    assert captured.tree() == "invoke_workflow w\n  chat m\nevaluation grounded"
    assert captured.events[0].span_id == captured.span("chat m").context.span_id
    assert current_trace_id() is None


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("last",), {"score": 1}, ValueError, "trace='last' is not an id; give ids"),
        ((0,), {"score": 1}, ValueError, "trace=0 is not a trace id"),
        (("abc",), {"score": 1}, ValueError, "trace='abc' is not an id; give ids .32 or 16 hex digits"),
        (("1" * 33,), {"score": 1}, ValueError, "is not a trace id, which has up to 32 hex digits"),
        ((1, 2**64), {"score": 1}, ValueError, "is not a span id, which has up to 16 hex digits"),
        ((None,), {"score": 1}, TypeError, "trace must be ids .* not NoneType"),
        ((SimpleNamespace(),), {"score": 1}, TypeError, "trace must be ids"),
        ((1, PARENT), {"score": 1}, ValueError, "is not in the trace 0{31}1"),
        ((1,), {}, ValueError, "give a score, a label or an explanation"),
        ((1,), {"score": "5"}, TypeError, "score must be a number, not str: '5'"),
        ((1,), {"score": float("nan")}, ValueError, "score=nan is not a score"),
        ((1,), {"label": 5}, TypeError, "label must be a string, not int: 5"),
        ((1,), {"name": "", "score": 1}, ValueError, "name is empty; it must say what is judged"),
    ],
)
def test_misuse(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        record_feedback(*arguments, **{"name": "helpful", **options})


def test_suppressed(captured: Captured) -> None:
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    record_feedback(TRACE, name="helpful", score=1)
    context_api.detach(token)
    assert (captured.spans, captured.events) == ([], [])


# --- trace ids -----------------------------------------------------------------------------------------------------


async def test_the_trace_of_a_run_id_under_concurrency(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    inside: dict[uuid.UUID, str | None] = {}

    async def ask(run_id: uuid.UUID) -> None:
        async def body(given: Any) -> Any:
            await asyncio.sleep(0)
            inside[run_id] = current_trace_id()
            return given

        chain = RunnableLambda(body) | fakes.ScriptedModel()
        await chain.ainvoke("q", {"callbacks": [handler], "run_id": run_id})

    ids = [uuid.uuid4() for _ in range(20)]
    await asyncio.gather(*map(ask, ids))
    assert len(set(inside.values())) == 20
    assert inside == {run_id: handler.trace_id(run_id) for run_id in ids}


async def test_the_trace_of_a_stream_while_it_is_read(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    model, run_id = fakes.ScriptedModel(script=["a b"]), uuid.uuid4()
    stream = model.astream("q", {"callbacks": [handler], "run_id": run_id})
    await anext(stream)
    assert handler.trace_id(str(run_id)) == f"{1:032x}"
    assert captured.spans == []
    async for _ in stream:
        pass
    assert handler.trace_id(run_id) == f"{1:032x}"
    async for event in model.astream_events("q", {"callbacks": [handler]}):
        assert handler.trace_id(event["run_id"]) == f"{2:032x}"


async def test_a_run_within_an_operation_by_hand_is_found(captured: Captured) -> None:
    handler, run_id = OTelCallbackHandler(**captured.providers), uuid.uuid4()
    with workflow("w"):
        fakes.ScriptedModel().invoke("q", {"callbacks": [handler], "run_id": run_id})
    assert handler.trace_id(run_id) == f"{1:032x}"


def test_unknown_runs(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    assert [handler.trace_id(uuid.uuid4()), handler.trace_id("no uuid")] == [None, None]
    with pytest.raises(TypeError, match="run_id must be a UUID or a string, not int: 5"):
        handler.trace_id(5)  # type: ignore[arg-type]


def test_only_so_many_calls_are_remembered(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_callbacks.limits.ROOT_TRACE_IDS", 2)
    handler, ids = OTelCallbackHandler(**captured.providers), [uuid.uuid4() for _ in range(3)]
    for run_id in ids:
        fakes.ScriptedModel().invoke("q", {"callbacks": [handler], "run_id": run_id})
    assert [handler.trace_id(run_id) for run_id in ids] == [None, f"{2:032x}", f"{3:032x}"]


def test_the_trace_of_a_llama_index_report(captured: Captured) -> None:
    handler, seen = OTelCallbackHandler(**captured.providers), []
    Settings.callback_manager = CallbackManager([handler])
    llama_fakes.ScriptedModel(body=lambda: seen.append(active_span_id.get())).complete("q")
    assert handler.trace_id(str(seen[0])) == f"{1:032x}"
