"""One inference for each call, also where somebody else instruments the model's client, or the call around."""

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import llama_fakes
import pytest
from fakes import ScriptedModel, call
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatMessage
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_callbacks import OTelCallbackHandler, embedding, instrument, uninstrument
from otel_callbacks.testing import Captured

EVERYTHING = context_api._SUPPRESS_INSTRUMENTATION_KEY
GENAI = "opentelemetry.genai.client.inference.context"
OPENLLMETRY = "suppress_language_model_instrumentation"
PRICES = {"prices": {"scripted-1": {"input": 1.0, "output": 1.0}}}
CLIENTS = (
    "openinference.instrumentation.openai._request",
    "openinference.instrumentation.anthropic._wrappers",
    "opentelemetry.instrumentation.openai.shared.chat_wrappers",
    "opentelemetry.instrumentation.openai.v1.responses_wrappers",
    "opentelemetry.instrumentation.anthropic",
)
OTHERS = (
    "opentelemetry.instrumentation.utils",  # httpx, aiohttp, requests …
    "openinference.instrumentation._tracers",
    "opentelemetry.instrumentation.langchain.callback_handler",
    "opentelemetry.instrumentation.openai_v2.patch",
    "app",
)


class InferenceData:
    """As that of opentelemetry-util-genai: an inner call says what it knows to the data of the outer one."""

    merged: Any = None


@pytest.fixture(autouse=True)
def util_genai(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("opentelemetry.util.genai.invocation")
    module.InferenceData = InferenceData
    monkeypatch.setitem(sys.modules, module.__name__, module)


def asks(module: str) -> bool:
    """What an instrumentation in this module finds out about the current call."""
    code = "from opentelemetry import context\ndef ask(key): return True if context.get_value(key) else False"
    scope: dict[str, Any] = {"__name__": module}
    exec(code, scope)
    return bool(scope["ask"](EVERYTHING))


def answers() -> dict[str, bool]:
    """Who is told to be silent here."""
    told = {module: asks(module) for module in (*CLIENTS, *OTHERS)}
    return {**told, "genai": isinstance(context_api.get_value(GENAI), InferenceData)}


SILENT = {**dict.fromkeys(CLIENTS, True), **dict.fromkeys(OTHERS, False), "genai": True}
NOT_SILENT = dict.fromkeys(SILENT, False)


def handler(captured: Captured, **options: Any) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers, prices=PRICES, **options)


async def _langchain(body: Callable[[], None], handler: OTelCallbackHandler, how: str) -> None:
    model: Any = ScriptedModel(body=body)
    config: Any = {"callbacks": [handler]}
    match how:
        case "invoke":
            model.invoke("q", config)
        case "ainvoke":
            await model.ainvoke("q", config)
        case "stream":
            list(model.stream("q", config))
        case "astream":
            [_ async for _ in model.astream("q", config)]


async def _llama_index(body: Callable[[], None], handler: OTelCallbackHandler, how: str) -> None:
    model: Any = llama_fakes.ScriptedModel(body=body, callback_manager=CallbackManager([handler]))
    said = [ChatMessage("q")]
    match how:
        case "invoke":
            model.chat(said)
        case "ainvoke":
            await model.achat(said)
        case "stream":
            list(model.stream_chat(said))
        case "astream":
            [_ async for _ in await model.astream_chat(said)]


@pytest.mark.parametrize("framework", [_langchain, _llama_index])
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
def test_the_instrumentations_of_clients_are_silent_inside_a_call_and_nobody_else(
    captured: Captured, framework: Any, how: str
) -> None:
    inside: list[Any] = []

    async def application() -> None:
        await framework(lambda: inside.append(answers()), handler(captured), how)
        inside.append(answers())  # in the context that the call leaves behind

    asyncio.run(application())
    assert inside == [SILENT, NOT_SILENT]


