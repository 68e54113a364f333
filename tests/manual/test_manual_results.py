"""Tests what manual operations take from methods, arguments and results."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.messages import AIMessage
from llama_index.core.schema import NodeWithScore, TextNode
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_callbacks.manual import agent, embedding, inference, rerank, retrieval, tool, workflow
from otel_callbacks.manual.messages import read_messages
from otel_callbacks.manual.results import read_documents
from otel_callbacks.operations import Document, Message, Text, ToolCall, ToolCallResponse
from otel_callbacks.privacy.policy import CAPTURE_VARIABLE
from otel_callbacks.testing import Captured, capture

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Paris."},
        }
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 40},
    },
}
ANTHROPIC: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Paris."}],
    "usage": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 20},
}
RESPONSES: dict[str, Any] = {
    "id": "resp_1",
    "model": "gpt-5",
    "output_text": "Paris.",
    "usage": {"input_tokens": 100, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 8}},
}


def attributes(captured: Captured, name: str, *prefixes: str) -> dict[str, Any]:
    """Returns the attributes with one of the prefixes, without the list of documents."""
    return {
        key: value
        for key, value in (captured.span(name).attributes or {}).items()
        if key.startswith(prefixes) and key != "rag.documents"
    }


@pytest.fixture
def with_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, "SPAN_ONLY")


# --- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("one", Document(content="one")),
        (("one", 0.5), Document(content="one", score=0.5)),
        ({"text": "one"}, Document(content="one")),
        (
            {"id": 7, "content": "one", "score": 1, "metadata": {"source": "a.md"}},
            Document(id="7", content="one", score=1.0, metadata={"source": "a.md"}),
        ),
        (({"id": "d1", "text": "one"}, 0.5), Document(id="d1", content="one", score=0.5)),
        (
            LangChainDocument("one", id="d1", metadata={"relevance_score": 0.5}),
            Document(id="d1", content="one", score=0.5, metadata={"relevance_score": 0.5}),
        ),
        ((LangChainDocument("one", id="d1"), 0.5), Document(id="d1", content="one", score=0.5)),
        (
            NodeWithScore(node=TextNode(text="one", id_="d1", metadata={"source": "a.md"}), score=0.5),
            Document(id="d1", content="one", score=0.5, metadata={"source": "a.md"}),
        ),
        (NodeWithScore(node=TextNode(text="one", id_="d1")), Document(id="d1", content="one")),
        (
            SimpleNamespace(id="d1", score=0.5, payload={"text": "one"}),  # as Qdrant has them
            Document(id="d1", content="one", score=0.5, metadata={"text": "one"}),
        ),
        (Document(id="d1"), Document(id="d1")),
        ({"id": "d1", "score": True}, Document(id="d1")),
        (object(), Document()),
    ],
)
def test_documents(found: Any, expected: Document) -> None:
    assert read_documents([found]) == [expected]


def test_a_retrieval_and_a_rerank_with_blocks(captured: Captured) -> None:
    with retrieval("docs", top_k=5, score_kind="similarity") as span:
        span.documents([("one", 0.25), ("two", 0.75)])
    with rerank("rerank-1") as span:
        span.candidates(["one", "two"])
        span.documents([("two", 0.9)])
    assert attributes(captured, "retrieval docs", "rag.", "gen_ai.retrieval") == {
        "gen_ai.retrieval.top_k": 5,
        "rag.results_count": 2,
        "rag.score_kind": "similarity",
        "rag.top_score": 0.75,
    }
    assert attributes(captured, "rerank rerank-1", "rag.") == {
        "rag.rerank_model": "rerank-1",
        "rag.candidate_count": 2,
        "rag.reranked_count": 1,
        "rag.top_score": 0.9,
    }


def test_a_retrieval_and_a_rerank_by_functions(captured: Captured) -> None:
    @retrieval("docs")
    def search(query: str, top_k: int = 2) -> list[tuple[str, float]]:
        return [("one", 0.25), ("two", 0.75)]

    @rerank
    def best(query: str, documents: Any, model: str) -> Any:
        return documents[1:]

    best("q", search("q"), "rerank-1")
    assert attributes(captured, "retrieval docs", "rag.results", "gen_ai.retrieval") == {
        "gen_ai.retrieval.top_k": 2,
        "rag.results_count": 2,
    }
    assert attributes(captured, "rerank rerank-1", "rag.") == {
        "rag.rerank_model": "rerank-1",
        "rag.candidate_count": 2,
        "rag.reranked_count": 1,
        "rag.top_score": 0.75,
    }


def test_documents_from_a_generator(captured: Captured) -> None:
    @retrieval("docs")
    def search() -> Any:
        yield "one"
        yield "two"

    list(search())
    assert attributes(captured, "retrieval docs", "rag.") == {"rag.results_count": 2}


# --- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (COMPLETION, ("gpt-4o-2024-08-06", "chatcmpl-1", ("stop",), 100, 20, 40)),
        (
            ChatCompletion.model_validate(COMPLETION),
            ("gpt-4o-2024-08-06", "chatcmpl-1", ("stop",), 100, 20, 40),
        ),
        (ANTHROPIC, ("claude-sonnet-4-5", "msg_1", ("end_turn",), 100, 20, 40)),
        (RESPONSES, ("gpt-5", "resp_1", None, 100, 20, None)),
        ("Paris.", (None, None, None, None, None, None)),
        (None, (None, None, None, None, None, None)),
    ],
)
@pytest.mark.parametrize("how", ["function", "block"])
def test_a_response(response: Any, expected: Any, how: str, captured: Captured) -> None:
    if how == "function":
        assert inference("gpt-4o")(lambda: response)() is response
    else:
        with inference("gpt-4o") as span:
            span.result(response)
    found = captured.span("chat gpt-4o").attributes or {}
    names = ("response.model", "response.id", "response.finish_reasons", "usage.input_tokens")
    names += ("usage.output_tokens", "usage.cache_read.input_tokens")
    assert tuple(found.get(f"gen_ai.{name}") for name in names) == expected


def test_events_of_a_stream(captured: Captured) -> None:
    @inference("claude-sonnet-4-5", provider="anthropic")
    def generate() -> Any:
        yield {
            "type": "message_start",
            "message": {**ANTHROPIC, "stop_reason": None, "usage": {"input_tokens": 60}},
        }
        yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Paris."}}
        yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}}

    list(generate())
    assert attributes(
        captured, "chat claude-sonnet-4-5", "gen_ai.usage", "gen_ai.response.f", "gen_ai.response.i"
    ) == {
        "gen_ai.usage.cost": 0.00048,
        "gen_ai.usage.cost_usd": 0.00048,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.output_tokens": 20,
    }


@pytest.mark.parametrize(
    "tell",
    [
        lambda span: span.usage(input_tokens=100, output_tokens=20),
        lambda span: span.usage({"prompt_tokens": 100, "completion_tokens": 20}),
        lambda span: span.usage(SimpleNamespace(input_tokens=100, output_tokens=20)),
        lambda span: span.usage(COMPLETION),
        lambda span: [span.usage(input_tokens=100), span.usage(output_tokens=20)],
        lambda span: span.usage({"prompt_tokens": 90, "completion_tokens": 20}, input_tokens=100),
    ],
)
def test_usage(tell: Any, captured: Captured) -> None:
    with workflow("w"), inference("m") as span:
        tell(span)
    found = attributes(captured, "chat m", "gen_ai.usage.input", "gen_ai.usage.output")
    assert list(found.values()) == [100, 20]
    assert attributes(captured, "invoke_workflow w", "otel_callbacks.rollup.total") == {
        "otel_callbacks.rollup.total_tokens": 120
    }


def test_a_provider_has_the_name_of_the_conventions(captured: Captured) -> None:
    with inference("m", provider="bedrock"):
        pass
    assert attributes(captured, "chat m", "gen_ai.provider") == {"gen_ai.provider.name": "aws.bedrock"}


def test_a_store_has_the_name_of_its_class(captured: Captured) -> None:
    with retrieval("docs", provider="SimpleVectorStore"):
        pass
    found = attributes(captured, "retrieval docs", "gen_ai.provider")
    assert found == {"gen_ai.provider.name": "SimpleVectorStore"}


def test_a_model_that_comes_later(captured: Captured) -> None:
    with inference() as span:
        span.model("m")
    assert attributes(captured, "chat m", "gen_ai.request", "gen_ai.operation") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
    }


def test_a_key_in_a_model_that_comes_later(captured: Captured) -> None:
    """A gateway may take a URL as the name of a model."""
    with inference() as span:
        span.model("https://gateway/v1?api_key=sk-abcdefghijklmnopqrstuvwxyz0123456789")
    (found,) = captured.spans
    assert "abcdefghijkl" not in found.to_json()
    assert found.name.startswith("chat https://gateway/v1")


def test_a_model_among_the_arguments(captured: Captured) -> None:
    @inference
    def generate(prompt: str, *, model: str = "m", temperature: float = 0.5, max_tokens: Any = "many") -> str:
        return "Paris."

    generate("q")
    generate("q", model="n")
    assert captured.tree().split("\n") == ["chat m", "chat n"]
    assert attributes(captured, "chat m", "gen_ai.request") == {
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
    }


class Array:
    """Looks like a numpy array."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]


