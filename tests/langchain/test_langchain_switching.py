"""Tests how handlers, the process-wide switch, providers, sampling and suppression combine."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

import otel_callbacks.llama_index
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.langchain import OTelCallbackHandler, instrument, uninstrument
from otel_callbacks.testing import Captured, capture

ASK: Any = {"messages": [("user", "hi")]}
CHAIN = "invoke_workflow\n  retrieval\n  shape\n  chat scripted-1"


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    uninstrument()


@pytest.fixture
def other() -> Iterator[Captured]:
    with capture() as telemetry:
        yield telemetry


def shape(found: Any) -> str:
    return "text"


def chain(**options: Any) -> Any:
    return ScriptedRetriever(**options) | RunnableLambda(shape) | ScriptedModel(**options)


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return ScriptedModel().invoke(word).text


def looker() -> Any:
    return create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up], name="a")


# --- one span per run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "batch"])
async def test_one_span_however_often_a_handler_is_passed(mode: str, captured: Captured) -> None:
    handler, second = (OTelCallbackHandler(**captured.providers) for _ in range(2))
    instrument(**captured.providers)
    runnable = chain(callbacks=[handler]).with_config(callbacks=[handler, second])
    config: Any = {"callbacks": [handler, handler]}
    match mode:
        case "invoke":
            runnable.invoke("q", config)
        case "ainvoke":
            await runnable.ainvoke("q", config)
        case "stream":
            list(runnable.stream("q", config))
        case "batch":
            runnable.batch(["q"], config)
    assert captured.tree() == CHAIN
    assert_conformant(captured.spans)
    assert handler._recorder.runs == {}


@pytest.mark.parametrize("where", ["constructor", "with_config", "invoke", "process"])
def test_it_traces_wherever_it_is_passed(where: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    model = ScriptedModel(callbacks=[handler] if where == "constructor" else None)
    runnable = model.with_config(callbacks=[handler]) if where == "with_config" else model
    if where == "process":
        instrument(**captured.providers)
    runnable.invoke("q", {"callbacks": [handler]} if where == "invoke" else None)
    assert captured.tree() == "chat scripted-1"


# --- the switch for the whole process ------------------------------------------------------------------------------


def test_instrument_and_uninstrument(captured: Captured) -> None:
    instrument(**captured.providers)
    looker().invoke(ASK)
    traced = len(captured.spans)
    uninstrument()
    looker().invoke(ASK)
    uninstrument()
    assert (traced, len(captured.spans)) == (8, 8)
    instrument(**captured.providers)
    looker().invoke(ASK)
    assert len(captured.spans) == 16


def test_instrument_again_replaces_the_handler(captured: Captured, other: Captured) -> None:
    instrument(**captured.providers)
    instrument(**other.providers)
    chain().invoke("q")
    assert captured.spans == []
    assert other.tree() == CHAIN


def test_instrument_with_an_existing_handler(captured: Captured) -> None:
    handler = otel_callbacks.OTelCallbackHandler(**captured.providers)
    assert otel_callbacks.instrument(handler) is handler
    chain().invoke("q")
    otel_callbacks.uninstrument()
    assert captured.tree() == CHAIN


@pytest.mark.parametrize(
    "switch",
    [otel_callbacks.instrument, otel_callbacks.langchain.instrument, otel_callbacks.llama_index.instrument],
)
def test_instrument_refuses_a_handler_with_options(switch: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="not both; give content, detail to the OTelCallbackHandler"):
        switch(otel_callbacks.OTelCallbackHandler(), content="spans", detail="everything")
    with pytest.raises(
        TypeError, match=r"handler must be an otel_callbacks.*OTelCallbackHandler, not 'spans'"
    ):
        switch("spans")


def test_a_run_that_is_open_when_switched_off_ends(captured: Captured) -> None:
    handler = instrument(**captured.providers)
    RunnableLambda(lambda text: uninstrument()).with_config(run_name="off").invoke("q")
    assert captured.tree() == "invoke_workflow off"
    assert handler._recorder.runs == {}


def test_a_handler_of_the_call_beats_the_global_one(captured: Captured, other: Captured) -> None:
    instrument(**captured.providers)
    looker().invoke(ASK, {"callbacks": [OTelCallbackHandler(**other.providers)]})
    assert captured.spans == []
    assert len(other.spans) == 8
    assert_conformant(other.spans)


def test_only_the_call_with_a_handler_is_traced(captured: Captured) -> None:
    runnable = chain()
    runnable.invoke("untraced")
    runnable.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    runnable.invoke("untraced")
    assert captured.tree() == CHAIN


# --- several providers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
async def test_two_providers_get_a_whole_tree_each(mode: str, captured: Captured, other: Captured) -> None:
    handlers = [OTelCallbackHandler(**telemetry.providers) for telemetry in (captured, other)]
    runnable, config = looker(), {"callbacks": handlers}
    if mode == "invoke":
        runnable.invoke(ASK, config)
    elif mode == "ainvoke":
        await runnable.ainvoke(ASK, config)
    else:
        list(runnable.stream(ASK, config))
    assert captured.tree() == other.tree()
    for telemetry in (captured, other):
        ids = {span.context.span_id for span in telemetry.spans}
        assert len(telemetry.spans) == len(ids) == 8
        assert [span.name for span in telemetry.spans if span.parent is None] == ["invoke_agent a"]
        assert all(span.parent.span_id in ids for span in telemetry.spans if span.parent)
        assert_conformant(telemetry.spans)
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_span_of_the_application_is_the_parent_whatever_its_provider(
    captured: Captured, other: Captured
) -> None:
    with other.tracer_provider.get_tracer("app").start_as_current_span("request") as request:
        chain().invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert captured.span("invoke_workflow").parent == request.get_span_context()


# --- suppression and sampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [context_api._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["key", "name"]
)
@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_suppressed(key: str, mode: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    token = context_api.attach(context_api.set_value(key, True))
    try:
        for runnable, value in ((chain(), "q"), (looker(), ASK)):
            if mode == "sync":
                runnable.invoke(value, {"callbacks": [handler]})
            else:
                await runnable.ainvoke(value, {"callbacks": [handler]})
    finally:
        context_api.detach(token)
    assert captured.spans == []
    assert not [name for name in captured.metrics() if name.startswith("gen_ai")]
    chain().invoke("q", {"callbacks": [handler]})
    assert captured.tree() == CHAIN


def test_suppressed_in_the_middle(captured: Captured) -> None:
    def quiet(value: Any) -> Any:
        token = context_api.attach(context_api.set_value(context_api._SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            return ScriptedModel().invoke("q")
        finally:
            context_api.detach(token)

    (RunnableLambda(quiet) | StrOutputParser() | ScriptedModel()).invoke(
        "q", {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    )
    assert captured.tree() == "invoke_workflow\n  quiet\n  chat scripted-1"


class Watched(Mapping[str, Any]):
    """A content block that notes when it is read."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        callers = (sys._getframe(depth).f_globals["__name__"] for depth in range(1, 6))
        Watched.looks += any(name.startswith("otel_callbacks") for name in callers)
        return iter(("type", "text"))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, key: str) -> Any:
        return {"type": "text", "text": "q"}[key]


