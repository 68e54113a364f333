"""The OpenAI protocol without its transport: turns the JSON of a request into the JSON of the response.

A request that cannot be served raises an `APIError`, as it would at the hosted service; no option is ignored.
"""

import base64
import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from struct import pack
from typing import Any

from otel_callbacks.demo import extractive
from otel_callbacks.demo.tool_use import ToolCall, fill
from otel_callbacks.demo.words import tokens
from otel_callbacks.limits import DEMO_PROMPTS_REMEMBERED, DEMO_VECTOR_DIMENSIONS

JSON = dict[str, Any]

_ROLES = {"system", "developer", "user", "assistant", "tool"}
_OPTION_TYPES = {
    "max_completion_tokens": int,
    "max_tokens": int,
    "response_format": dict,
    "stop": str | list,
    "stream_options": dict,
}
_FINGERPRINT = "fp_extractive_1"


@dataclass(eq=False)  # exceptions must be hashable
class APIError(Exception):
    """Says why a request is refused.

    Attributes:
        message: What is wrong, for a person.
        param: The name of the wrong field, or None.
        code: What is wrong, for a program, or None.
        status: HTTP status code.
    """

    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400

    @property
    def body(self) -> JSON:
        """The JSON body of the response."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class PrefixCache:
    """Remembers the last prompts and counts how many tokens of a new one are cached.

    As at the hosted service, a shared prefix counts from 1024 tokens on, in steps of 128.
    """

    def __init__(self) -> None:
        self._prompts: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, prompt: Sequence[str]) -> int:
        """Returns how many leading tokens of a prompt are cached, and remembers the prompt."""
        key = tuple(prompt)
        with self._lock:
            shared = max((_shared_prefix(key, seen) for seen in self._prompts), default=0)
            self._prompts[key] = None
            self._prompts.move_to_end(key)
            if len(self._prompts) > DEMO_PROMPTS_REMEMBERED:
                self._prompts.popitem(last=False)
        return shared - shared % 128 if shared >= 1024 else 0


def _shared_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@dataclass(frozen=True)
class Completion:
    """A finished chat completion, to be sent whole or in chunks.

    Attributes:
        reply: The model's answer or tool call.
        finish_reason: Why it ended: "stop", "length" or "tool_calls".
        usage: The token counts, as the protocol spells them.
        streamed: Whether the client wants chunks.
        with_usage: Whether the client wants the usage after the last chunk.
    """

    reply: str | ToolCall
    finish_reason: str
    usage: JSON
    streamed: bool
    with_usage: bool

    def body(self) -> JSON:
        """Returns the whole response."""
        message: JSON = {"role": "assistant", "content": None, "refusal": None}
        if isinstance(self.reply, ToolCall):
            message["tool_calls"] = [_tool_call(self.reply, json.dumps(self.reply.arguments))]
        else:
            message["content"] = self.reply
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**_envelope("chat.completion"), "choices": [choice], "usage": self.usage}

    def chunks(self) -> Iterator[JSON]:
        """Yields the response in chunks of one token: role, tokens, end, and usage if wanted."""
        envelope = _envelope("chat.completion.chunk")
        if self.with_usage:
            envelope["usage"] = None
        for delta in self._deltas():
            yield {**envelope, "choices": [_streamed_choice(delta, None)]}
        yield {**envelope, "choices": [_streamed_choice({}, self.finish_reason)]}
        if self.with_usage:
            yield {**envelope, "choices": [], "usage": self.usage}

    def _deltas(self) -> Iterator[JSON]:
        if isinstance(self.reply, str):
            yield {"role": "assistant", "content": "", "refusal": None}
            for token in tokens(self.reply):
                yield {"content": token}
            return
        call = {"index": 0, **_tool_call(self.reply, "")}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
        for token in tokens(json.dumps(self.reply.arguments)):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}


def _tool_call(call: ToolCall, arguments: str) -> JSON:
    function = {"name": call.name, "arguments": arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}


def _streamed_choice(delta: JSON, finish_reason: str | None) -> JSON:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _envelope(kind: str) -> JSON:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": extractive.CHAT_MODEL,
        "system_fingerprint": _FINGERPRINT,
        "service_tier": "default",
    }


def complete(request: Mapping[str, Any], cache: PrefixCache) -> Completion:
    """Serves `POST /v1/chat/completions`.

    Raises:
        APIError: The request is malformed, names another model, or needs something that this one cannot do.
    """
    _check_model(request, extractive.CHAT_MODEL)
    messages, tools = _messages(request), _tools(request)
    _check_support(request)
    choice = request.get("tool_choice") or "auto"
    _check_choice(choice, tools)
    reply = extractive.respond(messages, tools, choice)
    if isinstance(reply, str):
        text, finish_reason = _limited(_formatted(reply, request.get("response_format")), request)
        reply, written = text, text
    else:
        written, finish_reason = reply.name + json.dumps(reply.arguments), "tool_calls"
    prompt = tokens(extractive.render(messages, tools))
    usage = _usage(len(prompt), cache.read(prompt), len(tokens(written)))
    options = request.get("stream_options") or {}
    return Completion(
        reply, finish_reason, usage, bool(request.get("stream")), bool(options.get("include_usage"))
    )


def _usage(prompt: int, cached: int, completion: int) -> JSON:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _check_model(request: Mapping[str, Any], served: str) -> None:
    model = request.get("model")
    if not isinstance(model, str):
        raise APIError("you must provide a model parameter", "model")
    if model != served:
        raise APIError(
            f"The model `{model}` does not exist here, only `{served}`", None, "model_not_found", 404
        )


def _messages(request: Mapping[str, Any]) -> list[JSON]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise APIError("'messages' must be a list of at least one message", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise APIError(f"a message needs a role out of {sorted(_ROLES)}", f"messages[{index}].role")
        if not _is_text(message.get("content")):
            raise APIError("only text can be read", f"messages[{index}].content", "unsupported_content")
        if message["role"] == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise APIError("a tool message must name its call", f"messages[{index}].tool_call_id")
        if not all(_is_call(call) for call in message.get("tool_calls") or ()):
            raise APIError("a call needs an id, a name and JSON arguments", f"messages[{index}].tool_calls")
    return messages


def _is_call(call: Any) -> bool:
    try:
        return isinstance(call["id"] + call["function"]["name"], str) and isinstance(
            json.loads(call["function"]["arguments"]), dict
        )
    except (KeyError, TypeError, ValueError):
        return False


def _is_text(content: object) -> bool:
    if isinstance(content, list):
        return all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content)
    return content is None or isinstance(content, str)


def _tools(request: Mapping[str, Any]) -> list[JSON]:
    tools = request.get("tools") or []
    if not isinstance(tools, list):
        raise APIError("'tools' must be a list", "tools", "invalid_type")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise APIError("a tool must be a function with a name", f"tools[{index}].function.name")
    return tools


def _check_choice(choice: object, tools: Sequence[JSON]) -> None:
    names = {tool["function"]["name"] for tool in tools}
    if isinstance(choice, dict):
        if (choice.get("function") or {}).get("name") not in names:
            raise APIError("'tool_choice' names a function that is not among 'tools'", "tool_choice")
    elif choice not in ("auto", "none", "required") or (choice == "required" and not tools):
        raise APIError(
            "'tool_choice' must be auto, none, a function, or required with 'tools'", "tool_choice"
        )


def _check_support(request: Mapping[str, Any]) -> None:
    if request.get("n") not in (None, 1):
        raise APIError("only n=1 is supported", "n", "unsupported_value")
    if request.get("logprobs"):
        raise APIError("an extractive model has no probabilities", "logprobs", "unsupported_value")
    for name, kind in _OPTION_TYPES.items():
        if not isinstance(request.get(name), kind | None):
            raise APIError(f"'{name}' has the wrong type", name, "invalid_type")


def _formatted(answer: str, response_format: Mapping[str, Any] | None) -> str:
    """Writes the answer in the response format; its text fills the strings of a JSON schema."""
    match (response_format or {}).get("type", "text"):
        case "text":
            return answer
        case "json_object":
            return json.dumps({"answer": answer}, ensure_ascii=False)
        case "json_schema" if response_format and "schema" in response_format.get("json_schema", {}):
            return json.dumps(fill(response_format["json_schema"]["schema"], answer), ensure_ascii=False)
    raise APIError("must be text, json_object, or json_schema with a schema", "response_format")


def _limited(answer: str, request: Mapping[str, Any]) -> tuple[str, str]:
    """Cuts an answer at the first stop sequence and at the token limit; returns it with its finish reason."""
    stop = request.get("stop") or []
    for sequence in [stop] if isinstance(stop, str) else stop:
        answer = answer.partition(sequence)[0]
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    kept = tokens(answer)[:limit]
    return "".join(kept), "stop" if "".join(kept) == answer else "length"


def embed(request: Mapping[str, Any]) -> JSON:
    """Serves `POST /v1/embeddings`.

    Raises:
        APIError: The request is malformed or names another model.
    """
    _check_model(request, extractive.EMBEDDING_MODEL)
    dimensions = request.get("dimensions", extractive.DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= DEMO_VECTOR_DIMENSIONS:
        raise APIError(f"must be an integer from 1 to {DEMO_VECTOR_DIMENSIONS}", "dimensions")
    encoding = request.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise APIError("must be float or base64", "encoding_format")
    inputs = _inputs(request.get("input"))
    vectors = [extractive.embed(item, dimensions) for item in inputs]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _base64(vector) if encoding == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    read = sum(len(tokens(item) if isinstance(item, str) else item) for item in inputs)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": extractive.EMBEDDING_MODEL, "usage": usage}


def _inputs(value: object) -> list[str | list[int]]:
    """Returns the inputs of any of the four shapes: a text, texts, the token ids of a text, those of several."""
    items: object = [value] if isinstance(value, str) or _is_token_ids(value) else value
    if not isinstance(items, list) or not items:
        raise APIError("must be a text, a list of texts, or token ids", "input")
    if not all(isinstance(item, str) or _is_token_ids(item) for item in items):
        raise APIError("must hold texts or token ids only", "input")
    return items


def _is_token_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(pack(f"<{len(vector)}f", *vector)).decode()


def models() -> JSON:
    """Serves `GET /v1/models`."""
    ids = (extractive.CHAT_MODEL, extractive.EMBEDDING_MODEL)
    return {"object": "list", "data": [model(name) for name in ids]}


def model(name: str) -> JSON:
    """Serves `GET /v1/models/{name}`.

    Raises:
        APIError: There is no such model.
    """
    if name not in (extractive.CHAT_MODEL, extractive.EMBEDDING_MODEL):
        raise APIError(f"The model `{name}` does not exist", "model", "model_not_found", 404)
    return {"id": name, "object": "model", "created": 1_735_689_600, "owned_by": "otel-callbacks"}
