"""Tests which handler is active: one span per operation by any route, and none after the handler is removed."""

import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import llama_index.core
import pytest
from langchain_core.runnables import RunnableLambda
from llama_fakes import IGNORED, ScriptedModel, index, no_faults, untouched_settings  # noqa: F401 - fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index_instrumentation import root_dispatcher

from otel_callbacks.langchain import OTelCallbackHandler as LangChainHandler
from otel_callbacks.llama_index import (
    OTelCallbackHandler,
    dispatcher_hooks,
    instrument,
    traced_methods,
    uninstrument,
)
from otel_callbacks.llama_index.handler import active_handlers
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED
ASK = [ChatMessage(role="user", content="hi")]

Held = Callable[[OTelCallbackHandler, Any], Any]


@contextmanager
def in_settings(captured: Captured, engine: Any) -> Iterator[None]:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    yield
    Settings.callback_manager = CallbackManager([])


@contextmanager
def everywhere(captured: Captured, engine: Any) -> Iterator[None]:
    llama_index.core.global_handler = OTelCallbackHandler(**captured.providers)
    yield
    llama_index.core.global_handler = None


@contextmanager
def on_the_engine(captured: Captured, engine: Any) -> Iterator[None]:
    before = engine.callback_manager
    own = CallbackManager([])
    own.handlers = [OTelCallbackHandler(**captured.providers)]
    engine.callback_manager = own
    yield
    engine.callback_manager = before


@contextmanager
def instrumented(captured: Captured, engine: Any) -> Iterator[None]:
    instrument(**captured.providers)
    yield
    uninstrument()


ROUTES = [in_settings, everywhere, on_the_engine, instrumented]
ROUTE_SETS = [combined for size in (1, 2, 3, 4) for combined in combinations(ROUTES, size)]


@pytest.mark.parametrize(
    "routes", ROUTE_SETS, ids=lambda routes: "+".join(route.__name__ for route in routes)
)
def test_any_routes_together_give_one_span_per_operation(routes: Any, captured: Captured) -> None:
    engine = index().as_query_engine(llm=ScriptedModel())
    held = [route(captured, engine) for route in routes]
    for route in held:
        route.__enter__()
    engine.query("q")
    assert len(captured.spans) == 5
    assert len([span for span in captured.spans if span.parent is None]) == 1
    for route in reversed(held):
        route.__exit__(None, None, None)
    captured.clear()
    engine.query("q")
    index().as_query_engine(llm=ScriptedModel()).query("q")
    assert captured.spans == []


def test_nothing_is_traced_without_a_handler(captured: Captured) -> None:
    OTelCallbackHandler(**captured.providers)
    index().as_query_engine(llm=ScriptedModel()).query("q")
    assert captured.spans == []


def test_components_built_before_the_setting_are_traced(captured: Captured) -> None:
    engine = index().as_query_engine(llm=ScriptedModel())
    with in_settings(captured, engine):
        engine.query("q")
    assert len(captured.spans) == 5


def test_components_built_meanwhile_are_switched_off_too(captured: Captured) -> None:
    with in_settings(captured, None):
        engine = index().as_query_engine(llm=ScriptedModel())
        engine.query("q")
    captured.clear()
    engine.query("q")
    assert captured.spans == []


