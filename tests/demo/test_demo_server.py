"""The local server speaks the OpenAI protocol: to the real client, and to plain HTTP."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from otel_callbacks.demo.server import LocalModelServer

MODEL, EMBEDDING_MODEL = "extractive-1", "hashed-tfidf-256"
PROMPT = [{"role": "user", "content": "[1] Pigeons coo. Owls hoot at night.\n\nQuestion: When do owls hoot?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK_WEATHER = [{"role": "user", "content": 'What is the weather in "Rome"?'}]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalModelServer]:
    with LocalModelServer(delay=0) as running:
        yield running


@pytest.fixture
def client(server: LocalModelServer) -> Iterator[Any]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as connected:
        yield connected


def post(server: LocalModelServer, path: str, body: bytes) -> tuple[int, Any]:
    request = Request(server.base_url + path, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_answers_with_a_cited_sentence_and_counts_tokens(client: Any) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=PROMPT)
    assert completion.choices[0].message.content == "Owls hoot at night [1]."
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (22, 8)
    assert usage.total_tokens == 30
    assert usage.completion_tokens_details.reasoning_tokens == 0
    assert completion.id.startswith("chatcmpl-")
    assert completion.system_fingerprint


def test_streams_the_same_answer_and_then_the_usage(client: Any) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=PROMPT)
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True, stream_options=options)
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert deltas[0].role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_streams_no_usage_by_default(client: Any) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_calls_a_tool_and_answers_from_its_result(client: Any) -> None:
    first = client.chat.completions.create(model=MODEL, messages=ASK_WEATHER, tools=[WEATHER])
    [call] = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Rome"}')
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 31 degrees."}
    messages = [*ASK_WEATHER, first.choices[0].message, result]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "Sunny, 31 degrees."


def test_streams_a_tool_call_in_pieces(client: Any) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=ASK_WEATHER, tools=[WEATHER], stream=True)
    choices = [chunk.choices[0] for chunk in stream]
    pieces = [choice.delta.tool_calls[0] for choice in choices if choice.delta.tool_calls]
    assert pieces[0].id.startswith("call_")
    assert pieces[0].function.name == "weather"
    assert all(piece.id is None for piece in pieces[1:])
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"city": "Rome"}
    assert choices[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_honours_a_forced_tool(client: Any, choice: Any) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=PROMPT, tools=[WEATHER], tool_choice=choice
    )
    assert completion.choices[0].message.tool_calls[0].function.name == "weather"


def test_calls_no_tool_if_tool_choice_is_none(client: Any) -> None:
    request = {"model": MODEL, "messages": ASK_WEATHER, "tools": [WEATHER]}
    completion = client.chat.completions.create(**request, tool_choice="none")
    assert completion.choices[0].message.tool_calls is None


def test_cuts_at_the_token_limit(client: Any) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=PROMPT, max_tokens=2)
    assert completion.choices[0].message.content == "Owls hoot"
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 2


def test_stops_at_a_stop_sequence(client: Any) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=PROMPT, stop=[" at"])
    assert completion.choices[0].message.content == "Owls hoot"
    assert completion.choices[0].finish_reason == "stop"


def test_fills_a_json_schema(client: Any) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    completion = client.chat.completions.create(model=MODEL, messages=PROMPT, response_format=wanted)
    assert json.loads(completion.choices[0].message.content) == {"text": "Owls hoot at night [1]."}


def test_counts_a_long_prefix_seen_before_as_cached(client: Any) -> None:
    def cached(start: str, words: int) -> int:
        messages = [{"role": "user", "content": start + " word" * words}]
        usage = client.chat.completions.create(model=MODEL, messages=messages).usage
        return int(usage.prompt_tokens_details.cached_tokens)

    assert cached("long", 1500) == 0
    assert cached("long", 1400) == 1280  # 1403 tokens in common, in steps of 128
    assert cached("long", 900) == 0  # too short to count
    assert cached("other", 1500) == 0


def test_embeds_alike_as_floats_and_as_base64(client: Any) -> None:
    packed = client.embeddings.create(model=EMBEDDING_MODEL, input="a red house")
    plain = client.embeddings.create(model=EMBEDDING_MODEL, input=["a red house"], encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert len(plain.data[0].embedding) == 256
    assert plain.usage.prompt_tokens == 3


def test_embeds_lists_of_token_ids_with_the_requested_dimensions(client: Any) -> None:
    ids = [[5, 6, 7], [5, 6, 8]]
    response = client.embeddings.create(model=EMBEDDING_MODEL, input=ids, dimensions=64)
    assert [item.index for item in response.data] == [0, 1]
    assert {len(item.embedding) for item in response.data} == {64}
    assert response.usage.prompt_tokens == 6
    single = client.embeddings.create(model=EMBEDDING_MODEL, input=ids[0], dimensions=64)
    assert single.data[0].embedding == response.data[0].embedding


def test_lists_its_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == [MODEL, EMBEDDING_MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "pope", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": 1}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"stream_options": 1}, "stream_options"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_refuses_what_it_cannot_serve(client: Any, change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(**{"model": MODEL, "messages": PROMPT, **change})
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize("change", [{"input": []}, {"input": [1.5]}, {"input": "x", "dimensions": 0}])
def test_refuses_malformed_embedding_requests(client: Any, change: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        client.embeddings.create(**{"model": EMBEDDING_MODEL, **change})


def test_knows_no_other_model(client: Any) -> None:
    with pytest.raises(NotFoundError) as refused:
        client.chat.completions.create(model="gpt-5", messages=PROMPT)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/chat/completions", b"{", 400, "invalid_json"),
        ("/chat/completions", b"[]", 400, None),
        ("/chat/completions", b"{}", 400, None),
        ("/audio/speech", b"{}", 404, "unknown_url"),
        ("/models", b"{}", 404, "unknown_url"),
    ],
)
def test_errors_have_the_shape_of_the_protocol(
    server: LocalModelServer, path: str, body: bytes, status: int, code: str | None
) -> None:
    answered, content = post(server, path, body)
    assert answered == status
    assert set(content["error"]) == {"message", "type", "param", "code"}
    assert content["error"]["code"] == code


def test_keeps_a_connection_alive_over_answers_errors_and_streams(server: LocalModelServer) -> None:
    connection = http.client.HTTPConnection(server.base_url.split("/")[2])
    used: set[socket.socket] = set()
    for extra in ({}, {"n": 2}, {"stream": True}, {}):
        body = json.dumps({"model": MODEL, "messages": PROMPT, **extra})
        connection.request("POST", "/v1/chat/completions", body)
        connection.getresponse().read()
        used.add(connection.sock)
    connection.close()
    assert len(used) == 1


def test_serves_sixteen_clients_at_once(server: LocalModelServer) -> None:
    body = json.dumps({"model": MODEL, "messages": PROMPT}).encode()
    together = threading.Barrier(16)

    def ask(_: int) -> str:
        together.wait()
        status, content = post(server, "/chat/completions", body)
        return f"{status} {content['choices'][0]['message']['content']}"

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {"200 Owls hoot at night [1]."}


def test_survives_a_client_that_leaves_in_the_middle_of_a_stream(client: Any) -> None:
    with client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True) as stream:
        next(iter(stream))
    assert client.models.list().data


def test_close_cuts_open_connections_and_may_be_repeated() -> None:
    server = LocalModelServer()
    with socket.create_connection(
        ("127.0.0.1", int(server.base_url.split(":")[2].split("/")[0]))
    ) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        server.close()
        server.close()
        while connection.recv(65536):
            pass
