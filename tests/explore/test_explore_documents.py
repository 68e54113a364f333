import json

from span_trees import span, tree


def found(name, *ids, start=0, **attributes):
    listed = [{"rank": rank, "id": document} for rank, document in enumerate(ids, 1)]
    return span(1, name, start, 1, rag__documents=json.dumps(listed), **attributes)


def fates(trace, field):
    return [(document.operation, document.key, getattr(document, field)) for document in trace.documents()]


def test_a_document_has_exactly_the_recorded_facts():
    fact = {
        "rank": 1,
        "id": "d1",
        "score": 0.5,
        "score_kind": "distance",
        "source": "a.pdf",
        "page": 7,
        "chunk": 2,
    }
    trace = tree(
        span(0, "retrieval x", 0, 1, rag__documents=json.dumps([{**fact, "size": 80}]), rag__query="q")
    )
    (document,) = trace.documents()
    values = {name: getattr(document, name) for name in document.__slots__ if not name.endswith("_id")}
    assert values == {
        **fact,
        "page": "7",
        "chunk": "2",
        "size": 80,
        "operation": "retrieval",
        "query": "q",
        **dict.fromkeys(["rank_before", "kept", "in_prompt", "cited", "text"]),
    }


def test_text_comes_from_recorded_content():
    listed = [{"id": "d1", "content": "one"}, {"id": "d2", "content": "two"}]
    trace = tree(
        span(0, "r", 0, 9), found("retrieval", "d1", "d2", gen_ai__retrieval__documents=json.dumps(listed))
    )
    assert fates(trace, "text") == [("retrieval", "d1", "one"), ("retrieval", "d2", "two")]


def test_recorded_content_alone_is_enough():
    listed = [
        {"id": "d1", "score": 0.5, "content": "one", "metadata": {"file_path": "a.md"}, "rank_before": 4}
    ]
    trace = tree(span(0, "rerank", 0, 9, gen_ai__retrieval__documents=json.dumps(listed)))
    (document,) = trace.documents()
    assert (document.rank, document.rank_before, document.source, document.text) == (1, 5, "a.md", "one")


def test_damaged_or_foreign_json_is_no_document():
    for value in ('[{"id": "d1"', '{"id": "d1"}', '["d1", 7]', 7):
        assert tree(span(0, "retrieval", 0, 9, rag__documents=value)).documents() == []


def test_a_document_is_kept_when_the_rerank_that_follows_keeps_it():
    trace = tree(
        span(0, "r", 0, 9),
        found("retrieval", "a", "b", start=1),
        found("retrieval", "b", "c", start=2),
        found("rerank", "c", "b", start=3),
    )
    assert [kept for _, _, kept in fates(trace, "kept")] == [False, True, True, True, None, None]


def test_a_rerank_after_the_next_model_call_is_another_one():
    trace = tree(
        *(span(0, "r", 0, 9), found("retrieval", "a", start=1), span(1, "chat m", 2, 1)),
        *(found("retrieval", "b", start=3), span(1, "embeddings m", 4, 1), found("rerank", "b", start=5)),
    )
    assert [kept for _, _, kept in fates(trace, "kept")] == [None, True, None]


def test_a_rerank_without_recorded_documents_decides_nothing():
    silent = tree(span(0, "r", 0, 9), found("retrieval", "a"), span(1, "rerank", 1, 1, rag__reranked_count=1))
    empty = tree(span(0, "r", 0, 9), found("retrieval", "a"), span(1, "rerank", 1, 1, rag__reranked_count=0))
    assert [fates(silent, "kept")[0][2], fates(empty, "kept")[0][2]] == [None, False]


def test_in_prompt_and_cited_documents_are_matched_by_id_or_rank():
    chat = span(1, "chat m", 5, 1, rag__prompt_documents=("a", "#2"), rag__documents_cited=0)
    trace = tree(span(0, "r", 0, 9), found("retrieval", "a", None, "c"), chat)
    assert fates(trace, "in_prompt") == [
        ("retrieval", "a", True),
        ("retrieval", "#2", True),
        ("retrieval", "c", False),
    ]
    assert [cited for _, _, cited in fates(trace, "cited")] == [False, False, False]


def test_without_a_list_of_in_prompt_documents_in_prompt_is_unknown():
    assert fates(tree(span(0, "r", 0, 9), found("retrieval", "a")), "in_prompt") == [("retrieval", "a", None)]
