"""OpenAI's own clients with answers from a script: what the integrations make of real payloads, without a network."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx

Answer = dict[str, Any]


def completion(message: Answer, finish_reason: str = "stop", **more: Any) -> Answer:
    """A chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        **more,
    }


def chunks(*deltas: Answer, finish_reason: str = "stop") -> list[Answer]:
    """A streamed chat completion, with its usage at the end."""
    of = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
    }
    said = [{**of, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    end = {**of, "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}
    return [*said, end, {**of, "choices": [], "usage": usage}]


def response(*output: Answer, **more: Any) -> Answer:
    """An answer of the Responses API."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-2024-08-06",
        "status": "completed",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
        **more,
    }


class Events(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Server-sent events."""

    def __init__(self, events: Iterable[Answer]) -> None:
        lines = []
        for event in events:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            lines.append(f"{kind}data: {json.dumps(event)}\n\n".encode())
        self._lines = [*lines, b"data: [DONE]\n\n"]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield line


class Script(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers each request with the next of `answers` (the last one for ever): a mapping, or a list to stream.

    `asked` keeps what was sent.
    """

    def __init__(self, *answers: Any) -> None:
        self._answers = answers
        self.asked: list[Answer] = []

    def _next(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, list):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Events(answer))
        return httpx.Response(200, json=answer)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._next(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._next(request)


def langchain_model(*answers: Any, **options: Any) -> Any:
    """LangChain's ChatOpenAI."""
    from langchain_openai import ChatOpenAI

    script = Script(*answers)
    return ChatOpenAI(
        **{
            "model": "gpt-4o",
            "api_key": "none",
            "http_client": httpx.Client(transport=script),
            "http_async_client": httpx.AsyncClient(transport=script),
            "stream_usage": True,
            **options,
        }
    )


def llama_index_model(*answers: Any, **options: Any) -> Any:
    """LlamaIndex's OpenAI; with `responses=True` its OpenAIResponses."""
    from llama_index.llms.openai import OpenAI, OpenAIResponses

    script = Script(*answers)
    kind = OpenAIResponses if options.pop("responses", False) else OpenAI
    return kind(
        **{
            "model": "gpt-4o",
            "api_key": "none",
            "http_client": httpx.Client(transport=script),
            "async_http_client": httpx.AsyncClient(transport=script),
            **options,
        }
    )
