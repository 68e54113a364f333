import json
import sys

import pytest
from explore_trees import CAPTURED
from span_trees import AGENT, RAG, span, tree
from ui_pages import get

from otel_callbacks.explore import Traces
from otel_callbacks.explore.frames import (
    PHOENIX_COLUMNS,
    RAGAS_COLUMNS,
    documents_frame,
    rag_frame,
    spans_frame,
    to_dicts,
)


def test_spans_as_dictionaries():
    first = to_dicts([RAG, AGENT])[0]
    assert (first["name"], first["duration"], first["cost"]) == ("invoke_workflow rag", 1.42, None)
    assert first["attributes"] == {"gen_ai.operation.name": "invoke_workflow"}
    assert len(to_dicts([RAG, AGENT])) == 22


def test_a_row_per_span_with_its_attributes_as_columns():
    frame = spans_frame([RAG])
    assert list(frame["name"])[:2] == ["invoke_workflow rag", "retrieval product-docs"]
    assert frame["start"].dt.tz is not None
    assert frame.loc[frame["operation"] == "retrieval", "rag.results_count"].tolist() == [20]


def test_a_row_per_document():
    frame = documents_frame([CAPTURED])
    shown = frame[["query", "rank", "id", "score", "kept", "in_prompt", "source"]].values.tolist()
    assert shown[:2] == [
        ["reset password", 1, "doc-7", 0.8312, True, True, "guide.md"],
        ["reset password", 2, "doc-2", 0.41, False, False, "faq.md"],
    ]
    assert set(PHOENIX_COLUMNS.values()) <= set(frame.rename(columns=PHOENIX_COLUMNS).columns)


def test_a_row_per_trace_with_a_retrieval():
    (row,) = rag_frame([CAPTURED, AGENT]).to_dict("records")
    assert row == {
        "trace_id": CAPTURED.trace_id,
        "question": "How do I reset my password?",
        "contexts": ["Open\nSettings."],
        "answer": "You are welcome.",
        "cost": 0.0054,
        "latency": CAPTURED.duration,
        "input_tokens": 2184,
        "output_tokens": 126,
        "evaluations": {},
    }
    assert set(RAGAS_COLUMNS) <= set(row)


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ('{"q": "Why?"}', "Why?"),  # what a chain is given
        ('{"q": "Why?", "k": 3}', '{"q": "Why?", "k": 3}'),
        ('{"k": 3}', '{"k": 3}'),
        ('{"q": "Why', '{"q": "Why'),
        ("[1]", "[1]"),
        ("Why?", "Why?"),
    ],
)
def test_the_question_of_a_chain_is_its_only_text(said, question):
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}])
    asked = tree(
        span(0, "invoke_workflow rag", 0, 1, gen_ai__input__messages=messages),
        span(
            1,
            "retrieval",
            0,
            1,
            gen_ai__operation__name="retrieval",
            rag__documents='[{"rank": 1, "id": "d"}]',
        ),
    )
    assert rag_frame([asked])["question"].tolist() == [question]
    page = get(Traces.of(asked.spans), "./")
    assert question in page.rows[1][1]


def test_contexts_are_those_of_the_last_retrieval_if_no_span_lists_in_prompt_documents():
    def found(name, *texts):
        return span(
            1, name, 0, 1, gen_ai__retrieval__documents=json.dumps([{"content": text} for text in texts])
        )

    trace = tree(span(0, "r", 0, 9), found("retrieval", "one", "two"), found("rerank", "two"))
    assert rag_frame([trace])["contexts"].tolist() == [["two"]]


def test_without_content_rag_rows_still_have_costs_and_times():
    (row,) = rag_frame([RAG]).to_dict("records")
    assert (row["question"], row["contexts"], row["answer"], row["latency"]) == (None, [], None, 1.42)


def test_columns_with_gaps_keep_integers_and_bools():
    tokens = spans_frame([RAG])["input_tokens"]
    assert tokens.isna().any() and tokens.dropna().map(type).eq(int).all()
    found = documents_frame([CAPTURED, RAG])
    assert found["kept"].isna().any() and len(found[found["kept"]]) == found["kept"].sum() > 0


@pytest.mark.parametrize("frame", [spans_frame, documents_frame, rag_frame])
def test_empty_frames_have_their_columns(frame):
    assert frame([]).empty
    assert "trace_id" in frame([]).columns


def test_the_error_for_missing_pandas_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"pandas.*pip install 'otel-callbacks\[notebook\]'"):
        documents_frame([RAG])