EMBEDDED = CreateEmbeddingResponse.model_validate(
    {
        "object": "list",
        "model": "embed-1",
        "data": [{"object": "embedding", "index": index, "embedding": [0.1] * 8} for index in range(2)],
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }
)


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        ([[0.1] * 8, [0.2] * 8], (2, 8)),
        ([0.1] * 8, (1, 8)),
        (Array(2, 8), (2, 8)),
        (Array(8), (1, 8)),
        ([Array(8), Array(8)], (2, 8)),
        (EMBEDDED, (2, 8)),
        ([], (None, None)),
        ("none", (None, None)),
    ],
)
def test_vectors(vectors: Any, expected: Any, captured: Captured) -> None:
    embedding("embed-1")(lambda: vectors)()
    found = attributes(captured, "embeddings embed-1", "rag.")
    assert (found.get("rag.embedding_count"), found.get("rag.embedding_dim")) == expected


def test_arguments_by_position_after_any_number_of_others(captured: Captured) -> None:
    @inference
    def generate(*parts: str, model: str = "m", **prompt: str) -> str:
        return "Paris."

    generate("a", "b", "c", prompt="d")
    assert captured.tree() == "chat m"


def test_a_large_batch_of_embeddings_leaves_a_small_span(captured: Captured) -> None:
    embedding("embed-1")(lambda texts: [[0.1] * 3072] * len(texts))(["text"] * 1000)
    found = attributes(captured, "embeddings embed-1", "")
    assert (found["rag.embedding_count"], found["rag.embedding_dim"]) == (1000, 3072)
    assert len(json.dumps(found)) < 4096


