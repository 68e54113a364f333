import json

import pytest
from explore_trees import CAPTURED, NASTY
from nbconvert.filters.strings import clean_html
from span_trees import RAG, SUPERVISOR, span, tree, usage


def found(*ids):
    return json.dumps([{"rank": rank, "id": document} for rank, document in enumerate(ids, 1)])


OTHER = tree(
    span(0, "invoke_workflow rag", 0, 1100),
    span(1, "rewrite", 0, 2),
    span(1, "retrieval product-docs", 2, 40, rag__documents=found("doc-7", "doc-1")),
    span(1, "chat gpt-4o-mini", 137, 900, **usage(1184, 126, 0.0004)),
)


def steps(difference):
    return [(step.depth, step.change, step.name) for step in difference.steps]


def test_the_diff_of_two_versions():
    expected = """
a: invoke_workflow rag · 4bf92f3577b34da6a3ce929d0e0e4736
b: invoke_workflow rag · 4bf92f3577b34da6a3ce929d0e0e4736

               a        b        change
time           1.42 s   1.10 s   −320 ms
prompt tokens  2,184    1,184    −1,000
output tokens  126      126
cost           $0.0054  $0.0004  −$0.0050
model calls    3        1        −2

   step                              time                    prompt  output               cost  documents
   invoke_workflow rag               1.42 s → 1.10 s
+    rewrite                         → 2 ms
     retrieval product-docs          5 ms → 40 ms                                               + doc-1  − doc-2
−    rerank bge                      5 ms →                                                     − doc-7
     chat gpt-4o → chat gpt-4o-mini  1.28 s → 900 ms  2,184 → 1,184     126  $0.0054 → $0.0004
−    chat gpt-4o                     12 ms →
"""
    assert str(CAPTURED.diff(OTHER)) == expected.strip()


def test_a_trace_does_not_differ_from_itself():
    difference = SUPERVISOR.diff(SUPERVISOR)
    assert {(step.change, step.gained, step.lost) for step in difference.steps} == {("", (), ())}
    assert [step.a for step in difference.steps] == list(SUPERVISOR.walk())
    assert "→" not in str(difference)


def test_only_traces_can_be_compared():
    with pytest.raises(TypeError, match=r"other must be a Trace, such as traces.get\('4bf9'\) returns"):
        SUPERVISOR.diff("4bf9")


def test_steps_of_the_same_name_correspond_by_their_occurrence():
    def runs(*names):
        return tree(span(0, "r", 0, 9), *(span(1, name, place, 1) for place, name in enumerate(names)))

    difference = runs("model", "tools", "model").diff(runs("model", "tools", "model", "tools", "model"))
    assert [change for _, change, _ in steps(difference)] == ["", "", "", "", "added", "added"]


def test_added_steps_appear_in_place_with_the_steps_below_them():
    a = tree(span(0, "r", 0, 9), span(1, "b", 2, 1), span(1, "d", 4, 1))
    b = tree(
        *(
            span(0, "r", 0, 9),
            span(1, "a", 0, 1),
            span(1, "b", 2, 1),
            span(1, "c", 3, 1),
            span(2, "below", 3, 1),
        ),
        span(1, "d", 4, 1),
    )
    expected = [
        (0, "", "r"),
        (1, "added", "a"),
        (1, "", "b"),
        (1, "added", "c"),
        (2, "added", "below"),
        (1, "", "d"),
    ]
    assert steps(a.diff(b)) == expected
    assert {change for _, change, _ in steps(b.diff(a))} == {"", "removed"}


def test_calls_of_different_models_correspond():
    a = tree(span(0, "r", 0, 9), span(1, "chat gpt-4o", 0, 1), span(1, "parse", 1, 1))
    b = tree(span(0, "r", 0, 9), span(1, "chat gpt-4o-mini", 0, 1), span(1, "format", 1, 1))
    assert steps(a.diff(b))[1:] == [
        (1, "", "chat gpt-4o → chat gpt-4o-mini"),
        (1, "added", "format"),
        (1, "removed", "parse"),
    ]


def test_several_roots_correspond_like_siblings():
    a, b = tree(span(0, "x", 0, 1), span(0, "y", 1, 1)), tree(span(0, "y", 0, 1))
    assert steps(a.diff(b)) == [(0, "removed", "x"), (0, "", "y")]


def test_gained_and_lost_documents_appear_at_their_step():
    (retrieval,) = (step for step in CAPTURED.diff(OTHER).steps if step.name == "retrieval product-docs")
    assert (retrieval.gained, retrieval.lost) == (("doc-1",), ("doc-2",))


def test_a_notebook_shows_html_that_survives_sanitising():
    bundle = CAPTURED.diff(OTHER)._repr_mimebundle_()
    assert clean_html(bundle["text/html"]) == bundle["text/html"]
    assert bundle["text/plain"] == str(CAPTURED.diff(OTHER))


@pytest.mark.parametrize("content", NASTY.values(), ids=NASTY)
def test_everything_is_escaped(content):
    other = tree(
        span(0, "r", 0, 9), span(1, content, 0, 1), span(1, "retrieval", 0, 1, rag__documents=found(content))
    )
    html = RAG.diff(other)._repr_mimebundle_()["text/html"]
    assert clean_html(html) == html
    assert html.replace("\n", "").isprintable()


def test_only_the_shown_steps_of_a_big_diff_are_limited():
    big = tree(span(0, "r", 0, 9), *(span(1, f"step {n}", n, 1) for n in range(499)))
    assert len(RAG.diff(big).steps) == 505
    assert str(RAG.diff(big)).endswith("\n… 445 more steps")
