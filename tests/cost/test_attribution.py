"""Every span of a call carries from its start who pays; no span of another call does."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, ScriptedRetriever, UserSpans
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation.dispatcher import instrument_tags
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from otel_callbacks import Budget, ContentPolicy, OTelCallbackHandler, attribution
from otel_callbacks.cost import attribution as attribution_module
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

ACME = {"app.tenant_id": "acme", "app.feature": "search", "user.id": "u-7"}


def labels(span: Any) -> dict[str, Any]:
    names = ("app.", "user.", "session.")
    return {name: value for name, value in span.attributes.items() if name.startswith(names)}


def all_labels(captured: Captured) -> list[dict[str, Any]]:
    return [labels(span) for span in captured.spans]


def handler(captured: Captured, **options: Any) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers, **options)


def rag(captured: Captured) -> Any:
    body = UserSpans(captured.tracer_provider).inside("http")
    chain = (
        ScriptedRetriever(body=body)
        | RunnableLambda(lambda found: str(found))
        | ScriptedModel(body=body)
        | StrOutputParser()
    )
    return chain.with_config(run_name="rag")


def test_every_span_of_a_call_is_labelled_including_the_applications_own(captured: Captured) -> None:
    with attribution(tenant="acme", feature="search", user="u-7"):
        rag(captured).invoke("q", {"callbacks": [handler(captured)]})
    assert all_labels(captured) == [ACME] * 5


async def test_labels_hold_in_tasks_and_threads(captured: Captured) -> None:
    config = {"callbacks": [handler(captured)]}
    with attribution(tenant="acme", feature="search", user="u-7"):
        async for _ in rag(captured).astream("q", config):
            pass
        await asyncio.gather(*(rag(captured).ainvoke("q", config) for _ in range(3)))
        with ThreadPoolExecutor() as pool:
            pool.submit(copy_context().run, rag(captured).invoke, "q", config).result()
    assert all_labels(captured) == [ACME] * 25


def test_a_sampler_sees_the_labels() -> None:
    class OnlyAcme(Sampler):
        def should_sample(
            self, context: Any, trace_id: Any, name: str, *args: Any, **_: Any
        ) -> SamplingResult:
            kept = "acme" in (args[1] or {}).values()
            return SamplingResult(Decision.RECORD_AND_SAMPLE if kept else Decision.DROP, args[1])

        def get_description(self) -> str:
            return "only acme"

    with capture(OnlyAcme()) as captured:
        for tenant in ("acme", "globex"):
            with attribution(tenant=tenant):
                ScriptedModel().invoke("q", {"callbacks": [handler(captured)]})
        assert all_labels(captured) == [{"app.tenant_id": "acme"}]


def test_scopes_nest_override_and_restore(captured: Captured) -> None:
    config = {"callbacks": [handler(captured)]}
    with attribution(tenant="acme", cost_centre=4711):
        with attribution(tenant="globex"):
            ScriptedModel().invoke("q", config)
        ScriptedModel().invoke("q", config)
    ScriptedModel().invoke("q", config)
    assert all_labels(captured) == [
        {"app.tenant_id": "globex", "app.cost_centre": "4711"},
        {"app.tenant_id": "acme", "app.cost_centre": "4711"},
        {},
    ]


def test_metadata_of_the_call_counts_more_than_the_scope_around_it(captured: Captured) -> None:
    config = {"callbacks": [handler(captured)], "metadata": {"tenant": "acme", "user_id": "u-7", "other": 1}}
    with attribution(tenant="globex", feature="search"):
        rag(captured).invoke("q", config)
    assert all_labels(captured) == [ACME] * 5


def test_a_scope_inside_a_tool_counts_more_than_the_metadata_around_it(captured: Captured) -> None:
    @tool
    def ask(question: str) -> str:
        """Asks."""
        with attribution(tenant="globex"):
            return str(ScriptedModel().invoke(question).content)

    ask.invoke({"question": "q"}, {"callbacks": [handler(captured)], "metadata": {"tenant": "acme"}})
    assert all_labels(captured) == [{"app.tenant_id": "acme"}, {"app.tenant_id": "globex"}]


def test_inherited_metadata_is_not_named_again_beside_the_calls_own(captured: Captured) -> None:
    def outer(question: str) -> str:
        with attribution(tenant="globex"):
            return str(ScriptedModel().invoke(question, {"metadata": {"feature": "search"}}).content)

    config = {"callbacks": [handler(captured)], "metadata": {"tenant": "acme"}}
    RunnableLambda(outer).invoke("q", config)
    assert all_labels(captured) == [
        {"app.tenant_id": "acme"},
        {"app.tenant_id": "globex", "app.feature": "search"},
    ]


def test_another_spelling_of_an_inherited_label_is_the_calls_own(captured: Captured) -> None:
    def outer(question: str) -> str:
        return str(ScriptedModel().invoke(question, {"metadata": {"tenant": "globex"}}).content)

    config = {"callbacks": [handler(captured)], "metadata": {"tenant_id": "acme"}}
    RunnableLambda(outer).invoke("q", config)
    assert all_labels(captured) == [{"app.tenant_id": "acme"}, {"app.tenant_id": "globex"}]


@pytest.mark.parametrize("detail", ["operations", "standard", "everything"])
def test_a_scope_in_a_hidden_run_counts_more_than_the_metadata_of_the_hidden_run(
    detail: Any, captured: Captured
) -> None:
    user = UserSpans(captured.tracer_provider)

    def inner(question: str) -> str:
        user.inside("http")()
        with attribution(tenant="globex"):
            return str(ScriptedModel().invoke(question, {"metadata": {"feature": "search"}}).content)

    def outer(question: str) -> str:
        hidden = RunnableLambda(inner, name="RunnableLambda")
        return hidden.invoke(question, {"metadata": {"tenant": "initech"}})

    config = {"callbacks": [handler(captured, detail=detail)], "metadata": {"tenant": "acme"}}
    RunnableLambda(outer).invoke("q", config)
    found = {span.name: labels(span) for span in captured.spans}
    assert found.pop("RunnableLambda", None) == (
        {"app.tenant_id": "initech"} if detail == "everything" else None
    )
    assert found == {
        "invoke_workflow outer": {"app.tenant_id": "acme"},
        "http": {"app.tenant_id": "initech"},
        "chat scripted-1": {"app.tenant_id": "globex", "app.feature": "search"},
    }


async def test_calls_of_a_batch_each_have_their_own_metadata(captured: Captured) -> None:
    user = UserSpans(captured.tracer_provider)

    def work(number: int) -> int:
        user.inside(f"http {number}")()
        return number

    async def outer(numbers: list[int]) -> list[int]:
        hidden = RunnableLambda(work, name="RunnableLambda") | RunnableLambda(work, name="Runnable")
        configs: Any = [{"metadata": {"tenant": f"t{number}"}} for number in numbers]
        return hidden.batch(numbers, configs) + await hidden.abatch(numbers, configs)

    await RunnableLambda(outer, name="outer").ainvoke(list(range(5)), {"callbacks": [handler(captured)]})
    found = [(span.name, labels(span)["app.tenant_id"]) for span in captured.spans if span.name[:4] == "http"]
    assert sorted(found) == [(f"http {number}", f"t{number}") for number in range(5) for _ in range(4)]


def test_a_scope_counts_more_than_metadata_of_a_call_around_that_is_not_traced(captured: Captured) -> None:
    def outer(question: str) -> str:
        with attribution(tenant="globex"):
            return str(ScriptedModel().invoke(question, {"callbacks": [handler(captured)]}).content)

    RunnableLambda(outer).invoke("q", {"metadata": {"tenant": "acme"}})
    assert all_labels(captured) == [{"app.tenant_id": "globex"}]


def test_a_scope_in_a_silenced_call_counts_more_than_that_calls_metadata(captured: Captured) -> None:
    def inner(question: str) -> str:
        with attribution(tenant="globex"):
            return str(ScriptedModel().invoke(question, {"callbacks": [handler(captured)]}).content)

    def outer(question: str) -> str:
        silenced: Any = {"callbacks": [], "metadata": {"tenant": "initech"}}
        return RunnableLambda(inner).invoke(question, silenced)

    config = {"callbacks": [handler(captured)], "metadata": {"tenant": "acme"}}
    RunnableLambda(outer).invoke("q", config)
    assert all_labels(captured) == [{"app.tenant_id": "acme"}, {"app.tenant_id": "globex"}]


def test_llama_index_a_scope_counts_more_than_the_tags_around_it(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager([handler(captured)])
    with instrument_tags({"tenant": "acme", "user": "u-7"}), attribution(tenant="globex"):
        llama_fakes.ScriptedModel().complete("q")
    assert all_labels(captured) == [{"app.tenant_id": "globex", "user.id": "u-7"}]


OTHERS = {
    "app.team": "red",
    "app.region": 7,
    "app.key": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH",
    "app.prompt": "the question",
    "app.messages": "the question",
    "app.Upper": "x",
    "app.a.b": "x",
    "app.nothing": None,
    "app.list": ["x"],
    "app.empty": "",
    "application": "x",
    7: "x",
}
OWN = {"app.team": "red", "app.region": "7", "app.key": "sk-[redacted:key]"}


def test_metadata_and_tags_may_name_any_label(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager([handler(captured)])
    rag(captured).invoke("q", {"callbacks": [handler(captured)], "metadata": OTHERS})
    with instrument_tags(OTHERS):
        llama_fakes.ScriptedModel().complete("q")
    assert all_labels(captured) == [OWN] * 6


def test_a_call_names_a_bounded_number_of_labels(
    captured: Captured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attribution_module, "LABELS_OF_A_CALL", 2)
    metadata = {f"app.n{number}": "x" for number in range(5)}
    ScriptedModel().invoke("q", {"callbacks": [handler(captured)], "metadata": metadata})
    assert all_labels(captured) == [{"app.n0": "x", "app.n1": "x"}]
    assert "LABELS_OF_A_CALL" in caplog.text


async def test_metadata_of_one_call_does_not_stay_for_the_next(captured: Captured) -> None:
    """An asynchronous call leaves its stand-in in the task's context; its labels must not stay."""
    user = UserSpans(captured.tracer_provider)
    for number in range(3):
        metadata = {"tenant": "acme"} if number == 0 else {}
        await rag(captured).ainvoke("q", {"callbacks": [handler(captured)], "metadata": metadata})
        user.inside("between")()
    assert [span.name for span in captured.spans if labels(span)] == [
        "invoke_workflow rag", "retrieval", "http", "chat scripted-1", "http",
    ]  # fmt: skip


