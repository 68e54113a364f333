"""What another process sent is gone on with: below its span, or in a new trace that links to it."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import pytest
from fakes import ScriptedModel, UserSpans
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from llama_fakes import IGNORED, untouched_settings  # noqa: F401 - a fixture
from llama_fakes import ScriptedModel as LlamaModel
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.workflow import (
    Context as WorkflowContext,
)
from llama_index.core.workflow import (
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from opentelemetry import baggage, trace
from opentelemetry.trace import SpanKind

from otel_callbacks import OTelCallbackHandler, attribution, workflow
from otel_callbacks.propagation import extract, inject
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED

ROLLUP = "otel_callbacks.rollup.total_tokens"


def elsewhere(function: Callable[[], Any]) -> Any:
    """Calls a function where nothing of the context here is known, as in another process."""
    return Context().run(function)


def sent(captured: Captured, **labels: Any) -> dict[str, str]:
    with (
        attribution(**labels),
        captured.tracer_provider.get_tracer("application").start_as_current_span("send"),
    ):
        return inject({}, labels=list(labels))


def links(span: Any) -> list[int]:
    return [link.context.span_id for link in span.links]


@pytest.fixture(params=["LangChain", "LlamaIndex"])
def answer(request: Any, captured: Captured, untouched_settings: None) -> Callable[[], Any]:  # noqa: F811
    """Asks a model with a span of the application's inside, in one framework or the other."""
    body = UserSpans(captured.tracer_provider).inside("http")
    handler = OTelCallbackHandler(**captured.providers)
    if request.param == "LangChain":
        chain = RunnableLambda(lambda question: ScriptedModel(body=body).invoke(question)).with_config(
            run_name="answer", callbacks=[handler]
        )
        return lambda: chain.invoke("q")
    Settings.callback_manager = CallbackManager([handler])

    def ask() -> Any:
        with workflow("answer"):
            return LlamaModel(body=body).complete("q")

    return ask


def test_runs_hang_below_the_senders_span_with_its_labels(
    captured: Captured, answer: Callable[[], Any]
) -> None:
    message = sent(captured, tenant="acme", feature="search")

    def receive() -> None:
        with extract(message, labels=["tenant"]):
            answer()
            assert baggage.get_all() == {"feature": "search"}  # a label is passed on to nobody

    elsewhere(receive)
    tree = captured.tree()
    assert tree.startswith("send\n  invoke_workflow answer\n    ") and "\n      http" in tree
    assert {span.context.trace_id for span in captured.spans} == {1}
    assert [span.attributes.get("app.tenant_id") for span in captured.spans] == ["acme"] * 4
    assert not [span for span in captured.spans[1:] if "app.feature" in span.attributes]
    assert captured.span("invoke_workflow answer").attributes[ROLLUP] == 120


def test_a_span_that_an_instrumentation_has_opened_stays_the_parent(captured: Captured) -> None:
    message = sent(captured, tenant="acme")
    tracer = captured.tracer_provider.get_tracer("application")
    with (
        extract(message),
        tracer.start_as_current_span("GET /"),
        extract(message, labels=["tenant"]),
        workflow("w"),
    ):
        pass
    assert captured.tree() == "send\n  GET /\n    invoke_workflow w"
    assert captured.span("invoke_workflow w").attributes["app.tenant_id"] == "acme"
    with extract(message), workflow("late"):  # the span above has ended
        pass
    assert captured.span("invoke_workflow late").parent.span_id == captured.span("send").context.span_id


def test_a_message_starts_a_trace_that_links_to_its_sender(
    captured: Captured, answer: Callable[[], Any]
) -> None:
    message = sent(captured, tenant="acme")
    send = captured.span("send")

    def receive() -> None:
        with extract(message, link=True, labels=["tenant"], name="answer questions"):
            answer()

    elsewhere(receive)
    consumer = captured.span("answer questions")
    assert (consumer.parent, consumer.kind) == (None, SpanKind.CONSUMER)
    assert links(consumer) == [send.context.span_id]
    assert consumer.context.trace_id != send.context.trace_id
    assert consumer.attributes["app.tenant_id"] == "acme"
    assert consumer.attributes[ROLLUP] == 120
    assert captured.tree().split("\n")[1:3] == ["answer questions", "  invoke_workflow answer"]


def test_a_linked_trace_is_nobodys_child_and_links_to_what_is_current(captured: Captured) -> None:
    message = sent(captured)
    tracer = captured.tracer_provider.get_tracer("application")
    with workflow("server"), tracer.start_as_current_span("request"):
        with extract(message, link=True), workflow("inner"):
            pass
        with tracer.start_as_current_span("afterwards"):
            pass
    assert captured.tree() == (
        "send\ninvoke_workflow server\n  request\n    afterwards\nprocess\n  invoke_workflow inner"
    )
    assert sorted(links(captured.span("process"))) == [
        captured.span("send").context.span_id,
        captured.span("request").context.span_id,
    ]