@pytest.mark.parametrize(("sampler", "looked_at"), [(None, True), (ALWAYS_OFF, False)], ids=["on", "off"])
def test_an_unsampled_run_is_counted_but_its_content_is_not_looked_at(sampler: Any, looked_at: bool) -> None:
    Watched.looks = 0
    message = HumanMessage.model_construct(type="human", content=[Watched()])
    with capture(sampler=sampler) as captured:
        handler = OTelCallbackHandler(**captured.providers, content="both")
        for _ in range(2):
            (RunnableLambda(lambda given: given) | ScriptedModel()).invoke(
                [message], {"callbacks": [handler]}
            )
        assert (Watched.looks > 0) == looked_at
        assert bool(captured.spans) == bool(captured.events) == looked_at
        found = captured.metrics()
    assert found["gen_ai.client.inference.usage.input_tokens"][0].value == 200
    assert found["gen_ai.invoke_workflow.duration"][0].count == 2


def test_a_trace_is_sampled_as_a_whole() -> None:
    with capture(sampler=ParentBased(TraceIdRatioBased(0))) as captured:
        looker().invoke(ASK, {"callbacks": [OTelCallbackHandler(**captured.providers)]})
        assert captured.spans == []
        assert not trace.get_current_span().get_span_context().is_valid


# --- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"detail": "verbose"}, ["detail='verbose'", "'operations', 'standard', 'everything'"]),
        ({"content": "all"}, ["content='all'", "'none', 'spans', 'events', 'both'"]),
        ({"content": True}, ["content", "bool", "ContentPolicy", "'none'"]),
        ({"tracer_provider": "otlp"}, ["tracer_provider", "'otlp'", "TracerProvider", "None"]),
        ({"meter_provider": 3}, ["meter_provider", "int: 3", "MeterProvider"]),
        ({"logger_provider": []}, ["logger_provider", "list: []", "LoggerProvider"]),
        ({"tracer": None}, ["tracer"]),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_right(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        OTelCallbackHandler(**options)
    for word in words:
        assert word in str(raised.value)


# --- new processes -------------------------------------------------------------------------------------------------


def run(script: str) -> str:
    """Returns the output of a script in a new interpreter."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=sys.path[0], check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_provider_that_is_set_later_is_found() -> None:
    script = """
        from fakes import ScriptedModel
        from otel_callbacks.langchain import OTelCallbackHandler
        handler = OTelCallbackHandler()
        ScriptedModel().invoke("nobody listens", {"callbacks": [handler]})

        from opentelemetry import metrics, trace
        from otel_callbacks.testing import capture
        with capture() as captured:
            trace.set_tracer_provider(captured.tracer_provider)
            metrics.set_meter_provider(captured.meter_provider)
            ScriptedModel().invoke("q", {"callbacks": [handler]})
            print(captured.tree(), captured.metrics()["gen_ai.client.inference.duration"][0].count)
    """
    # a span needs its provider when it starts; measurements wait for theirs
    assert run(script) == "chat scripted-1 2"


def test_importing_and_constructing_changes_nothing_global() -> None:
    script = """
        from opentelemetry import metrics, trace
        from otel_callbacks import OTelCallbackHandler
        OTelCallbackHandler()
        print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)
    """
    assert run(script) == "ProxyTracerProvider _ProxyMeterProvider"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("otel_callbacks", ["langchain_core", "llama_index", "opentelemetry.sdk"]),
        ("otel_callbacks.langchain", ["llama_index"]),  # langsmith, below LangChain, imports the SDK itself
    ],
)
def test_an_import_pulls_in_no_more_than_it_must(module: str, absent: list[str]) -> None:
    script = f"""
        import sys, {module}
        print([name for name in {absent!r} if name in sys.modules])
    """
    assert run(script) == "[]"
