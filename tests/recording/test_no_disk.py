"""No callback reads from disk: on an event loop, everybody else would wait for it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fakes
import llama_fakes
import pytest
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager

from otel_callbacks import inference, recording, workflow
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

_seen: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in ("open", "os.listdir", "os.scandir"):
        _seen.append(f"{event} {arguments[0]}")


sys.addaudithook(_note)  # it cannot be removed


@contextmanager
def disk() -> Iterator[list[str]]:
    """Lists what is opened and listed within the block."""
    global _seen
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


async def in_langchain(handler: OTelCallbackHandler | None) -> None:
    chain = fakes.ScriptedRetriever() | (lambda found: str(found)) | fakes.ScriptedModel()
    await chain.ainvoke("q", {"callbacks": [handler] if handler else []})


async def in_llama_index(handler: OTelCallbackHandler | None) -> None:
    Settings.callback_manager = CallbackManager([handler] if handler else [])
    await llama_fakes.ScriptedModel().achat([ChatMessage(role="user", content="q")])


@pytest.mark.parametrize("call", [in_langchain, in_llama_index])
async def test_the_first_call_of_a_handler(call: Any, captured: Captured) -> None:
    await call(None)  # the framework's own files
    handler = OTelCallbackHandler(**captured.providers)
    with disk() as found:
        await call(handler)
    assert captured.spans
    assert found == []


def test_what_starts_spans_is_imported_with_the_handler(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a handler whose provider is known then; another test has imported it already."""
    name = "otel_callbacks.recording.sdk_span"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(recording, "sdk_span")
    OTelCallbackHandler(**captured.providers)
    assert name in sys.modules


async def test_the_first_call_by_hand(captured: Captured) -> None:
    with disk() as found, workflow("w"), inference("m", provider="openai") as span:
        span.usage(input_tokens=1, output_tokens=1)
    assert captured.spans
    assert found == []