def test_a_call_whose_end_is_reported_elsewhere_silences_nobody_afterwards(captured: Captured) -> None:
    """The context of the call stays current; nobody can detach it."""
    ours, left = handler(captured), []

    async def start() -> None:
        key = uuid4()
        ours.on_chat_model_start({}, [[]], run_id=key)
        left.append(answers())
        await asyncio.create_task(end(key))  # a copy of the context
        left.append(answers())

    async def end(key: Any) -> None:
        ours.on_llm_end(SimpleNamespace(generations=[]), run_id=key)

    asyncio.run(start())
    assert left == [SILENT, NOT_SILENT]


def test_calls_of_a_batch_are_silent_although_no_span_of_them_is_current(captured: Captured) -> None:
    inside: list[Any] = []
    model = ScriptedModel(body=lambda: inside.append(answers()))
    model.generate([[HumanMessage("a")], [HumanMessage("b")]], callbacks=[handler(captured)])
    assert inside == [SILENT, SILENT]
    assert answers() == NOT_SILENT


def test_what_starts_inside_a_silenced_call_is_still_traced(captured: Captured) -> None:
    config: Any = {"callbacks": [handler(captured)]}
    inner = ScriptedModel(model="inner")
    ScriptedModel(body=lambda: inner.invoke("q", config)).invoke("q", config)
    assert [span.name for span in captured.spans] == ["chat scripted-1", "chat inner"]


def test_a_silenced_instrumentation_hands_over_nothing(captured: Captured) -> None:
    def client() -> None:
        data: Any = context_api.get_value(GENAI)
        assert (data.capture_content, data.upload_completion) == (False, False)
        data.merge(InferenceData(), overwrite=True)

    ScriptedModel(body=client).invoke("q", {"callbacks": [handler(captured)]})
    assert captured.span("chat scripted-1").attributes["gen_ai.usage.input_tokens"] == 100


# --- the usage is left to others -----------------------------------------------------------------------------------


USAGE = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}


def usage(attributes: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes.items()
        if name.startswith("gen_ai.usage.") and not name.startswith("gen_ai.usage.cost")
    }


def test_deferred_calls_carry_no_usage_but_totals_price_and_labels(captured: Captured) -> None:
    inside: list[Any] = []
    model = ScriptedModel(body=lambda: inside.append(answers()))
    agent = create_agent(model, [], name="helper")
    ours = handler(captured, inference_spans="defer", agent_usage=False, attribution={"tenant": "acme"})
    agent.invoke({"messages": [("user", "q")]}, {"callbacks": [ours]})
    assert inside == [NOT_SILENT]
    chat, root = captured.span("chat scripted-1").attributes, captured.span("invoke_agent helper").attributes
    assert usage(chat) == {}
    assert usage(root) == {}
    assert chat["otel_callbacks.usage.source"] == "deferred"
    assert chat["gen_ai.usage.cost_usd"] == pytest.approx(120e-6)
    assert chat["app.tenant_id"] == "acme"
    assert root["otel_callbacks.rollup.total_tokens"] == 120
    assert root["otel_callbacks.rollup.cost_usd"] == pytest.approx(120e-6)


def test_the_tokens_of_an_agent_are_on_its_span_unless_switched_off(captured: Captured) -> None:
    for number, options in enumerate([{}, {"agent_usage": False}]):
        agent = create_agent(ScriptedModel(), [], name=f"helper{number}")
        agent.invoke({"messages": [("user", "q")]}, {"callbacks": [handler(captured, **options)]})
    found = [usage(captured.span(f"invoke_agent helper{number}").attributes) for number in range(2)]
    assert found == [USAGE, {}]


def within(key: str, value: Any, kind: SpanKind, *, ended: bool, captured: Captured) -> None:
    """Makes a call inside a span of another instrumentation, which has set its key."""
    span = captured.tracer_provider.get_tracer("theirs").start_span("theirs", kind=kind)
    if ended:
        span.end()
    around = trace.set_span_in_context(span, Context({key: value}))
    token = context_api.attach(around)
    ScriptedModel().invoke("q", {"callbacks": [handler(captured)]})
    context_api.detach(token)
    span.end()


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}


