"""Random nestings of scopes, calls with metadata or tags, baggage and handler defaults, against a small model."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, NamedTuple

import llama_fakes
import pytest
from fakes import ScriptedModel
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation.dispatcher import instrument_tags
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import FunctionTool
from opentelemetry import baggage
from opentelemetry import context as context_api

from otel_callbacks import OTelCallbackHandler, attribution, workflow
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

NAMES = {"tenant": "app.tenant_id", "user_id": "user.id", "app.team": "app.team"}
NOTHING_HANDED_DOWN = ("retriever", "model")  # LangChain hands down what their own caller had
Labels = dict[str, str]


class Layer(NamedTuple):
    """What encloses all further layers: a scope, a call, an operation by hand, a thread or a task."""

    kind: str
    labels: Labels


class Nesting(NamedTuple):
    """Layers from the outside inwards, with the weaker sources: the handler's labels, and incoming baggage."""

    defaults: Labels
    incoming: Labels
    layers: list[Layer]


def expected(nesting: Nesting, *, replaces: bool) -> list[Labels]:
    """The labels in the body of every layer. A framework's tags replace those around them, its metadata is merged."""
    labels, handed_down, config, traced, found = {}, {}, {}, False, []
    for kind, named in nesting.layers:
        if not traced and kind not in ("scope", "thread", "task"):
            traced, labels = True, {**nesting.defaults, **nesting.incoming, **labels}
        if kind == "scope":
            labels = {**labels, **named}
        elif kind not in ("by hand", "thread", "task") and (named or not replaces):
            named = {**named, **config} if kind == "bound" else named  # as LangChain merges `with_config`
            labels = {
                **labels,
                **{key: value for key, value in named.items() if handed_down.get(key) != value},
            }
            if replaces or kind not in NOTHING_HANDED_DOWN:
                handed_down, config = (named if replaces else {**handed_down, **named}), named or config
        found.append(labels)
    return found


def nestings(calls: list[str]) -> st.SearchStrategy[Nesting]:
    some = st.dictionaries(st.sampled_from(list(NAMES)), st.sampled_from("ab"), max_size=2)
    kinds = st.sampled_from([*calls * 2, "scope", "scope", "scope", "by hand", "thread", "task"])
    layers = st.lists(st.builds(Layer, kinds, some), min_size=2, max_size=7)
    incoming = st.dictionaries(st.just("tenant"), st.sampled_from("ab"))
    return st.builds(Nesting, some, incoming, layers)


def scope_of(labels: Labels) -> attribution:
    return attribution(
        **{key.removesuffix("_id").removeprefix("app."): value for key, value in labels.items()}
    )


class Application:
    """Runs a nesting. In every body it opens a span, and in the innermost one it calls a model."""

    def __init__(self, captured: Captured, nesting: Nesting, detail: Any) -> None:
        defaults = {key.removeprefix("app."): value for key, value in nesting.defaults.items()}
        self.handler = OTelCallbackHandler(
            **captured.providers, attribution=defaults, baggage_keys=("tenant",), detail=detail
        )
        self.captured, self.nesting = captured, nesting
        self.tracer = captured.tracer_provider.get_tracer("application")

    def seen(self) -> list[Labels]:
        found = {}
        for span in self.captured.spans:
            if span.name.startswith("body "):
                values = span.attributes or {}
                found[int(span.name[5:])] = {name: values[name] for name in NAMES.values() if name in values}
        return [found[number] for number in range(len(self.nesting.layers))]

    def config(self, depth: int) -> Any:
        """A call's own config; only calls to which LangChain hands down nothing name the handler."""
        labels = self.nesting.layers[depth].labels
        others = {"scope", "thread", "task", "by hand", *NOTHING_HANDED_DOWN}
        outer = {layer.kind for layer in self.nesting.layers[:depth]} - others
        given: dict[str, Any] = {} if outer else {"callbacks": [self.handler]}
        return given | ({"metadata": labels} if labels else {})

    def run(self, depth: int) -> None:
        if depth == len(self.nesting.layers):
            return
        kind, labels = self.nesting.layers[depth]

        def body(*_: Any, **__: Any) -> str:
            with self.tracer.start_as_current_span(f"body {depth}"):
                pass
            self.run(depth + 1)
            return "x"

        match kind:
            case "scope":
                with scope_of(labels):
                    body()
            case "by hand":
                with workflow("by hand"):
                    body()
            case "thread" | "task":
                with ThreadPoolExecutor() as pool:
                    pool.submit(contextvars.copy_context().run, body).result()
            case _:
                self.call(kind, depth, labels, body)

    async def arun(self, depth: int) -> None:
        if depth == len(self.nesting.layers):
            return
        kind, labels = self.nesting.layers[depth]

        async def body(*_: Any, **__: Any) -> str:
            with self.tracer.start_as_current_span(f"body {depth}"):
                pass
            await self.arun(depth + 1)
            return "x"

        match kind:
            case "scope":
                with scope_of(labels):
                    await body()
            case "by hand":
                with workflow("by hand"):
                    await body()
            case "task":
                await asyncio.create_task(body())
            case "thread":
                await asyncio.to_thread(asyncio.run, body())
            case _:
                await self.acall(kind, depth, labels, body)

    def call(self, kind: str, depth: int, labels: Labels, body: Callable[..., str]) -> None:
        raise NotImplementedError

    async def acall(
        self, kind: str, depth: int, labels: Labels, body: Callable[..., Coroutine[Any, Any, str]]
    ) -> None:
        raise NotImplementedError