async def test_tenants_never_mix(captured: Captured) -> None:
    shared = handler(captured)

    async def request(number: int) -> None:
        model = ScriptedModel(delay=0.001)
        chain = (RunnableLambda(lambda asked: asked) | model | StrOutputParser()).with_config(
            run_name=f"t{number}"
        )
        with attribution(tenant=f"t{number}"):
            await chain.ainvoke("q", {"callbacks": [shared]})

    await asyncio.gather(*map(request, range(100)))
    roots = {span.context.trace_id: span.name for span in captured.spans if span.parent is None}
    assert len(roots) == 100
    for span in captured.spans:
        assert roots[span.context.trace_id] == f"invoke_workflow {labels(span)['app.tenant_id']}"


def test_the_order_of_the_sources(captured: Captured) -> None:
    shared = handler(
        captured,
        attribution=lambda: {"tenant": "resolver", "feature": "resolver", "user": "resolver", "region": "eu"},
        baggage_keys=("tenant", "feature", "user"),
    )
    context = baggage.set_baggage("secret", "x")
    for key in ("tenant", "feature", "user"):
        context = baggage.set_baggage(key, "baggage", context)
    token = context_api.attach(context)
    with attribution(tenant="scope", feature="scope"):
        ScriptedModel().invoke("q", {"callbacks": [shared], "metadata": {"tenant": "metadata"}})
    context_api.detach(token)
    assert all_labels(captured) == [
        {"app.tenant_id": "metadata", "app.feature": "scope", "user.id": "baggage", "app.region": "eu"}
    ]


