"""The providers' side of a call: answers every HTTP client in the process, so that nothing leaves it.

Each SDK keeps the address it would really call, which is part of what decides a price. An `Answer` is given the
request, because what comes back depends on it: streamed or not, with usage in the stream or not.
"""

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from zlib import crc32

import httpx
import pytest

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What an SDK sent."""

    url: str
    body: Mapping[str, Any]

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream")) or "stream" in self.url.rpartition("/")[2].lower()

    @property
    def wants_usage(self) -> bool:
        """Whether an OpenAI client asked for usage in the stream; without that none comes."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


@dataclass(frozen=True)
class Reply:
    """What the provider answers."""

    body: bytes
    kind: str = "application/json"
    status: int = 200

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.kind, "content-length": str(len(self.body)), "x-request-id": "req_1"}


Answer = Callable[[Request], Reply]


def whole(body: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(body).encode(), status=status)


def events(chunks: Iterable[Any], *, named: bool = False, done: bool = False) -> Reply:
    """Server-sent events; `named` ones carry their type (Anthropic, OpenAI's Responses)."""
    heads = ((f"event: {chunk['type']}\n" if named else "", chunk) for chunk in chunks)
    text = "".join(f"{head}data: {json.dumps(chunk)}\n\n" for head, chunk in heads)
    return Reply((text + ("data: [DONE]\n\n" if done else "")).encode(), "text/event-stream")


def lines(chunks: Iterable[Any]) -> Reply:
    """One JSON document per line, as Ollama streams."""
    return Reply("".join(json.dumps(chunk) + "\n" for chunk in chunks).encode(), "application/x-ndjson")


def aws_events(chunks: Iterable[tuple[str, Json]]) -> Reply:
    """Amazon's binary event stream: length, length of the headers, checksum, headers, payload, checksum."""

    def header(name: str, value: str) -> bytes:
        return bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()

    def message(kind: str, content: Json) -> bytes:
        payload = json.dumps(content).encode()
        heads = header(":event-type", kind) + header(":content-type", "application/json")
        heads += header(":message-type", "event")
        prelude = (16 + len(heads) + len(payload)).to_bytes(4) + len(heads).to_bytes(4)
        body = prelude + crc32(prelude).to_bytes(4) + heads + payload
        return body + crc32(body).to_bytes(4)

    return Reply(b"".join(message(*chunk) for chunk in chunks), "application/vnd.amazon.eventstream")


def failing(status: int, message: str = "no") -> Answer:
    """A provider that refuses every call; what is asked without a body, such as which models there are, it answers."""
    error = {"error": {"message": message, "type": "invalid_request_error"}}
    return lambda request: whole(error, status) if request.body else whole({})


@dataclass
class Wire:
    """What answers; `requests` is what was asked."""

    answer: Answer = field(default=lambda _: whole({}))
    requests: list[Request] = field(default_factory=list)

    def reply(self, url: Any, body: bytes | str | None) -> Reply:
        try:
            content = json.loads(body) if body else {}
        except ValueError:
            content = {}
        self.requests.append(Request(str(url), content if isinstance(content, dict) else {}))
        return self.answer(self.requests[-1])

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Takes the place of the network below httpx, httpx2, requests and botocore."""
        for module in filter(None, map(_module, ("httpx", "httpx2"))):
            self._below_httpx(module, patch)
        if _module("requests"):
            patch.setattr("requests.adapters.HTTPAdapter.send", self._requests)
        if _module("google.genai"):  # else it uses aiohttp, where that is installed
            patch.setattr("google.genai._api_client.has_aiohttp", False)
        if _module("botocore"):
            patch.setattr("botocore.httpsession.URLLib3Session.send", self._botocore)

    def _below_httpx(self, module: Any, patch: pytest.MonkeyPatch) -> None:
        def respond(request: Any, body: bytes) -> httpx.Response:
            reply = self.reply(request.url, body)
            given: httpx.Response = module.Response(
                reply.status, headers=reply.headers, content=reply.body, request=request
            )
            return given

        def send(_: Any, request: Any) -> Any:
            return respond(request, request.read())

        async def asend(_: Any, request: Any) -> Any:
            await asyncio.sleep(0)
            return respond(request, await request.aread())

        patch.setattr(module.HTTPTransport, "handle_request", send)
        patch.setattr(module.AsyncHTTPTransport, "handle_async_request", asend)

    def _requests(self, request: Any, **_: Any) -> Any:
        from requests.adapters import HTTPAdapter

        return HTTPAdapter().build_response(request, _raw(self.reply(request.url, request.body)))

    def _botocore(self, request: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        reply = self.reply(request.url, request.body)
        return AWSResponse(request.url, reply.status, reply.headers, _raw(reply))


def _raw(reply: Reply) -> Any:
    from urllib3 import HTTPResponse

    return HTTPResponse(io.BytesIO(reply.body), reply.headers, reply.status, preload_content=False)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:  # the rows that need it fail by themselves
        return None
