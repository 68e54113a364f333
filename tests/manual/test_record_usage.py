"""Tests that a manually recorded model call is charged like any other."""

from decimal import Decimal
from typing import Any

import pytest
from canaries import Canaries
from fakes import ScriptedModel
from langchain_core.language_models import LLM
from langchain_core.tools import tool

from otel_callbacks import Budget, ContentPolicy, OTelCallbackHandler, attribution, inference, record_usage
from otel_callbacks.cost import report
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured

PRICES = {"prices": {"scripted-1": {"input": 2, "output": 10}}}
USED: Any = {"model": "scripted-1", "input_tokens": 100, "output_tokens": 20}
CHARGED = {
    "gen_ai.request.model": "scripted-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "otel_callbacks.usage.source": "provider",
    "gen_ai.usage.cost_usd": 0.0004,
    "gen_ai.usage.cost": 0.0004,
    "otel_callbacks.cost.status": "priced",
    "otel_callbacks.cost.source": "price_book",
    "otel_callbacks.cost.model": "scripted-1",
    "otel_callbacks.cost.input_usd": 0.0002,
    "otel_callbacks.cost.output_usd": 0.0002,
}


@pytest.fixture(autouse=True)
def in_charge(captured: Captured) -> Any:
    by_hand = recorder(**captured.providers, prices=PRICES)
    set_process_recorder(in_charge, lambda: by_hand)
    yield
    set_process_recorder(in_charge, None)


def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers, prices=PRICES)


def spent(captured: Captured) -> list[tuple[float, Any]]:
    points = captured.metrics()["gen_ai.cost.usd"]
    return [(point.value, point.attributes.get("app.tenant_id")) for point in points]


def test_credentials_are_removed(captured: Captured) -> None:
    canaries = Canaries()
    with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
        record_usage(
            model=canaries.key, response_model=canaries.key, provider="openai", service_tier=canaries.key
        )
    left = repr((captured.spans[0].attributes, captured.metrics()))
    assert "gen_ai.request.model" in left and "openai.response.service_tier" in left
    assert not [secret for secret in canaries.secrets if secret in left]


def test_on_the_applications_own_span(captured: Captured) -> None:
    tracer = captured.tracer_provider.get_tracer("application")
    with attribution(tenant="acme"), tracer.start_as_current_span("ask"):
        record_usage(**USED)
    assert captured.tree() == "ask"
    assert dict(captured.spans[0].attributes or {}) == {**CHARGED, "app.tenant_id": "acme"}
    assert spent(captured) == [(0.0004, "acme")]
    row = report(captured.spans, by=["tenant"]).rows[0]
    assert (row.key, row.calls, row.cost_usd) == (("acme",), 1, Decimal("0.0004"))


def test_it_is_labelled_as_a_run_would_be_that_starts_there(captured: Captured) -> None:
    crossings: list[Any] = []
    content = ContentPolicy(redact=("emails",))
    by_hand = recorder(
        **captured.providers,
        prices=PRICES,
        content=content,
        attribution={"tenant": "ann@example.com"},
        budgets=[Budget(tenant="ann@example.com", usd="0.0001", on_exceeded=crossings.append)],
    )
    set_process_recorder(in_charge, lambda: by_hand)
    with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
        record_usage(**USED)
    assert (captured.spans[0].attributes or {})["app.tenant_id"] == "[redacted:email]"
    assert spent(captured) == [(0.0004, "[redacted:email]")]
    assert len(crossings) == 1


def test_a_scope_in_a_tool_counts_more_than_what_the_tool_has(captured: Captured) -> None:
    @tool
    def ask(question: str) -> str:
        """Asks."""
        tracer = captured.tracer_provider.get_tracer("application")
        with attribution(tenant="globex"), tracer.start_as_current_span("http"):
            record_usage(**USED)
        return "answer"

    with attribution(tenant="acme"):
        ask.invoke({"question": "q"}, {"callbacks": [handler(captured)]})
    assert spent(captured) == [(0.0004, "globex")]


def test_a_second_call_on_the_same_span_gets_its_own_span(captured: Captured) -> None:
    with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
        record_usage(**USED)
        record_usage(**USED)
    assert captured.tree() == "ask\n  chat scripted-1"
    assert spent(captured) == [(0.0008, None)]


def test_in_a_tool_it_is_a_span_below_and_counts_for_all_above(captured: Captured) -> None:
    @tool
    def ask(question: str) -> str:
        """Asks."""
        record_usage(**USED)
        with captured.tracer_provider.get_tracer("application").start_as_current_span("http"):
            record_usage(**USED)
        return "answer"

    ask.invoke({"question": "q"}, {"callbacks": [handler(captured)]})
    assert captured.tree() == "execute_tool ask\n  chat scripted-1\n  http"
    root = captured.spans[0].attributes or {}
    assert (root["otel_callbacks.rollup.cost_usd"], root["otel_callbacks.rollup.inference_calls"]) == (
        0.0008,
        2,
    )