class Retriever(BaseRetriever):
    """Runs a body inside a retrieval, where LangChain sets no child config."""

    body: Any

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
        self.body()
        return []

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
        await self.body()
        return []


class Model(ScriptedModel):
    """Runs a body inside an asynchronous model call."""

    async_body: Any

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        await self.async_body()
        return await super()._agenerate(*args, **kwargs)


class LangChain(Application):
    calls = ["named", "hidden", "bound", "tool", "retriever", "model"]

    def call(self, kind: str, depth: int, labels: Labels, body: Callable[..., str]) -> None:
        config = self.config(depth)
        match kind:
            case "named" | "hidden":
                name = "named" if kind == "named" else "RunnableLambda"
                RunnableLambda(body, name=name).invoke("x", config)
            case "bound":
                RunnableLambda(body, name="bound").with_config(metadata=labels).invoke(
                    "x", {key: value for key, value in config.items() if key != "metadata"}
                )
            case "tool":
                StructuredTool.from_function(lambda x: body(), name="t", description="t").invoke(
                    {"x": ""}, config
                )
            case "retriever":
                Retriever(body=body).invoke("x", config)
            case _:
                ScriptedModel(body=body).invoke("x", config)

    async def acall(
        self, kind: str, depth: int, labels: Labels, body: Callable[..., Coroutine[Any, Any, str]]
    ) -> None:
        config = self.config(depth)

        async def use(x: str) -> str:
            return await body()

        match kind:
            case "named" | "hidden":
                name = "named" if kind == "named" else "RunnableLambda"
                await RunnableLambda(use, name=name).ainvoke("x", config)
            case "bound":
                await (
                    RunnableLambda(use, name="bound")
                    .with_config(metadata=labels)
                    .ainvoke("x", {key: value for key, value in config.items() if key != "metadata"})
                )
            case "tool":
                await StructuredTool.from_function(coroutine=use, name="t", description="t").ainvoke(
                    {"x": ""}, config
                )
            case "retriever":
                await Retriever(body=body).ainvoke("x", config)
            case _:
                await Model(async_body=body).ainvoke("x", config)


class Engine(CustomQueryEngine):
    """Runs a body inside a query."""

    body: Any

    def custom_query(self, query_str: str) -> Any:
        return self.body()

    async def acustom_query(self, query_str: str) -> Any:
        return await self.body()


class LlamaIndex(Application):
    calls = ["query", "tool", "model"]

    def call(self, kind: str, depth: int, labels: Labels, body: Callable[..., str]) -> None:
        with instrument_tags(dict(labels)) if labels else nullcontext():
            match kind:
                case "query":
                    Engine(body=body, callback_manager=Settings.callback_manager).query("x")
                case "tool":
                    FunctionTool.from_defaults(lambda x: body(), name=f"t{depth}").call(x="")
                case _:
                    llama_fakes.ScriptedModel(body=body).complete("x")

    async def acall(
        self, kind: str, depth: int, labels: Labels, body: Callable[..., Coroutine[Any, Any, str]]
    ) -> None:
        async def use(x: str) -> str:
            return await body()

        with instrument_tags(dict(labels)) if labels else nullcontext():
            if kind == "tool":
                await FunctionTool.from_defaults(async_fn=use, name=f"t{depth}").acall(x="")
            else:
                await Engine(body=body, callback_manager=Settings.callback_manager).aquery("x")


def check(kind: type[Application], nesting: Nesting, asynchronous: bool, detail: str) -> None:
    with capture() as captured:
        application = kind(captured, nesting, detail)
        if kind is LlamaIndex:
            Settings.callback_manager = CallbackManager([application.handler])
        context = context_api.get_current()
        for key, value in nesting.incoming.items():
            context = baggage.set_baggage(key, value, context)
        token = context_api.attach(context)
        set_process_recorder(check, lambda: application.handler._recorder)
        try:
            if asynchronous:
                asyncio.run(application.arun(0))
            else:
                application.run(0)
        finally:
            context_api.detach(token)
            set_process_recorder(check, None)
        told = expected(nesting, replaces=kind is LlamaIndex)
        assert application.seen() == [{NAMES[key]: value for key, value in labels.items()} for labels in told]


RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DETAILS = st.sampled_from(["operations", "standard", "everything"])


TEAM_A, TEAM_B = {"app.team": "a"}, {"app.team": "b"}
NOTHING_NAMED = [Layer("retriever", TEAM_B), Layer("scope", TEAM_A), Layer("named", TEAM_B)]
IN_A_HIDDEN_RUN = [
    Layer("named", {"tenant": "a"}),
    Layer("hidden", {"tenant": "b"}),
    Layer("scope", {"tenant": "a"}),
]


@RANDOM
@example(Nesting({}, {}, NOTHING_NAMED), False, "standard")
@example(Nesting({}, {}, [*IN_A_HIDDEN_RUN, Layer("named", {"user_id": "a"})]), True, "standard")
@given(nestings(LangChain.calls), st.booleans(), DETAILS)
def test_langchain_the_nearest_source_wins(nesting: Nesting, asynchronous: bool, detail: str) -> None:
    check(LangChain, nesting, asynchronous, detail)


@pytest.mark.usefixtures("untouched_settings")
@RANDOM
@given(nestings(LlamaIndex.calls), st.booleans(), DETAILS)
def test_llama_index_the_nearest_source_wins(nesting: Nesting, asynchronous: bool, detail: str) -> None:
    check(LlamaIndex, nesting, asynchronous, detail)
