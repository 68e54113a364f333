"""What holds a handler can be copied and pickled: a copy is the same handler, an unpickled one that of its process."""

import copy
import gc
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import assert_all_ended
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_fakes import DOCUMENTS, IGNORED, nothing, untouched_settings  # noqa: F401 - one is a fixture
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager
from opentelemetry import trace

from otel_callbacks import ContentPolicy
from otel_callbacks import OTelCallbackHandler as BothHandler
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.langchain import instrument as instrument_langchain
from otel_callbacks.langchain import uninstrument as uninstrument_langchain
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED

CHAT = "chat scripted-1"


class ScriptedModel(fakes.ScriptedModel):
    """One that can be pickled."""

    body: Callable[[], None] = nothing


class ScriptedRetriever(fakes.ScriptedRetriever):
    """One that can be pickled."""

    body: Callable[[], None] = nothing


class LlamaModel(llama_fakes.ScriptedModel):
    """One that can be pickled."""

    body: Callable[[], Any] = nothing


class LlamaEmbedding(llama_fakes.ScriptedEmbedding):
    """One that can be pickled."""

    body: Callable[[], Any] = nothing


KINDS = {"LangChain": OTelCallbackHandler, "LlamaIndex": LlamaHandler, "both": BothHandler}


def unpickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": unpickled,
    "pickle 2": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
}