def test_a_failed_message_says_so(captured: Captured) -> None:
    with pytest.raises(KeyError), extract({}, link=True):
        raise KeyError("no such thing")
    span = captured.span("process")
    assert (span.attributes["error.type"], span.links) == ("KeyError", ())


def test_functions_of_every_kind_can_be_decorated(captured: Captured) -> None:
    tracer = captured.tracer_provider.get_tracer("application")
    read = extract(lambda message, *rest: message["trace"])

    def work() -> None:
        with tracer.start_as_current_span("work"):
            pass

    @read
    def plain(message: Any) -> None:
        work()

    @read
    async def coroutine(message: Any) -> None:
        work()

    @read
    def generator(message: Any, twice: bool) -> Iterator[None]:
        work()
        yield
        work()

    message = {"trace": sent(captured)}
    plain(message)
    asyncio.run(coroutine(message))
    for _ in generator(message, True):
        assert not trace.get_current_span().get_span_context().is_valid
    assert inspect.iscoroutinefunction(coroutine) and inspect.isgeneratorfunction(generator)
    assert captured.tree() == "send\n" + "\n".join(["  work"] * 4)


def test_a_decorated_consumer_makes_a_trace_of_each_message(captured: Captured) -> None:
    @extract(lambda message: message, link=True, name="consume")
    def consume(message: Any) -> str:
        return "done"

    messages = [sent(captured), sent(captured)]
    assert [consume(message) for message in messages] == ["done", "done"]
    assert captured.tree() == "send\nsend\nconsume\nconsume"
    consumed = [span for span in captured.spans if span.name == "consume"]
    assert [links(span) for span in consumed] == [[1], [2]]
    with pytest.raises(
        TypeError, match=r"cannot decorate the generator function stream; decorate the function"
    ):

        @extract(dict, link=True)
        def stream() -> Iterator[None]:
            yield

    with pytest.raises(TypeError, match="takes the carrier itself; a function is for a decorator"):
        extract(dict).__enter__()


def test_a_message_without_the_expected_field_costs_nothing_but_its_trace(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_callbacks.runtime.faults.faults.strict", False)

    @extract(lambda message: message["trace"])
    def consume(message: Any) -> str:
        return "done"

    assert consume({}) == "done"


# --- conversations that wait for somebody, and go on in another process ----------------------------------------------


@pytest.fixture
def other() -> Iterator[Captured]:
    """The telemetry of another process: no run of it is known to the first."""
    with capture() as telemetry:
        yield telemetry


def test_a_resumed_graph_links_to_the_trace_that_was_interrupted(captured: Captured, other: Captured) -> None:
    """The interrupt's value is kept by LangGraph's checkpointer, so no other store is needed."""

    def ask(state: Any) -> Any:
        return {"messages": [("ai", interrupt({"question": "Well?", "trace": inject({})}))]}

    graph = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t-1"}}
    graph.invoke({"messages": "go"}, {**config, "callbacks": [OTelCallbackHandler(**captured.providers)]})

    def resume() -> None:
        waiting = graph.get_state(config).interrupts[0].value
        with extract(waiting["trace"], link=True, name="resume"):
            handler = OTelCallbackHandler(**other.providers)
            graph.invoke(Command(resume="yes"), {**config, "callbacks": [handler]})

    elsewhere(resume)
    assert other.tree() == "resume\n  invoke_workflow\n    ask"
    assert links(other.span("resume")) == [captured.span("ask").context.span_id]
    assert other.span("ask").attributes["gen_ai.conversation.id"] == "t-1"


class Asks(Workflow):
    """Asks somebody, and keeps the trace in its context, which the application saves."""

    @step
    async def ask(self, ctx: WorkflowContext, ev: StartEvent) -> StopEvent:
        if not await ctx.store.get("trace", None):
            await ctx.store.set("trace", inject({}))
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(), waiter_id="answer"
        )
        return StopEvent(result=said.response)


async def test_a_resumed_workflow_links_to_the_trace_that_was_interrupted(
    captured: Captured,
    other: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    running = Asks().run()
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            break
    saved = running.ctx.to_dict(serializer=JsonSerializer())
    await running.cancel_run()
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**other.providers)])

    async def resume() -> Any:
        flow = Asks()
        context = WorkflowContext.from_dict(flow, saved, serializer=JsonSerializer())
        with extract(await context.store.get("trace"), link=True, name="resume"):
            resumed = flow.run(ctx=context)
            resumed.ctx.send_event(HumanResponseEvent(response="yes"))
            return await resumed

    assert await asyncio.create_task(resume(), context=Context()) == "yes"
    assert other.tree() == "resume\n  invoke_workflow Asks\n    ask"
    assert links(other.span("resume")) == [captured.span("ask").context.span_id]
