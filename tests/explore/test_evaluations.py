"""Feedback belongs to the trace that it judges: in lists, searches, pictures, frames and reports."""

from typing import Any

import pytest
from records import call, span
from span_trees import RAG, TRACE_ID

from otel_callbacks import record_feedback
from otel_callbacks.cost import per_outcome
from otel_callbacks.explore import LinkRecord, Trace, Traces, group, render_html, render_svg, render_text
from otel_callbacks.explore.index import ring
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.spans.evaluations import Evaluation
from otel_callbacks.manual import workflow
from otel_callbacks.testing import Captured


def judged(number: str, subject: str, span_id: str = "0" * 16, **attributes: Any) -> Any:
    named = {f"gen_ai__evaluation__{name}": value for name, value in attributes.items()}
    links = (LinkRecord(subject, span_id, {}),)
    return span(number, number, name="evaluation", links=links, start_ns=10**18 + int(number), **named)


HELPFUL = {"name": "helpful", "score__value": 1.0, "explanation": "It worked\nat once."}
CHAT = RAG.spans[5].span_id
JUDGED = Trace.of(
    [
        *RAG.spans,
        judged("7", TRACE_ID, **HELPFUL),
        judged("8", TRACE_ID, CHAT, name="true", score__label="pass"),
    ]
)


def test_a_trace_has_its_judgements_and_not_their_spans() -> None:
    assert [str(each) for each in JUDGED.evaluations] == ["helpful 1.0 👍", "true pass 👍"]
    assert (JUDGED.spans, JUDGED.duration, JUDGED.roots) == (RAG.spans, RAG.duration, RAG.roots)
    assert [str(each) for each in JUDGED.evaluations_of(RAG.spans[5])] == ["true pass 👍"]
    assert [trace.evaluations for trace in group([*RAG.spans, judged("7", "f" * 32, name="other")])] == [()]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"score__value": 0.0}, "q 0.0 👎"),
        ({"score__value": -2}, "q -2.0 👎"),
        ({"score__value": 4}, "q 4.0"),
        ({"score__value": 0.25, "score__label": "partly"}, "q 0.25 partly"),
        ({"score__label": "Fail"}, "q Fail 👎"),
        ({"score__value": 1.0, "score__label": "thumbs up"}, "q 1.0 👍"),
        ({"score__label": "Thumbs down"}, "q 👎"),
        ({"score__label": "x"}, "q x"),
        ({"explanation": "why"}, "q"),
    ],
)
def test_a_thumb_only_where_it_is_plain(attributes: Any, said: str) -> None:
    assert str(Evaluation.of(judged("7", TRACE_ID, name="q", **attributes))) == said


def test_terminal_picture_and_page_show_them() -> None:
    text, picture, page = render_text(JUDGED), render_svg(JUDGED), render_html(JUDGED)
    assert text.splitlines()[0].endswith("· helpful 1.0 👍 · 4bf92f35…")
    assert text.splitlines()[-1].endswith("true pass 👍 · 1,024 ca…")
    assert ">1.0 👍</text>" in picture and ">helpful</text>" in picture
    assert "<b>helpful 1.0 👍</b>" in page and "<pre>It worked\nat once.</pre>" in page
    assert "<b>true pass 👍</b> · chat gpt-4o" in page


def test_what_others_wrote_is_escaped() -> None:
    trace = Trace.of(
        [*RAG.spans, judged("7", TRACE_ID, name="<b>\x1b", score__label="\u202e<i>", explanation="<u>\x07")]
    )
    shown = render_html(trace)
    assert (
        "<u>" not in shown
        and "<b>\x1b" not in shown
        and "e<i>" not in shown
        and shown.replace("\n", "").isprintable()
    )
    assert render_text(trace).replace("\n", "").isprintable()


@pytest.fixture
def found() -> Traces:
    """Trace a was called helpful and slow, b not helpful, c nothing; judgements arrived before and after."""
    early = judged("1", "b" * 32, name="helpful", score__value=0.0)
    late = [
        judged("2", "a" * 32, name="helpful", score__value=1.0),
        judged("3", "a" * 32, name="fast", score__value=0.0),
    ]
    index = Index()
    index.add([early])
    index.add([call(trace, "1", start_ns=start) for start, trace in enumerate("abc")])
    index.add(late)
    return Traces(lambda: index)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, "abc"),
        ({"evaluation": "helpful"}, "ab"),
        ({"score": 1}, "a"),
        ({"score": 0}, "ab"),
        ({"evaluation": "helpful", "max_score": 0.5}, "b"),
        ({"evaluation": "fast", "min_score": 0.5}, ""),
        ({"evaluation": "helpful", "min_score": 0.5, "tenant": "x"}, ""),
    ],
)
def test_traces_are_found_by_what_was_said_of_them(found: Traces, filters: Any, ids: str) -> None:
    assert "".join(trace.trace_id[0] for trace in found.find(**filters)) == ids


def test_lists_and_frames(found: Traces) -> None:
    assert [len(trace.evaluations) for trace in found] == [2, 1, 0]
    assert [row["evaluations"] for row in found.to_dicts()] == [
        {"helpful": 1.0, "fast": 0.0},
        {"helpful": 0.0},
        {},
    ]
    assert list(found.to_pandas()["evaluations"])[1] == {"helpful": 0.0}
    with pytest.raises(LookupError):
        found.get("2" * 32)


def test_the_cost_per_outcome_reads_them_from_traces(found: Traces) -> None:
    rows = per_outcome(found, "helpful").rows
    assert {(row.outcome, row.tasks, row.completed) for row in rows} == {
        *((None, 1, False), ("0", 1, False), ("1", 1, True))
    }


def test_judgements_in_memory_are_of_traces_in_files(tmp_path: Any) -> None:
    files, memory = Index(tmp_path / "x"), Index()
    files.add([span("a", "1"), judged("1", "a" * 32, name="one"), judged("2", "b" * 32, name="three")])
    memory.add([judged("1", "a" * 32, name="one"), judged("3", "a" * 32, name="two"), span("b", "1")])
    memory.show_beside([tmp_path / "x"])
    shown = Traces(lambda: memory)
    assert {trace.trace_id[0]: [str(each) for each in trace.evaluations] for trace in shown} == {
        "a": ["one", "two"],
        "b": ["three"],
    }
    assert len(shown.sql("SELECT * FROM spans WHERE evaluates IS NOT NULL")) == 3


def test_feedback_does_not_hide_the_trace(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_process_ring", None)
    ring.keep_traces(captured.tracer_provider)
    with workflow("rag"):
        pass
    shown = Traces(ring.process_ring().index)
    record_feedback(shown.last(), name="helpful", score=1)
    assert str(shown.last()).splitlines()[0].startswith("invoke_workflow rag · ")
    assert (len(shown), str(shown.last().evaluations[0])) == (1, "helpful 1.0 👍")
