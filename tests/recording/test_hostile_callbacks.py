"""Callbacks with any payload, in any order, do not disturb the application and leave valid telemetry."""

import contextvars
import json
import logging
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import fakes
import llama_fakes
import pytest
from hostile import Draw, Surface, run_calls, slowest
from hostile_langchain import ARGUMENTS, LangChainSurface, Payloads
from hostile_llama_index import LlamaIndexSurface
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from llama_fakes import IGNORED, untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager

from otel_callbacks import ContentPolicy
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.operations import Step
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED

BUDGET = 0.02  # seconds for one callback, on a slow and busy machine; `benchmarks/fuzz.py` asks for 5 ms
SURFACES: dict[str, Surface] = {"langchain": LangChainSurface(), "llama_index": LlamaIndexSurface()}


class FailingHash:
    def __hash__(self) -> int:
        raise RuntimeError("hostile")


POLICIES = {
    "off": ContentPolicy("none"),
    "on": ContentPolicy("both"),
    "hashed": ContentPolicy("both", hashed=True, hash_key="0123456789abcdef"),
    "redacting": ContentPolicy("both", redact=("personal", re.compile("hello"))),
}


@pytest.fixture(autouse=True)
def faults_do_not_raise() -> None:
    """Counts faults and logs each kind once, as in an application."""
    faults.strict = False


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Collects the lines that are logged."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def unexpected(logged: list[str]) -> list[str]:
    """Leaves out the two lines that odd input may cause: calls without a price, and a bound that is reached."""
    bound = re.compile(
        r"otel-callbacks reached its bound of [\d,]+ [\w ]+: the others are not read\. It is not logged again\."
    )
    said = ("have no price", "come without usage", "leaves out")
    return [line for line in logged if not any(map(line.__contains__, said)) and not bound.fullmatch(line)]


def of_langchain(captured: Captured, length: int) -> None:
    chat = [("system", "s"), *[("user", "u")] * (length - 1)]
    handler = OTelCallbackHandler(**captured.providers, content="both")
    fakes.ScriptedModel().invoke(chat, {"callbacks": [handler]})


def of_llama_index(captured: Captured, length: int) -> None:
    chat = [ChatMessage(role=role, content="u") for role in ("system", *["user"] * (length - 1))]
    handler = OTelCallbackHandler(**captured.providers, content="both")
    Settings.callback_manager = CallbackManager([handler])
    llama_fakes.ScriptedModel().chat(chat)


@pytest.mark.parametrize("content", POLICIES)
@pytest.mark.parametrize("surface", SURFACES)
def test_any_calls_in_any_order(surface: str, content: str, logged: list[str]) -> None:
    before = faults.count

    @settings(
        max_examples=25,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.randoms(use_true_random=False), st.integers(1, 30))
    def play_some(random: Random, calls: int) -> None:
        run_calls(SURFACES[surface], SURFACES[surface].plan(Draw(random), calls), POLICIES[content])

    play_some()
    assert faults.count == before
    assert unexpected(logged) == []


@pytest.mark.parametrize("surface", SURFACES)
def test_no_call_takes_long(surface: str, logged: list[str]) -> None:
    before = faults.count
    for seed, content in enumerate(POLICIES.values()):
        plan = SURFACES[surface].plan(Draw(Random(seed)), 500)
        seconds, call = slowest(SURFACES[surface], plan, content, BUDGET)
        assert seconds < BUDGET, call and call.method
    assert faults.count == before
    assert unexpected(logged) == []


@pytest.mark.parametrize("run_id", [[], {}, FailingHash()], ids=["list", "dict", "failing"])
def test_an_invalid_run_id_is_logged_once(run_id: Any, logged: list[str]) -> None:
    with capture() as captured:
        handler = OTelCallbackHandler(**captured.providers)
        for event, payloads in ARGUMENTS.items():
            for _ in range(3):
                arguments = [make() for make in payloads(Payloads(Draw(Random(0))))]
                getattr(handler, event)(*arguments, run_id=run_id)
        assert captured.spans == []
    assert len(logged) == len(set(logged))


def test_a_run_that_has_ended_does_not_end_another_with_its_id(captured: Captured) -> None:
    recorder = OTelCallbackHandler(**captured.providers)._recorder
    first = recorder.start("id", Step(name="first"))
    recorder.finish(first)
    second = recorder.start("id", Step(name="second"))
    recorder.finish(first)
    assert recorder.runs == {"id": second}
    recorder.finish(second)
    assert [span.name for span in captured.spans] == ["first", "second"]


def test_an_ended_run_may_be_named_as_its_own_parent(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)

    def work() -> None:
        handler.on_chain_start(None, {}, run_id="id", name="first")
        contextvars.copy_context().run(handler.on_chain_end, {}, run_id="id")
        handler.on_chain_start(None, {}, run_id="id", parent_run_id="id", run_type="prompt")

    contextvars.copy_context().run(work)
    assert handler._recorder.runs == {}
    assert len(captured.spans) == 1


@pytest.mark.parametrize("application", [of_langchain, of_llama_index])
def test_a_long_chat_has_the_number_of_messages_left_out(application: Any, captured: Captured) -> None:
    application(captured, 3_000)
    attributes = captured.span("chat scripted-1").attributes or {}
    shown = json.loads(str(attributes["gen_ai.input.messages"]))
    assert [message["role"] for message in (shown[0], shown[-1])] == ["system", "user"]
    assert len(shown) + int(str(attributes["otel_callbacks.content.messages_left_out"])) == 3_000