def test_it_completes_the_span_of_a_model_that_reports_nothing(captured: Captured) -> None:
    class Silent(ScriptedModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            record_usage(**USED)
            result = super()._generate(*args, **kwargs)
            result.generations[0].message.usage_metadata = None
            return result

    class SilentText(LLM):
        @property
        def _llm_type(self) -> str:
            return "silent"

        def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
            record_usage(**USED)
            return "text"

    Silent().invoke("q", {"callbacks": [handler(captured)]})
    SilentText().invoke("q", {"callbacks": [handler(captured)]})
    assert captured.tree() == "chat scripted-1\ntext_completion"
    used = [(span.attributes or {})["gen_ai.usage.input_tokens"] for span in captured.spans]
    assert used == [100, 100]


def test_outside_any_span_it_starts_a_trace(captured: Captured) -> None:
    record_usage(**USED, cost_usd="0.01")
    assert captured.tree() == "chat scripted-1"
    assert (captured.spans[0].attributes or {})["gen_ai.usage.cost_usd"] == 0.01


def test_the_providers_own_report_will_do(captured: Captured) -> None:
    record_usage(model="scripted-1", usage={"prompt_tokens": 100, "completion_tokens": 20})
    assert spent(captured) == [(0.0004, None)]


def told_by(captured: Captured, *names: str) -> list[Any]:
    found = captured.spans[0].attributes or {}
    return [found.get(f"otel_callbacks.{name}") for name in names] + [found.get("gen_ai.usage.input_tokens")]


def test_the_report_is_read_as_its_provider_means_it(captured: Captured) -> None:
    """Bedrock's cache is beside the input; 110 tokens were sent."""
    beside = {"prompt_tokens": 10, "completion_tokens": 20, "cache_read_input_tokens": 100}
    record_usage(model="scripted-1", provider="bedrock", usage=beside)
    assert spent(captured) == [
        (0.00042, None)
    ]  # (110 * 2 + 20 * 10) / 1e6: the book has no rate for the cache
    assert told_by(captured, "cost.status") == ["priced", 110]


@pytest.mark.parametrize("where", ["nowhere", "in a model"])
@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({"server_tool_use": {"web_search_requests": 2}}, "partial", "web_searches"),
        ({"service_tier": "priority"}, "unpriced", "no_rate"),
        ({"service_tier": "standard"}, "priced", None),
        ({"cost": 0.5}, "reported", None),
    ],
)
def test_what_the_report_says_of_the_price_counts(
    where: str, more: Any, status: str, reason: Any, captured: Captured
) -> None:
    told: Any = {"model": "scripted-1", "usage": {"input_tokens": 100, "output_tokens": 20, **more}}
    if where == "nowhere":
        record_usage(provider="anthropic", **told)
    else:
        with inference("scripted-1", provider="anthropic"):
            record_usage(provider="anthropic", **told)
    assert told_by(captured, "cost.status", "cost.unpriced_reason") == [status, reason, 100]


def test_a_tier_counts_in_the_body_of_a_model_too(captured: Captured) -> None:
    def body() -> None:
        record_usage(**USED, service_tier="flex")

    class Silent(ScriptedModel):
        def _next(self) -> Any:
            return super()._next().model_copy(update={"usage_metadata": None})

    Silent(body=body).invoke("q", {"callbacks": [handler(captured)]})
    assert told_by(captured, "cost.status", "cost.unpriced_reason") == ["unpriced", "no_rate", 100]


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": -5, "output_tokens": 3},
        {"input_tokens": True, "output_tokens": 3},
        {"input_tokens": float("nan"), "output_tokens": 3},
        {"input_tokens": 10**15, "output_tokens": 3},
        {"input_tokens": "12", "output_tokens": 3},
    ],
)
@pytest.mark.parametrize("where", ["on a span", "nowhere", "in a model"])
def test_impossible_counts_are_recorded_and_not_priced(where: str, counts: Any, captured: Captured) -> None:
    before = faults.count
    if where == "on a span":
        with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
            record_usage(model="scripted-1", usage=counts)
    elif where == "in a model":
        with inference("scripted-1"):
            record_usage(model="scripted-1", usage=counts)
    else:
        record_usage(model="scripted-1", usage=counts)
    found = captured.spans[0].attributes or {}
    assert found["otel_callbacks.cost.unpriced_reason"] == "no_usage"
    assert "gen_ai.usage.cost_usd" not in found
    assert "gen_ai.usage.input_tokens" not in found
    assert faults.count == before


def test_contradictory_counts_are_recorded_and_not_priced(captured: Captured) -> None:
    with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
        record_usage(model="scripted-1", input_tokens=5, cache_read_input_tokens=50, output_tokens=3)
    found = captured.spans[0].attributes or {}
    assert found["otel_callbacks.cost.unpriced_reason"] == "invalid_usage"
    assert "gen_ai.usage.cost_usd" not in found
    assert found["gen_ai.usage.input_tokens"] == 5


def test_a_reported_cost_does_not_let_counts_through_that_are_none(captured: Captured) -> None:
    counts = {"input_tokens": -5, "output_tokens": 3}
    record_usage(model="scripted-1", usage=counts, cost_usd=0.01)
    found = captured.spans[0].attributes or {}
    assert (found["gen_ai.usage.cost_usd"], found.get("gen_ai.usage.input_tokens")) == (0.01, None)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"model": ""}, TypeError),
        ({"cost_usd": -1}, ValueError),
        ({"cost_usd": Decimal("NaN")}, ValueError),
        ({"input_tokens": -5}, ValueError),
        ({"output_tokens": 10**15}, ValueError),
        ({"cache_read_input_tokens": "12"}, TypeError),
        ({"reasoning_output_tokens": True}, TypeError),
        ({"cache_write_input_tokens": float("nan")}, TypeError),
        ({"input_token": 5}, TypeError),
    ],
)
def test_wrong_arguments_are_refused(given: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(given))):
        record_usage(**{**USED, **given})
