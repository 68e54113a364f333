"""A function that is carried runs in the context in which `carry` was called: in threads, pools and processes."""

import asyncio
import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from fakes import ScriptedModel
from langchain_core.runnables import RunnableLambda
from llama_fakes import IGNORED, untouched_settings  # noqa: F401 - a fixture
from llama_fakes import ScriptedModel as LlamaModel
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry import baggage
from opentelemetry import context as context_api
from whereabouts import here

from otel_callbacks import ContentPolicy, OTelCallbackHandler, attribution, content, workflow
from otel_callbacks.propagation import carry
from otel_callbacks.testing import Captured

pytestmark = IGNORED

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


@pytest.fixture(params=["LangChain", "LlamaIndex"])
def ask(request: Any, captured: Captured, untouched_settings: None) -> Any:  # noqa: F811
    handler = OTelCallbackHandler(**captured.providers)
    if request.param == "LangChain":
        return lambda question: ScriptedModel().invoke(question, {"callbacks": [handler]})
    Settings.callback_manager = CallbackManager([handler])
    return lambda question: LlamaModel().complete(question)


def test_threads_of_a_pool_belong_to_the_run_that_uses_them(captured: Captured, ask: Any) -> None:
    with ThreadPoolExecutor(2) as pool, attribution(tenant="acme"), workflow("batch"):
        list(pool.map(carry(ask), "abc"))
        pool.submit(carry(ask), "d").result()
    root, *calls = captured.spans
    assert [span.parent.span_id for span in calls] == [root.context.span_id] * 4
    assert {span.attributes["app.tenant_id"] for span in captured.spans} == {"acme"}
    assert root.attributes["otel_callbacks.rollup.total_tokens"] == 4 * 120  # nothing lost on the way up


def test_a_chain_called_in_a_carried_function_has_the_callbacks_of_the_run(captured: Captured) -> None:
    def fan_out(question: str) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(carry(ScriptedModel().invoke), [question] * 2))

    handler = OTelCallbackHandler(**captured.providers)
    RunnableLambda(fan_out).with_config(run_name="fan").invoke("q", {"callbacks": [handler]})
    assert captured.tree() == "invoke_workflow fan\n  chat scripted-1\n  chat scripted-1"


def test_it_is_the_context_of_the_call_of_carry(captured: Captured) -> None:
    REQUEST.set("first")
    with workflow("first"):
        carried = carry(lambda: (REQUEST.get(), here()[2]))
        expected = ("first", here()[2])
    REQUEST.set("second")
    with workflow("second"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(carried).result()[0] == "first"
        assert here()[2] == 2
    with workflow("third"):
        inside = carry(lambda: (REQUEST.get(), here()[2]))
        assert inside() == inside() == ("second", 3) and expected == ("first", 1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_processes_go_on_below_the_span_with_labels_baggage_and_content_off(
    captured: Captured, method: str
) -> None:
    context = multiprocessing.get_context(method)
    token = context_api.attach(baggage.set_baggage("experiment", "B"))
    with workflow("first"), ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(here).result()  # a forked worker has the context of this moment
        with attribution(tenant="acme", user="u-7"), content("none"), workflow("second"):
            carried = carry(here)
        found = list(pool.map(carried, "ab"))
    context_api.detach(token)
    labels = {"app.tenant_id": "acme", "user.id": "u-7"}
    assert found == [(word, 1, 2, {"experiment": "B"}, labels, "none") for word in "ab"]


def test_a_policy_that_cannot_travel_turns_content_off(captured: Captured) -> None:
    with content(ContentPolicy("spans")):
        assert pickle.loads(pickle.dumps(carry(here)))()[-1] == "none"
    carried = carry(here)
    assert pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(carried))))() == ("", 0, 0, {}, {}, None)
    assert carried.__name__ == "here"


async def coroutine() -> None: ...


def generator() -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (coroutine, "takes a plain function, not coroutine: a coroutine runs in the context of its task"),
        (generator, "takes a plain function, not generator"),
        ("text", "takes a function, not str"),
    ],
)
def test_what_cannot_be_carried_is_refused(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        carry(function)


async def test_tasks_and_asyncio_threads_need_no_carrying(captured: Captured, ask: Any) -> None:
    """As the documentation says."""
    with workflow("batch"):
        loop = asyncio.get_running_loop()
        await asyncio.gather(asyncio.to_thread(ask, "a"), loop.create_task(asyncio.to_thread(ask, "b")))
    root, *calls = captured.spans
    assert [span.parent.span_id for span in calls] == [root.context.span_id] * 2
