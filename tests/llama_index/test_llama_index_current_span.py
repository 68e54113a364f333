"""Tests that a span which user code opens in a body is the child of that body's run, in every mode.

The one place where that cannot be is the body of a model's lazy stream that is read in another task or thread than
the one that asked for it, and in no response of LlamaIndex's that could be wrapped: the stream is all there is, and it
runs in the context of its reader. See `test_a_lazy_stream_read_elsewhere`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest
from fakes import UserSpans
from llama_fakes import (  # noqa: F401 - fixtures
    IGNORED,
    ScriptedModel,
    ScriptedReranker,
    adrain,
    call,
    drain,
    handler,
    index,
    no_faults,
    untouched_settings,
)
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context as WorkflowContext
from llama_index.core.workflow import Event, StartEvent, StopEvent, Workflow, step
from opentelemetry import trace
from opentelemetry.propagate import inject

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = [pytest.mark.usefixtures("handler"), IGNORED]
ASK = [ChatMessage(role="user", content="hi")]


class Halfway(Event):
    number: int = 0


class Done(Event):
    pass


class Application:
    """A query engine, chat engine, agent and workflow whose every body opens a user span named after its run."""

    def __init__(self, provider: Any) -> None:
        self.spans = spans = UserSpans(provider)
        self.model = ScriptedModel(body=spans.inside("in chat scripted-1"))
        self.reranker = ScriptedReranker(body=spans.inside("in rerank rerank-1"))
        self.index = index(spans.inside("in embeddings embed-1"))

        def look_up(word: str) -> str:
            """Looks up."""
            spans.inside("in look_up")()
            return "found"

        async def alook_up(word: str) -> str:
            """Looks up."""
            await asyncio.sleep(0)
            spans.inside("in alook_up")()
            return "found"

        self.look_up, self.alook_up = (
            FunctionTool.from_defaults(look_up),
            FunctionTool.from_defaults(alook_up),
        )
        self.workflow = self._workflow()

    def engine(self, **options: Any) -> Any:
        return self.index.as_query_engine(llm=self.model, node_postprocessors=[self.reranker], **options)

    def chat_engine(self, mode: str) -> Any:
        return self.index.as_chat_engine(chat_mode=mode, llm=self.model)

    def agent(self, **options: Any) -> Any:
        script = [call("look_up", word="x"), call("alook_up", word="x"), "done"]
        model = ScriptedModel(script=script, body=self.spans.inside("in chat scripted-1"))
        return FunctionAgent(name="librarian", tools=[self.look_up, self.alook_up], llm=model, **options)

    def _workflow(self) -> Workflow:
        spans = self.spans

        class Flow(Workflow):
            @step
            async def first(self, ev: StartEvent) -> list[Halfway]:
                await asyncio.sleep(0)
                spans.inside("in first")()
                return [Halfway(number=number) for number in range(3)]

            @step
            def second(self, ev: Halfway) -> Done:
                spans.inside("in second")()
                return Done()

            @step
            async def last(self, ctx: WorkflowContext, ev: Done) -> StopEvent | None:
                return (
                    StopEvent() if ctx.collect_events(ev, [Done] * 3) else None
                )  # a StopEvent ends the workflow

        return Flow()


async def aread(awaitable: Any) -> Any:
    response = await awaitable
    return await adrain(
        response.response_gen if hasattr(response, "response_txt") else response.async_response_gen()
    )


async def amodel(app: Application) -> Any:
    return await adrain(await app.model.astream_chat(ASK))


async def gathered(app: Application) -> None:
    await asyncio.gather(*(app.engine().aquery("q") for _ in range(5)))


SYNC: dict[str, Callable[[Application], Any]] = {
    "query": lambda app: app.engine().query("q"),
    "query streamed": lambda app: drain(app.engine(streaming=True).query("q").response_gen),
    "tree summarize": lambda app: app.engine(response_mode="tree_summarize").query("q"),
    "simple chat": lambda app: app.chat_engine("simple").chat("q"),
    "context chat": lambda app: app.chat_engine("context").chat("q"),
    "context chat streamed": lambda app: drain(app.chat_engine("context").stream_chat("q").response_gen),
    "simple chat streamed": lambda app: drain(app.chat_engine("simple").stream_chat("q").response_gen),
    "condense chat streamed": lambda app: drain(
        app.chat_engine("condense_question").stream_chat("q").response_gen
    ),
    "model": lambda app: app.model.chat(ASK),
    "model streamed": lambda app: drain(app.model.stream_chat(ASK)),
    "retriever": lambda app: app.index.as_retriever().retrieve("q"),
    "tool": lambda app: app.look_up(word="x"),
}
ASYNC: dict[str, Callable[[Application], Any]] = {
    "aquery": lambda app: app.engine().aquery("q"),
    "aquery streamed": lambda app: aread(app.engine(streaming=True).aquery("q")),
    "gather": gathered,
    "achat": lambda app: app.chat_engine("context").achat("q"),
    "achat streamed": lambda app: aread(app.chat_engine("context").astream_chat("q")),
    "simple achat streamed": lambda app: aread(app.chat_engine("simple").astream_chat("q")),
    "amodel": lambda app: app.model.achat(ASK),
    "amodel streamed": amodel,
    "aretriever": lambda app: app.index.as_retriever().aretrieve("q"),
    "atool": lambda app: app.alook_up.acall(word="x"),
    "sync tool, async": lambda app: app.look_up.acall(word="x"),
    "agent": lambda app: app.agent().run("hi"),
    "agent, not streaming": lambda app: app.agent(streaming=False).run("hi"),
    "workflow": lambda app: app.workflow.run(),
    "sync in executor": lambda app: asyncio.to_thread(app.engine().query, "q"),
}
ROOTS = {"gather": 5}


@pytest.fixture
def application(captured: Captured) -> Application:
    return Application(captured.tracer_provider)


def assert_right(captured: Captured, roots: int) -> None:
    """Asserts one trace per call, and every user span below its run."""
    spans = {span.context.span_id: span for span in captured.spans}
    user_spans = [span for span in captured.spans if span.name.startswith("in ")]
    assert user_spans
    for span in user_spans:
        assert span.parent is not None, f"{span.name} is a root"
        parent = spans[span.parent.span_id]
        assert span.name == f"in {parent.name.removeprefix('execute_tool ')}"
        assert (parent.attributes or {})["seen_by"] == span.name
    assert len({span.context.trace_id for span in captured.spans}) == roots


async def run(mode: str, application: Application) -> None:
    if mode in SYNC:
        SYNC[mode](application)
    else:
        await ASYNC[mode](application)


@pytest.mark.parametrize("mode", [*SYNC, *ASYNC])
async def test_bodies(mode: str, captured: Captured, application: Application) -> None:
    await run(mode, application)
    assert_right(captured, ROOTS.get(mode, 1))
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("mode", [*SYNC, *ASYNC])
async def test_bodies_in_a_user_span(mode: str, captured: Captured, application: Application) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        await run(mode, application)
        assert trace.get_current_span().get_span_context() == request.get_span_context()
    assert_right(captured, 1)
    below = [span for span in captured.spans if span.parent == request.get_span_context()]
    assert len(below) == ROOTS.get(mode, 1)


def test_thread_pools(captured: Captured, application: Application) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: application.engine().query("q"), range(16)))
    assert_right(captured, 16)


async def test_fifty_in_a_row_are_fifty_traces(captured: Captured, application: Application) -> None:
    for _ in range(25):
        await application.engine().aquery("q")
        drain(application.engine(streaming=True).query("q").response_gen)
        assert not trace.get_current_span().get_span_context().is_valid
    assert_right(captured, 50)


STREAMS: dict[str, Callable[[Application], Any]] = {
    "query": lambda app: app.engine(streaming=True).query("q").response_gen,
    "chat": lambda app: app.chat_engine("simple").stream_chat("q").response_gen,
    "model": lambda app: app.model.stream_chat(ASK),
}


@pytest.mark.parametrize("mode", STREAMS)
def test_consumer_of_a_stream_is_outside(mode: str, captured: Captured, application: Application) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        for _ in STREAMS[mode](application):
            assert trace.get_current_span().get_span_context() == request.get_span_context()


def test_another_call_while_a_stream_is_read(captured: Captured, application: Application) -> None:
    for _ in application.engine(streaming=True).query("q").response_gen:
        application.model.chat(ASK)
    roots = [span.name for span in captured.spans if span.parent is None]
    assert roots == ["invoke_workflow query_engine", *["chat scripted-1"] * (len(roots) - 1)]
    assert len(roots) > 1


def test_a_lazy_stream_read_elsewhere(captured: Captured, application: Application) -> None:
    stream = application.model.stream_chat(ASK)
    Context().run(drain, stream)
    assert captured.span("in chat scripted-1").parent is None
    assert captured.span("chat scripted-1").parent is None


def test_inject_in_a_tool_carries_the_tools_span(captured: Captured) -> None:
    headers: dict[str, str] = {}

    def fetch(url: str) -> str:
        """Fetches."""
        inject(headers)
        return "ok"

    FunctionTool.from_defaults(fetch)(url="x")
    span = captured.span("execute_tool fetch")
    assert headers["traceparent"] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def test_a_user_span_between_two_runs(captured: Captured, application: Application) -> None:
    def outer(word: str) -> str:
        """Asks inside a user span."""
        with application.spans.tracer.start_as_current_span("mine"):
            return str(application.engine().query("q"))

    FunctionTool.from_defaults(outer)(word="x")
    mine = captured.span("mine")
    assert mine.parent == captured.span("execute_tool outer").context
    assert captured.span("invoke_workflow query_engine").parent == mine.context


async def test_background_work_stays_in_the_trace(captured: Captured, handler: OTelCallbackHandler) -> None:  # noqa: F811
    background: list[asyncio.Task[Any]] = []
    model = ScriptedModel(delay=0.02)

    async def later(word: str) -> str:
        """Starts a task and does not wait for it."""
        background.append(asyncio.create_task(model.achat(ASK)))
        return "x"

    await FunctionTool.from_defaults(async_fn=later).acall(word="x")
    await asyncio.gather(*background)
    assert captured.tree() == "execute_tool later\n  chat scripted-1"
