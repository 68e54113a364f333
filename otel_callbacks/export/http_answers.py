"""How a destination answered by HTTP: a session whose connections tell."""

import io
import json
import math
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from requests.adapters import HTTPAdapter
from urllib3.exceptions import DecodeError, HTTPError

from otel_callbacks.export.answers import Answer, partly_accepted, without
from otel_callbacks.limits import ANSWER_BYTES

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_NOT_TAKEN = frozenset({404, 405, 501})


def watched_session(note: Callable[[Answer], None]) -> requests.Session:
    """Returns a session for an exporter; `note` is told of every answer but success."""
    session = requests.Session()
    session.auth = _as_it_is  # a password in .netrc would replace the header that was given
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WatchingAdapter(note))
    return session


def _as_it_is(request: Any) -> Any:
    return request


class _NoFurtherTry(requests.RequestException):
    """Keeps an exporter from trying again by itself."""


class _WatchingAdapter(HTTPAdapter):
    def __init__(self, note: Callable[[Answer], None]) -> None:
        super().__init__()
        self._note = note

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        try:
            response = self._send_by_a_live_connection(request, *args, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = getattr(error.args[0] if error.args else None, "reason", None) or error
            self._note(Answer(f"it cannot be reached ({type(reason).__name__})", again=True))
            raise _NoFurtherTry from error
        status = response.status_code
        if 200 <= status < 300:
            self._read(response)
            return response
        after = _seconds(response.headers.get("Retry-After", "")) if status in _TRY_AGAIN else None
        self._note(Answer(f"it answered {status}", status in _TRY_AGAIN, after, status in _NOT_TAKEN))
        response.close()
        raise _NoFurtherTry

    def _read(self, response: requests.Response) -> None:
        """Reads whether everything was accepted; the exporter finds the same body, without waiting for it.

        Of an answer that breaks off nobody knows what it would have said, so the request is sent again.
        """
        raw, body = response.raw, b""
        try:
            body = raw.read(ANSWER_BYTES + 1, decode_content=True)
        except DecodeError:
            raw.close()
        except (HTTPError, OSError) as error:
            raw.close()
            self._note(Answer(f"its answer broke off ({type(error).__name__})", again=True))
            raise _NoFurtherTry from error
        if len(body) > ANSWER_BYTES:
            raw.close()
        answer = _missing(body, response.headers.get("Content-Type", ""))
        if answer is not None:
            self._note(answer)
        response.raw = io.BytesIO(body[:ANSWER_BYTES])

    def _send_by_a_live_connection(self, request: Any, *args: Any, **options: Any) -> Any:
        """Sends once more if the server has closed the connection that was kept alive since the last request."""
        try:
            return super().send(request, *args, **options)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            return super().send(request, *args, **options)


def _missing(body: bytes, kind: str) -> Answer | None:
    """Returns what an answer says was left out; None if that is nothing, or the answer says something else."""
    try:
        if "protobuf" in kind:
            return partly_accepted(ExportTraceServiceResponse.FromString(body))
        if "json" in kind and body:
            told = json.loads(body)["partialSuccess"]
            return without(max(int(told[name]) for name in told if name.startswith("rejected")))
    except Exception:  # what a server sends may be anything
        return None
    return None


def _seconds(retry_after: str) -> float | None:
    """Returns the seconds that a destination asks to wait, by their number or by a date; None for anything else."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