def test_a_failing_label_function_loses_the_labels_but_not_the_span(captured: Captured) -> None:
    def broken() -> Any:
        raise RuntimeError("no request")

    faults.strict = False
    ScriptedModel().invoke("q", {"callbacks": [handler(captured, attribution=broken)]})
    assert all_labels(captured) == [{}]


def test_a_label_is_redacted_once_at_any_depth_and_on_any_span(captured: Captured) -> None:
    shared = handler(captured, content=ContentPolicy(redact=("emails", lambda text: f"alias of {text}")))
    with attribution(user="ann@example.com"):
        rag(captured).invoke("q", {"callbacks": [shared]})
    assert all_labels(captured) == [{"user.id": "alias of [redacted:email]"}] * 5


def test_llama_index_scopes_tags_and_the_applications_spans(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager([handler(captured)])
    engine = llama_fakes.index(UserSpans(captured.tracer_provider).inside("http")).as_query_engine(
        llm=llama_fakes.ScriptedModel()
    )
    with attribution(tenant="globex", feature="search"), instrument_tags({"tenant": "acme", "user": "u-7"}):
        engine.query("q")
    assert "http" in captured.tree()
    query = [span for span in captured.spans if span.context.trace_id == captured.spans[-1].context.trace_id]
    assert [labels(span) for span in query] == [ACME] * len(query)


def test_labels_do_not_leave_in_headers_by_themselves() -> None:
    with attribution(tenant="acme", user="u-7"):
        headers: dict[str, str] = {}
        inject(headers)
    assert headers == {}


def seen() -> Any:
    return labels(trace.get_current_span()).get("app.tenant_id")


def test_functions_of_every_kind_can_be_decorated(captured: Captured) -> None:
    tracer = captured.tracer_provider.get_tracer("application")

    def now() -> Any:
        with tracer.start_as_current_span("here"):
            return seen()

    @attribution(tenant="acme")
    def plain() -> Any:
        return now()

    @attribution(tenant="acme")
    async def coroutine() -> Any:
        return now()

    @attribution(tenant="acme")
    def generator() -> Iterator[Any]:
        yield now()
        yield now()

    @attribution(tenant="acme")
    async def async_generator() -> AsyncIterator[Any]:
        yield now()
        yield now()

    async def consume() -> list[Any]:
        return [(item, now()) async for item in async_generator()]

    assert plain() == asyncio.run(coroutine()) == "acme"
    assert [(item, now()) for item in generator()] == asyncio.run(consume()) == [("acme", None)] * 2
    assert inspect.iscoroutinefunction(coroutine) and inspect.isasyncgenfunction(async_generator)
    assert now() is None


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"tenant": ""}, ValueError, "tenant must not be empty"),
        ({"tenant": ["acme"]}, TypeError, "tenant must be a text, a whole number or a UUID, not list"),
        ({"Cost Centre": "1"}, ValueError, "the label 'Cost Centre' must be lower-case letters"),
    ],
)
def test_wrong_labels_are_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attribution(**given)
    with pytest.raises(kind, match=message):
        OTelCallbackHandler(attribution=given)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"attribution": 3}, TypeError, "attribution must be labels"),
        ({"baggage_keys": "tenant"}, TypeError, "baggage_keys must be a list, not the text 'tenant'"),
        ({"metric_labels": ("user",)}, ValueError, "metric_labels must not name user.id"),
        ({"metric_labels": {"tenant": 0}}, TypeError, "tenant must have a positive number"),
        ({"budgets": [5]}, TypeError, "budgets must be Budget objects, not 5"),
        (
            {"budgets": Budget(usd=5)},
            TypeError,
            r"budgets must be a list of Budget objects, not Budget\(usd=5",
        ),
        ({"prices": 5}, TypeError, "prices must be a PriceBook"),
        ({"price": {}}, TypeError, "a handler has no argument price"),
    ],
)
def test_wrong_arguments_are_refused(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        OTelCallbackHandler(**options)
