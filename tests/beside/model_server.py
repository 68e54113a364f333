"""A server that speaks the protocols of OpenAI and Anthropic, and counts the tokens that it reports."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Counted:
    """What the server has reported: calls, and input and output tokens in all. Every call has other numbers."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = self.input_tokens = self.output_tokens = 0

    def next(self) -> tuple[int, int]:
        """Returns the tokens of the next call, and counts them."""
        self.calls += 1
        usage = 6 + self.calls, 20 + 3 * self.calls
        self.input_tokens += usage[0]
        self.output_tokens += usage[1]
        return usage


def _openai(tokens: tuple[int, int], streamed: bool) -> Any:
    sent, received = tokens
    usage = {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
    same = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-2024-08-06"}
    if not streamed:
        message = {"role": "assistant", "content": "hello world"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {**same, "object": "chat.completion", "choices": [choice], "usage": usage}
    same["object"] = "chat.completion.chunk"
    deltas = [({"role": "assistant", "content": "hello "}, None), ({"content": "world"}, "stop")]
    choices = [[{"index": 0, "delta": delta, "finish_reason": reason}] for delta, reason in deltas]
    chunks = [{**same, "choices": each, "usage": None} for each in choices]
    return [(None, chunk) for chunk in [*chunks, {**same, "choices": [], "usage": usage}]]


def _anthropic(tokens: tuple[int, int], streamed: bool) -> Any:
    sent, received = tokens
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    if not streamed:
        content = [{"type": "text", "text": "hello world"}]
        usage = {"input_tokens": sent, "output_tokens": received}
        return {
            **message,
            "content": content,
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {"input_tokens": sent, "output_tokens": 1}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello world"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"input_tokens": sent, "output_tokens": received}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


@contextmanager
def model_server() -> Iterator[Counted]:
    """Runs the server on loopback; the address is without `/v1`."""
    counted = Counted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_openai = self.path.endswith("/chat/completions")
            answer = (_openai if is_openai else _anthropic)(counted.next(), bool(request.get("stream")))
            if isinstance(answer, dict):
                body, kind = json.dumps(answer), "application/json"
            else:
                named = [
                    (f"event: {name}\n" if name else "") + f"data: {json.dumps(e)}\n\n" for name, e in answer
                ]
                body, kind = "".join(named) + ("data: [DONE]\n\n" if is_openai else ""), "text/event-stream"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        counted.url = f"http://127.0.0.1:{server.server_port}"
        yield counted
        server.shutdown()