# --- the handler -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_handler_is_the_same(kind: str, way: str, captured: Captured) -> None:
    handler = KINDS[kind](**captured.providers)
    assert WAYS[way](handler) is handler


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_so_it_is_in_what_holds_it(way: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    config = {"callbacks": [handler], "metadata": {"a": 1}}
    copied = WAYS[way]({"config": config, "again": handler})
    assert copied["config"]["callbacks"] == [handler]
    assert copied["again"] is handler


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_in_the_middle_of_a_call(way: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    model = ScriptedModel(callbacks=[handler])

    @tool
    def worker(word: str) -> str:
        """Sends its model elsewhere."""
        return str(WAYS[way](model).invoke("q").content)

    assert worker.invoke({"word": "x"}, {"callbacks": [handler]}) == "hello world"
    assert captured.tree() == f"execute_tool worker\n  {CHAT}"
    assert_all_ended(captured)


def test_nothing_secret_is_in_the_pickle(captured: Captured) -> None:
    policy = ContentPolicy("spans", hashed=True, hash_key="a key that nobody may see")
    handler = OTelCallbackHandler(
        **captured.providers,
        content=policy,
        attribution={"tenant": "acme"},
        prices={"prices": {"secret-model": {"input": 1, "output": 1}}},
    )
    dumped = pickle.dumps(handler)
    assert len(dumped) < 1_000
    for secret in (b"nobody may see", b"acme", b"secret-model"):
        assert secret not in dumped


def test_a_handler_that_is_gone_does_not_come_back(captured: Captured) -> None:
    """Its pickle is a handler of this process, all the same."""
    dumped = pickle.dumps(OTelCallbackHandler(**captured.providers))
    gc.collect()
    again = pickle.loads(dumped)
    assert isinstance(again, OTelCallbackHandler)
    ScriptedModel().invoke("q", {"callbacks": [again]})


# --- LangChain's components --------------------------------------------------------------------------------------


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


def with_handler(component: Any, handler: Any) -> Any:
    component.callbacks = [handler]
    return component


COMPONENTS: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "model": (lambda handler: ScriptedModel(callbacks=[handler]), "q", CHAT),
    "retriever": (
        lambda handler: ScriptedRetriever().with_config(callbacks=[handler]),
        "q",
        "retrieval",
    ),
    "tool": (
        lambda handler: with_handler(look_up.model_copy(), handler),
        {"word": "x"},
        "execute_tool look_up",
    ),
    "bound model": (
        lambda handler: ScriptedModel().with_config(callbacks=[handler]).bind(stop=["x"]),
        "q",
        CHAT,
    ),
    "chain": (
        lambda handler: (
            ChatPromptTemplate.from_template("{x}") | ScriptedModel(callbacks=[handler]) | StrOutputParser()
        ),
        {"x": "q"},
        CHAT,
    ),
    "chain with a config": (
        lambda handler: (ChatPromptTemplate.from_template("{x}") | ScriptedModel()).with_config(
            callbacks=[handler]
        ),
        {"x": "q"},
        f"invoke_workflow\n  {CHAT}",
    ),
}


@pytest.mark.parametrize(
    ("component", "way"),
    # a decorated function, which the tool is, cannot be pickled, with or without a handler
    [
        (each, way)
        for each in COMPONENTS
        for way in ("deepcopy", "pickle")
        if (each, way) != ("tool", "pickle")
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_component_of_langchain(component: str, way: str, mode: str, captured: Captured) -> None:
    make, value, tree = COMPONENTS[component]
    copied = WAYS[way](make(OTelCallbackHandler(**captured.providers)))
    if mode == "invoke":
        copied.invoke(value)
    else:
        await copied.ainvoke(value)
    assert captured.tree() == tree
    assert_all_ended(captured)


@pytest.mark.parametrize("component", ["model", "retriever", "tool", "bound model"])
def test_pydantics_own_copies(component: str, captured: Captured) -> None:
    make, value, tree = COMPONENTS[component]
    original = make(OTelCallbackHandler(**captured.providers))
    for copied in (original.model_copy(deep=True), original.model_copy(), original.__deepcopy__({})):
        copied.invoke(value)
        assert captured.tree() == tree
        captured.clear()


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copy_beside_the_original_is_one_span(way: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    copied = WAYS[way](ScriptedModel(callbacks=[handler]))
    copied.invoke("q", {"callbacks": [handler, WAYS[way](handler)]})
    assert captured.tree() == CHAT


# --- LlamaIndex's ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
async def test_a_model_of_llama_index(way: str, captured: Captured) -> None:
    manager = CallbackManager([LlamaHandler(**captured.providers)])
    copied = WAYS[way](LlamaModel(callback_manager=manager))
    copied.complete("q")
    await copied.acomplete("q")
    assert captured.tree() == f"{CHAT}\n{CHAT}"


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_an_embedding_model_of_llama_index(way: str, captured: Captured) -> None:
    manager = CallbackManager([LlamaHandler(**captured.providers)])
    WAYS[way](LlamaEmbedding(callback_manager=manager)).get_text_embedding("q")
    assert captured.tree() == "embeddings embed-1"


def test_a_model_copied_deeply_by_pydantic(captured: Captured) -> None:
    manager = CallbackManager([LlamaHandler(**captured.providers)])
    LlamaModel(callback_manager=manager).model_copy(deep=True).complete("q")
    assert captured.tree() == CHAT


def test_a_query_engine_under_settings(captured: Captured) -> None:
    Settings.embed_model = LlamaEmbedding()
    Settings.llm = LlamaModel()
    index = VectorStoreIndex.from_documents(DOCUMENTS)
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    engine = copy.deepcopy(index.as_query_engine())
    captured.clear()
    engine.query("q")
    assert captured.tree().startswith("invoke_workflow query_engine\n  retrieval")


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_callback_manager(way: str, captured: Captured) -> None:
    handler = LlamaHandler(**captured.providers)
    copied = WAYS[way](CallbackManager([handler]))
    assert copied.handlers == [handler]
    assert copied.handlers[0] is handler


# --- another process ---------------------------------------------------------------------------------------------


def in_child(dumped: bytes, setup: str) -> list[str]:
    """What a process that was started anew traces of a model that it was sent."""
    with capture() as telemetry:
        if setup == "instrument":
            instrument_langchain(**telemetry.providers)
        else:
            trace.set_tracer_provider(telemetry.tracer_provider)
        model = pickle.loads(dumped)
        model.invoke("q")
        if setup == "instrument":
            uninstrument_langchain()
        return [span.name for span in telemetry.spans]


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as made:
        yield made


@pytest.mark.parametrize("setup", ["instrument", "global provider"])
def test_in_another_process_it_is_the_handler_there(
    setup: str, pool: ProcessPoolExecutor, captured: Captured
) -> None:
    model = ScriptedModel(callbacks=[OTelCallbackHandler(**captured.providers)])
    assert pool.submit(in_child, pickle.dumps(model), setup).result(timeout=120) == [CHAT]
    assert captured.spans == []


def test_a_model_can_be_sent_to_a_process(pool: ProcessPoolExecutor, captured: Captured) -> None:
    model = ScriptedModel(callbacks=[OTelCallbackHandler(**captured.providers)])
    answer = pool.submit(model.invoke, "q").result(timeout=120)
    assert answer.content == "hello world"