# --- tools ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "size"),
    [("found", 5), ({"a": 1}, 8), (12, 2), (None, None), (object(), None), ({(1, 2): 3}, None)],
)
def test_the_size_of_a_tools_result(value: Any, size: int | None, captured: Captured) -> None:
    with agent("librarian", conversation_id="c1"):
        tool("look_up", call_id="call_1")(lambda: value)()
    assert attributes(captured, "execute_tool look_up", "") == {
        "gen_ai.agent.name": "librarian",
        "gen_ai.conversation.id": "c1",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "otel_callbacks.rollup.tool_calls": 1,
        **({} if size is None else {"otel_callbacks.tool.result_size": size}),
    }


# --- content -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_content")
def test_a_result_without_a_size_is_recorded_all_the_same(captured: Captured) -> None:
    circle: list[Any] = ["found"]
    circle.append(circle)
    tool("look_up")(lambda: circle)()
    assert "found" in attributes(captured, "execute_tool look_up", "")["gen_ai.tool.call.result"]


@pytest.mark.usefixtures("with_content")
def test_content_by_policy(captured: Captured) -> None:
    @tool
    def look_up(self: Any, word: str, times: int = 1) -> str:
        return "found"

    @retrieval("docs")
    def search(question: str) -> list[str]:
        return ["one"]

    @inference("m")
    def generate(prompt: str) -> Any:
        return COMPLETION

    @workflow
    def ask(question: str) -> str:
        look_up(None, "x")
        search(question)
        generate(question)
        return "Paris."

    ask("Where?")
    asked = [{"role": "user", "parts": [{"type": "text", "content": "Where?"}]}]
    answered = [
        {"role": "assistant", "parts": [{"type": "text", "content": "Paris."}], "finish_reason": "stop"}
    ]
    contents = {
        span.name: {
            key: json.loads(value) if str(value)[0] in "[{" else value
            for key, value in attributes(captured, span.name, "").items()
            if key.endswith((".messages", ".arguments", ".result", ".text", "retrieval.documents"))
        }
        for span in captured.spans
    }
    assert contents == {
        "invoke_workflow ask": {
            "gen_ai.input.messages": asked,
            "gen_ai.output.messages": [{**answered[0], "finish_reason": "unknown"}],
        },
        "execute_tool look_up": {
            "gen_ai.tool.call.arguments": {"word": "x"},
            "gen_ai.tool.call.result": "found",
        },
        "retrieval docs": {
            "gen_ai.retrieval.documents": [{"content": "one"}],
            "gen_ai.retrieval.query.text": "Where?",
        },
        "chat m": {"gen_ai.input.messages": asked, "gen_ai.output.messages": answered},
    }