@pytest.mark.parametrize(
    ("key", "value", "kind", "ended", "ours"),
    [
        (GENAI, InferenceData(), SpanKind.CLIENT, False, {}),
        (GENAI, InferenceData(), SpanKind.CLIENT, True, USAGE),  # left behind
        (GENAI, None, SpanKind.CLIENT, False, USAGE),
        (OPENLLMETRY, True, SpanKind.CLIENT, False, {}),
        (OPENLLMETRY, True, SpanKind.CLIENT, True, USAGE),  # left behind
        (OPENLLMETRY, True, SpanKind.INTERNAL, False, USAGE),  # left behind, and a span of the application
        (OPENLLMETRY, False, SpanKind.CLIENT, False, USAGE),
    ],
)
def test_ours_steps_back_where_an_outer_instrumentation_has_the_call(
    captured: Captured, key: str, value: Any, kind: SpanKind, ended: bool, ours: Any
) -> None:
    within(key, value, kind, ended=ended, captured=captured)
    assert usage(captured.span("chat scripted-1").attributes) == ours


@pytest.mark.parametrize(
    ("name", "attributes", "ours"),
    [
        ("chat", CHAT, {}),
        ("ChatCompletion", {"openinference.span.kind": "LLM"}, {}),
        ("execute_tool t", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}, USAGE),
        ("POST", {"http.request.method": "POST"}, USAGE),
    ],
)
def test_ours_steps_back_for_an_instrumentation_that_asks_nobody(
    captured: Captured, name: str, attributes: Any, ours: Any
) -> None:
    tracer = captured.tracer_provider.get_tracer("opentelemetry.instrumentation.openai_v2")
    model = ScriptedModel(body=lambda: tracer.start_span(name, attributes=attributes).end())
    model.invoke("q", {"callbacks": [handler(captured)]})
    assert usage(captured.span("chat scripted-1").attributes) == ours


@pytest.mark.parametrize(
    ("options", "attributes", "tokens"),
    [
        ({}, {"http.request.method": "POST"}, 7),
        ({}, {"openinference.span.kind": "EMBEDDING"}, None),
        ({}, {"openinference.span.kind": "LLM"}, 7),
        ({"inference_spans": "defer"}, {"http.request.method": "POST"}, None),
    ],
)
def test_embeddings_are_counted_once_too(
    captured: Captured, options: Any, attributes: Any, tokens: int | None
) -> None:
    instrument(handler(captured, **options))
    with embedding("embed-1", provider="openai") as span:
        captured.tracer_provider.get_tracer("theirs").start_span("theirs", attributes=attributes).end()
        span.usage(input_tokens=7)
    uninstrument()
    found = captured.span("embeddings embed-1").attributes
    assert found.get("gen_ai.usage.input_tokens") == tokens


def test_their_call_in_a_tool_is_not_ours(captured: Captured) -> None:
    def look_up() -> str:
        """Looks something up."""
        tracer = captured.tracer_provider.get_tracer("theirs")
        tracer.start_span("chat", attributes=CHAT).end()
        told.append(answers())
        return "found"

    told: list[Any] = []
    agent = create_agent(ScriptedModel(script=[call("look_up"), "done"]), [look_up], name="helper")
    agent.invoke({"messages": [("user", "q")]}, {"callbacks": [handler(captured)]})
    assert told == [NOT_SILENT]
    chats = [span for span in captured.spans if span.name == "chat scripted-1"]
    assert [usage(span.attributes) for span in chats] == [USAGE, USAGE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference_spans": "both"}, "inference_spans='both' is not known; use one of 'own', 'defer'"),
        ({"agent_usage": "no"}, "agent_usage must be True or False, not 'no'"),
        ({"detail": []}, "detail=\\[\\] is not known"),
    ],
)
def test_wrong_options_raise(options: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        OTelCallbackHandler(**options)
