"""An application produces the same chunks, events and outputs with and without our handler; so do other handlers."""

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
import shapes_langchain
import shapes_llama_index
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers import LangChainTracer
from langsmith import Client
from llama_fakes import IGNORED, untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager

from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.testing import capture

pytestmark = IGNORED

of_langchain = pytest.mark.parametrize("shape", shapes_langchain.SHAPES, ids=lambda shape: shape.__name__)
of_llama_index = pytest.mark.parametrize("shape", shapes_llama_index.SHAPES, ids=lambda shape: shape.__name__)

UNIQUE = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|0x[0-9a-f]{6,}|\d{10}\.\d+"
)


def same(outcome: Any) -> str:
    """Returns the outcome as text, with ids, addresses and times numbered in the order in which they appear."""
    seen: dict[str, str] = {}
    return UNIQUE.sub(lambda match: seen.setdefault(match[0], f"<{len(seen)}>"), repr(outcome))


@of_langchain
def test_langchain(shape: shapes_langchain.Shape) -> None:
    alone = same(asyncio.run(shape({})))
    with capture() as captured:
        handler = OTelCallbackHandler(**captured.providers, content="both")
        assert same(asyncio.run(shape({"callbacks": [handler]}))) == alone
        assert captured.spans


@of_llama_index
def test_llama_index(shape: shapes_llama_index.Shape) -> None:
    alone = same(asyncio.run(shape()))
    with capture() as captured:
        Settings.callback_manager = CallbackManager(
            [OTelCallbackHandler(**captured.providers, content="both")]
        )
        assert same(asyncio.run(shape())) == alone
        assert captured.spans


# --- other handlers beside ours --------------------------------------------------------------------------------------


class Witness(BaseCallbackHandler):
    """Notes its callbacks; not inline, as is the default for handlers."""

    def __init__(self) -> None:
        self.callbacks: list[str] = []
        self._lock = threading.Lock()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            with self._lock:
                self.callbacks.append(name)
        return super().__getattribute__(name)


def witness() -> tuple[BaseCallbackHandler, Callable[[], list[str]]]:
    handler = Witness()
    return handler, lambda: handler.callbacks


def langsmith() -> tuple[BaseCallbackHandler, Callable[[], list[str]]]:
    """LangSmith's handler, with a client that keeps the runs reported to it."""
    client = MagicMock(spec=Client)
    made, ended = client.create_run.call_args_list, client.update_run.call_args_list

    def reported() -> list[str]:
        ends = [call.kwargs for call in ended]
        outputs = [f"{end['run_type']} {sorted(end['outputs'] or ())} {bool(end['error'])}" for end in ends]
        return [f"{call.kwargs['name']} {call.kwargs['run_type']}" for call in made] + outputs

    return LangChainTracer(client=client), reported


@pytest.mark.parametrize("other", [witness, langsmith])
@of_langchain
def test_another_handler_gets_the_same_callbacks(shape: shapes_langchain.Shape, other: Any) -> None:
    outcomes = []
    with capture() as captured:
        for ours in ([], [OTelCallbackHandler(**captured.providers)]):
            theirs, reported = other()
            asyncio.run(shape({"callbacks": [*ours, theirs]}))
            outcomes.append(sorted(reported()))
        assert captured.spans
    assert outcomes[0] == outcomes[1] != []