@pytest.mark.usefixtures("with_content")
def test_messages_of_a_block_and_of_a_stream(captured: Captured) -> None:
    @inference("m")
    def stream() -> Any:
        yield "Par"
        yield "is."

    list(stream())
    with inference("n") as span:
        span.messages(input=[{"role": "user", "content": "Where?"}], output="Paris.")
    said = [
        attributes(captured, name, "gen_ai.output.m")["gen_ai.output.messages"]
        for name in ("chat m", "chat n")
    ]
    assert said[0] == said[1]
    assert "Where?" in attributes(captured, "chat n", "gen_ai.input")["gen_ai.input.messages"]


def test_no_content_unless_asked_for(captured: Captured) -> None:
    with inference("m") as span:
        span.messages(input="secret", output="secret")
        span.result(COMPLETION)
    with retrieval("docs", query="secret") as found:
        found.documents(["secret"])
    assert "secret" not in str([dict(span.attributes or {}) for span in captured.spans])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hi", [Message("user", (Text("hi"),))]),
        ([{"role": "system", "content": "be brief"}], [Message("system", (Text("be brief"),))]),
        ([AIMessage("hi")], [Message("assistant", (Text("hi"),))]),
        ({"role": "user", "content": [{"type": "text", "text": "hi"}]}, [Message("user", (Text("hi"),))]),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}],
            },
            [Message("assistant", (ToolCall("look_up", "c1", '{"word": "x"}'),))],
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {}}],
            },
            [Message("assistant", (ToolCall("look_up", "c1", {}),))],
        ),
        (
            {"role": "tool", "content": "found", "tool_call_id": "c1"},
            [Message("tool", (ToolCallResponse("found", "c1"),))],
        ),
        (5, None),
        ([], None),
    ],
)
def test_messages(given: Any, expected: Any) -> None:
    assert read_messages(given, "user") == expected


# --- misuse --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (lambda: retrieval("d").documents("one"), "must be a list of documents, not str"),  # type: ignore[arg-type]
        (lambda: retrieval("d").documents(5), "must be a list of documents, not int"),  # type: ignore[arg-type]
        (lambda: rerank("m", candidates="one"), "candidates must be a list of documents, not str"),  # type: ignore[call-overload]
        (lambda: tool("t").documents(["one"]), "is for Retrieval or Rerank, not for ToolExecution"),
        (lambda: retrieval("d").candidates(["one"]), "is for Rerank, not for Retrieval"),
        (lambda: inference("m").usage(tokens=5), "usage.tokens=5.: takes integers, as input_tokens"),
        (lambda: inference("m").usage(input_tokens="5"), "takes integers"),  # type: ignore[arg-type]
        (lambda: inference("m").usage("lots"), "takes a provider's report or response, not 'lots'"),
        (lambda: tool("t").usage(input_tokens=5), "is for Inference or Embedding"),
        (lambda: inference().model(None), "takes the name of a model, not NoneType"),  # type: ignore[arg-type]
        (lambda: tool("t").messages(input="q"), "is for Inference or AgentInvocation or Workflow"),
    ],
)
def test_misuse_raises_at_the_call(tell: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tell()


def test_what_comes_after_the_end_is_ignored(captured: Captured) -> None:
    with retrieval("docs") as span:
        pass
    span.documents(["one"])
    span.result(["one"])
    assert "rag.results_count" not in attributes(captured, "retrieval docs", "")


def test_unsampled_operations_still_roll_up_to_the_metrics() -> None:
    with capture(ALWAYS_OFF) as captured, inference("m") as span:
        span.usage(input_tokens=100, output_tokens=20)
    assert captured.metrics()["gen_ai.client.inference.usage.input_tokens"][0].value == 100
