"""Traces for the tests of pictures."""

import json

from span_trees import span, tree, usage

NASTY = {
    "script": "<script>alert(1)</script>",
    "cdata": "]]> & \"quoted\" 'too' <![CDATA[",
    "right-to-left": "abc\u202edef\u200f",
    "control": "nul\0 bell\x07 escape\x1b[31m \ufffe \udcff",
    "long": "x" * 10_000,
    "hebrew": "שלום עולם",
    "chinese": "检索文档" * 30,
}

FAN = tree(
    span(0, "batch", 0, 5000),
    *(span(1, "chat gpt-4o", n * 9, 8, **usage(100, 10, 0.001)) for n in range(300)),
    *(span(1, "chat gpt-4o", 3000 + n * 9, 8, error="RateLimitError: 429") for n in range(198)),
    span(1, "chat gpt-4o", 4990, 10, **usage(7)),
)
DEEP = tree(*(span(depth, f"step {depth}", depth, 500 - depth) for depth in range(500)))


def messages(*said):
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said])


def retrieval(name, *documents, start=0, **attributes):
    listed = json.dumps([{"rank": rank, **document} for rank, document in enumerate(documents, 1)])
    return span(1, name, start, 5, rag__documents=listed, **attributes)


QUESTION = ("system", "Answer from the context.\n    Be brief."), ("user", "How do I reset my password?")
ANSWER = ("assistant", "Open Settings [1].")
CAPTURED = tree(
    span(0, "invoke_workflow rag", 0, 1420, app__tenant_id="acme"),
    retrieval(
        "retrieval product-docs",
        {"id": "doc-7", "score": 0.8312, "source": "guide.md", "page": 3, "size": 812},
        {"id": "doc-2", "score": 0.41, "source": "faq.md", "chunk": 4, "size": 1420},
        rag__query="reset password",
        rag__score_kind="similarity",
        gen_ai__retrieval__documents=json.dumps(
            [{"id": "doc-7", "content": "Open\nSettings."}, {"content": "No."}]
        ),
    ),
    retrieval("rerank bge", {"id": "doc-7", "score": 0.97, "rank_before": 1}, start=6),
    span(
        *(1, "chat gpt-4o", 137, 1282),
        **usage(2184, 126, 0.0054),
        rag__prompt_documents=("doc-7",),
        rag__cited_documents=("doc-7",),
        gen_ai__input__messages=messages(*QUESTION),
        gen_ai__output__messages=messages(ANSWER),
    ),
    span(
        *(1, "chat gpt-4o", 1400, 12),
        gen_ai__input__messages=messages(*QUESTION, ANSWER, ("user", "thanks")),
        gen_ai__output__messages=messages(("assistant", "You are welcome.")),
    ),
)
