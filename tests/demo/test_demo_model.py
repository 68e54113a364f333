"""The local model: what it reads, quotes, embeds and calls; and the jobs that run on it."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_fakes import IGNORED

from otel_callbacks.demo import corpus, langchain_runs, llama_index_runs
from otel_callbacks.demo.corpus import Doc
from otel_callbacks.demo.endpoint import OPENAI_URL, Endpoint
from otel_callbacks.demo.extractive import UNANSWERED, answer, embed, respond
from otel_callbacks.demo.server import LocalModelServer
from otel_callbacks.demo.tool_use import ToolCall, fill
from otel_callbacks.demo.words import sentences, stems, tokens


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def function(name: str, description: str, **parameters: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def call_and_result(identifier: str, call: ToolCall, result: str) -> list[dict[str, Any]]:
    request = {"id": identifier, "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
    response = {"role": "tool", "tool_call_id": identifier, "content": result}
    return [{"role": "assistant", "content": None, "tool_calls": [request]}, response]


TEXT = {"type": "string"}
SEARCH = function("search_docs", "Search the documentation.", query=TEXT)
COUNT = function("count_functions", "Count the functions of a module.", module=TEXT)
SUMMARY = function("module_summary", "Summarise a module.", module=TEXT)
THREE_JOBS = user("Summarise the module json, count its functions, and search the docs for decoding dates.")


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


def test_stems_split_identifiers_and_drop_endings() -> None:
    assert stems("file_digest FileDigest HTTPServer") == stems("files digested; file digesting; http servers")
    assert stems("What is this?") == []


def test_splits_prose_into_sentences() -> None:
    assert sentences("One. Two\nlines! e.g. none\n\n- item") == ["One.", "Two lines! e.g. none", "- item"]


@pytest.mark.parametrize(
    "prompt",
    [
        "[1] Cats purr.\n\n[2] Dogs bark loudly.\n\nQuestion: Do dogs bark?",
        "[1] Cats purr.\n[2] Dogs bark loudly.\nQuery: Do dogs bark?\nAnswer: ",
        "Context:\n-----\n[1] Cats purr.\n[2] Dogs bark loudly.\n-----\nAnswer.\nQuery: Do dogs bark?",
        "Answer from these.\n[1] Cats purr.\n[2] Dogs bark loudly.\nDo dogs bark?",
    ],
)
def test_quotes_and_cites_the_passage_that_answers(prompt: str) -> None:
    assert respond([user(prompt)]) == "Dogs bark loudly [2]."


def test_quotes_context_of_the_system_message_and_earlier_turns() -> None:
    system = {"role": "system", "content": "The office opens at nine."}
    assert respond([system, user("When does the office open?")]) == "The office opens at nine."
    history = [user("My dog is called Rex."), {"role": "assistant", "content": "Nice."}]
    assert respond([*history, user("How is my dog called?")]) == "My dog is called Rex."


def test_does_not_quote_titles_but_reads_them() -> None:
    context = "The owl\n\nIt hoots at night.\n\nThe dog\n\nIt barks at night."
    assert respond([user(f"{context}\n\nQuestion: When does the dog bark?")]) == "It barks at night."


def test_returns_a_fixed_text_when_the_context_holds_no_answer() -> None:
    assert respond([user("[1] Cats purr.\n\nQuestion: Who won the cup?")]) == UNANSWERED
    assert answer("", []) == UNANSWERED
    assert respond([{"role": "system", "content": ""}]) == UNANSWERED


def test_calls_each_tool_that_a_question_needs_and_then_answers() -> None:
    messages, calls = [THREE_JOBS], []
    tools = [SEARCH, COUNT, SUMMARY]
    while isinstance(reply := respond(messages, tools), ToolCall):
        calls.append(reply)
        messages += call_and_result(str(len(calls)), reply, f"{reply.name} is done.")
    assert {call.name: call.arguments for call in calls} == {
        "count_functions": {"module": "json"},
        "module_summary": {"module": "json"},
        "search_docs": {"query": "search the docs for decoding dates"},
    }
    assert len(calls) == 3
    assert reply.count("is done.") == 3


def test_repeats_a_failed_call_once_and_goes_on() -> None:
    first = respond([THREE_JOBS], [COUNT, SUMMARY])
    assert isinstance(first, ToolCall)
    failed = [THREE_JOBS, *call_and_result("1", first, "Error: TimeoutError: not ready")]
    assert respond(failed, [COUNT, SUMMARY]) == first
    twice = [*failed, *call_and_result("2", first, "Error: TimeoutError: not ready")]
    assert respond(twice, [COUNT, SUMMARY]) == ToolCall("module_summary", {"module": "json"})


def test_looks_a_question_up_even_if_no_tool_shares_a_word_with_it() -> None:
    question = "How do owls hoot?"
    assert respond([user(question)], [SEARCH]) == ToolCall("search_docs", {"query": question})
    assert respond([user("Hello!")], [SEARCH]) == UNANSWERED


def test_hands_over_to_the_agent_that_the_description_lists() -> None:
    agents = {"writer": "Writes prose.", "researcher": "Looks up how a subprocess is run."}
    handoff = function("handoff", f"Hand off.\nAvailable agents:\n{agents}\n", to_agent=TEXT, reason=TEXT)
    question = "How is a subprocess run"
    call = respond([user(question)], [handoff])
    assert call == ToolCall("handoff", {"to_agent": "researcher", "reason": question})
    handed_over = [
        user(question),
        *call_and_result("1", call, "Agent researcher is now handling the request."),
    ]
    assert respond(handed_over, [SEARCH]) == ToolCall("search_docs", {"query": question})
    answered = [
        *handed_over,
        *call_and_result("2", ToolCall("search_docs", {"query": question}), "Call run."),
    ]
    assert respond(answered, [SEARCH]) == "Call run."


def test_makes_a_follow_up_question_stand_alone() -> None:
    prompt = (
        "Chat History:\n{}: Who is Rex?\nassistant: A dog.\nFollow Up Input: How old?\nStandalone question:"
    )
    for role in ("user", "Human"):
        assert respond([user(prompt.format(role))]) == "Who is Rex? How old?"


def test_fills_a_schema_from_a_text() -> None:
    schema = {
        "properties": {
            "unit": {"enum": ["metres", "miles"]},
            "low": {"type": "integer"},
            "high": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "where": {"$ref": "#/$defs/Place"},
            "exact": {"type": "boolean"},
            "names": {"type": "array", "items": {"type": "string"}},
            "optional": {"type": "string"},
        },
        "required": ["unit", "low", "high", "where", "exact", "names"],
        "type": "object",
        "$defs": {"Place": {"type": "object", "properties": {"city": TEXT}, "required": ["city"]}},
    }
    assert fill(schema, "Between 3 and 4.5 miles from the city Rome, by SHA-256") == {
        "unit": "miles",
        "low": 3,
        "high": 4.5,
        "where": {"city": "Rome"},
        "exact": False,
        "names": ["Between 3 and 4.5 miles from the city Rome, by SHA-256"],
    }


def test_embeds_texts_of_the_same_words_alike() -> None:
    assert embed("hash the files") == embed("Hashing a file!")
    assert math.hypot(*embed("hash the files")) == pytest.approx(1)
    assert len(embed("hash", 64)) == 64
    assert not any(embed(""))


def test_embeds_alike_in_every_process() -> None:
    code = "from otel_callbacks.demo.extractive import embed; print(embed('hash the files'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(embed("hash the files"))


@pytest.mark.parametrize(
    ("question", "module"),
    [
        ("How do I compute the SHA-256 digest of a file?", "hashlib"),
        ("How do I compress data with gzip?", "gzip"),
        ("How do I wrap a paragraph of text to a given width?", "textwrap"),
        ("How do I measure the execution time of small code snippets?", "timeit"),
    ],
)
def test_finds_the_right_module_among_thousands_of_documents(
    docs: list[Doc], vectors: Any, question: str, module: str
) -> None:
    nearest = np.argsort(vectors @ np.array(embed(question)))[-4:]
    assert module in [docs[place].module for place in nearest]


@pytest.fixture(scope="module")
def docs() -> list[Doc]:
    return corpus.load()


@pytest.fixture(scope="module")
def vectors(docs: list[Doc]) -> Any:
    return np.array([embed(doc.text) for doc in docs])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with LocalModelServer(delay=0) as server:
        yield Endpoint.local(server)


@pytest.fixture(scope="module")
def library(docs: list[Doc]) -> list[Doc]:
    return [doc for doc in docs if doc.module in ("hashlib", "statistics", "subprocess", "json")]


@pytest.fixture(scope="module")
def store(endpoint: Endpoint, library: list[Doc]) -> Any:
    return langchain_runs.index(library, langchain_runs.embedding_model(endpoint))


@pytest.fixture(scope="module")
def index(endpoint: Endpoint, library: list[Doc]) -> Any:
    return llama_index_runs.index(library, llama_index_runs.embedding_model(endpoint))


@pytest.mark.parametrize(
    ("run", "part"),
    [
        ("rag", "Hash the contents of a file-like object [1]."),
        ("streamed_rag", "Hash the contents of a file-like object [1]."),
        ("agent", "The module statistics documents"),
        ("supervisor", "Pass stdout=PIPE"),
    ],
)
def test_langchain_jobs_answer(endpoint: Endpoint, store: Any, run: str, part: str) -> None:
    assert part in langchain_runs.RUNS[run](endpoint, store, [])


@IGNORED
@pytest.mark.parametrize(
    ("run", "part"),
    [
        ("rag", "Hash the contents of a file-like object."),
        ("async_rag", "Hash the contents of a file-like object."),
        ("streamed_rag", "Hash the contents of a file-like object."),
        ("chat", "More algorithms may be available on your platform but the above are guaranteed"),
        ("agent", "The module statistics documents"),
        ("team", "Pass stdout=PIPE"),
        ("ingestion", "50 documents were split and embedded as"),
    ],
)
def test_llama_index_jobs_answer(endpoint: Endpoint, index: Any, run: str, part: str) -> None:
    assert part in llama_index_runs.RUNS[run](endpoint, index)


def test_uses_the_local_model_unless_another_is_named() -> None:
    with LocalModelServer() as server:
        key = {"OPENAI_API_KEY": "k"}
        assert Endpoint.from_environment(None, server, environment=key) == Endpoint.local(server)
        assert Endpoint.from_environment("gpt", server, environment=key).base_url == OPENAI_URL
        other = Endpoint.from_environment("qwen", server, environment={"OPENAI_BASE_URL": "http://here/v1"})
        assert (other.base_url, other.chat_model) == ("http://here/v1", "qwen")
        with pytest.raises(ValueError, match="OPENAI_API_KEY"):
            Endpoint.from_environment("gpt", server, environment={})