@pytest.mark.parametrize("taken", [lambda: CallbackManager([]), CallbackManager, lambda: None])
def test_ways_to_remove_it(taken: Callable[[], Any], captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    ScriptedModel().chat(ASK)
    Settings.callback_manager = taken()
    ScriptedModel().chat(ASK)
    assert len(captured.spans) == 1


@pytest.mark.parametrize("again", [lambda same: CallbackManager(same), lambda same: CallbackManager([])])
def test_a_list_that_is_given_twice_is_said_once(
    again: Callable[[list[Any]], Any],
    captured: Captured,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can tell it from `CallbackManager([])`, which takes the list over and switches tracing off."""
    monkeypatch.setattr(active_handlers, "_said_taken_over", False)
    same: list[Any] = [OTelCallbackHandler(**captured.providers)]
    Settings.callback_manager = CallbackManager(same)
    ScriptedModel().chat(ASK)
    assert caplog.messages == []
    Settings.callback_manager = again(same)
    ScriptedModel().chat(ASK)
    ScriptedModel().chat(ASK)
    [message] = caplog.messages
    assert "LlamaIndex is not traced any more" in message and "CallbackManager([handler])" in message
    Settings.callback_manager = CallbackManager(list(same))
    ScriptedModel().chat(ASK)
    assert len(captured.spans) == 2


def test_put_back(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    for _ in range(3):
        Settings.callback_manager = CallbackManager([handler])
        ScriptedModel().chat(ASK)
        Settings.callback_manager = CallbackManager([])
        ScriptedModel().chat(ASK)
    assert len(captured.spans) == 3


def test_one_component_alone(captured: Captured) -> None:
    engine = index().as_query_engine(llm=ScriptedModel())  # it gives its model a callback manager of its own
    alone = CallbackManager([OTelCallbackHandler(**captured.providers)])
    engine.retriever.callback_manager = alone
    engine.query("q")
    assert captured.tree() == "retrieval\n  embeddings embed-1"
    ScriptedModel().chat(ASK)
    ScriptedModel(callback_manager=alone).chat(ASK)
    assert captured.tree() == "retrieval\n  embeddings embed-1\nchat scripted-1"


async def test_the_model_of_an_agent(captured: Captured) -> None:
    model = ScriptedModel(callback_manager=CallbackManager([OTelCallbackHandler(**captured.providers)]))
    await FunctionAgent(name="librarian", tools=[], llm=model).run("hi")
    assert captured.spans[0].name == "invoke_agent librarian"
    assert len({span.context.trace_id for span in captured.spans}) == 1


def test_descendants_follow_their_root(captured: Captured) -> None:
    with capture() as other:
        inner = ScriptedModel(callback_manager=CallbackManager([OTelCallbackHandler(**other.providers)]))
        with in_settings(captured, None):
            index().as_query_engine(llm=inner).query("q")
        assert other.spans == []
        assert len(captured.spans) == 5


def test_one_client_however_many_handlers(captured: Captured) -> None:
    for _ in range(5):
        OTelCallbackHandler(**captured.providers)
    ours = [
        handler
        for handler in root_dispatcher.span_handlers
        if type(handler).__module__ == dispatcher_hooks.__name__
    ]
    assert len(ours) == 1


def test_a_fault_of_ours_is_counted_and_harmless(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("ours")

    before = faults.count
    monkeypatch.setattr(faults, "strict", False)
    monkeypatch.setattr(traced_methods, "finish", fail)
    with in_settings(captured, None):
        assert str(index().as_query_engine(llm=ScriptedModel()).query("q")) == "hello big world"
    assert faults.count > before
    assert len(captured.spans) == 5
    faults.count = before


def test_idle_cost(captured: Captured) -> None:
    OTelCallbackHandler(**captured.providers)
    model, number = ScriptedModel(), 2_000
    enter = dispatcher_hooks._span_handler.span_enter
    seconds = timeit.timeit(lambda: enter("ScriptedModel.chat-" + "0" * 36, None, model), number=number)
    assert seconds / number < 20e-6  # it takes less than a microsecond; a shared machine may be slow


@pytest.mark.parametrize("argument", [{"detail": "some"}, {"content": "all"}, {"tracer_provider": "x"}])
def test_arguments_are_checked(argument: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(argument))):
        OTelCallbackHandler(**argument)


async def test_one_class_for_both_frameworks_shares_a_recorder(captured: Captured) -> None:
    class Both(LangChainHandler, OTelCallbackHandler):
        def __init__(self, **options: Any) -> None:
            LangChainHandler.__init__(self, **options)
            self._join(self._recorder)

    handler = Both(**captured.providers)
    Settings.callback_manager = CallbackManager([handler])
    engine = index().as_query_engine(llm=ScriptedModel())
    ask = RunnableLambda(lambda question: str(engine.query(question)))
    await ask.ainvoke("q", {"callbacks": [handler]})
    assert len({span.context.trace_id for span in captured.spans}) == 1
    assert len(captured.spans) == 6
