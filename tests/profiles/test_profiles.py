"""What each profile adds to a trace with a span of every kind. `expected.json` was read line by line."""

import json
from pathlib import Path
from typing import Any

import pytest
from every_operation import NAMES, answer, with_options

from otel_callbacks import OTelCallbackHandler, profiles
from otel_callbacks.profiles import PROFILES, checked, extra_attributes
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured

VENDORS = ("openinference", "mlflow", "langfuse", "langsmith")
EXPECTED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_name("expected.json").read_text()
)
NO_CONTENT = {
    *("input.value", "reranker.query", "retrieval.documents.0.document.content"),
    *("mlflow.spanInputs", "langfuse.observation.input", "gen_ai.prompt"),
}


def added(captured: Captured, profile: str) -> dict[str, dict[str, Any]]:
    found = {}
    for span in captured.spans:
        extra = extra_attributes((profile,), span.attributes or {}, 1_000_000_000)
        found[span.name] = json.loads(json.dumps(extra))
    return found


@pytest.mark.parametrize("profile", VENDORS)
def test_what_a_profile_adds(profile: str, captured: Captured) -> None:
    with_options(captured, answer)
    assert added(captured, profile) == EXPECTED[profile]
    assert set(EXPECTED[profile]) == set(NAMES)


@pytest.mark.parametrize("profile", VENDORS)
def test_content_that_the_policy_left_out_stays_out(profile: str, captured: Captured) -> None:
    with_options(captured, answer, content="none")
    found = added(captured, profile)
    assert "Paris" not in json.dumps(found) and "Where" not in json.dumps(found)
    attributes = {name for each in found.values() for name in each}
    assert not attributes & NO_CONTENT
    types = {name: next(iter(each.values())) for name, each in EXPECTED[profile].items()}
    assert {name: next(iter(each.values())) for name, each in found.items()} == types


def test_documents_without_content_have_their_ids_and_scores(captured: Captured) -> None:
    with_options(captured, answer, content="none")
    documents = {
        name: value
        for name, value in added(captured, "openinference")["retrieval docs"].items()
        if name.startswith("retrieval.documents")
    }
    assert documents == {
        "retrieval.documents.0.document.id": "a",
        "retrieval.documents.1.document.id": "b",
        "retrieval.documents.1.document.score": 0.5,
    }


@pytest.mark.parametrize("profile", ["openinference", "langfuse"])
def test_the_input_that_a_list_shows_begins_with_the_question(profile: str) -> None:
    """Lists show some fifty characters, which the instructions would fill, the same in every row."""
    asked = [("system", "Be brief."), ("user", "Where?"), ("developer", "Be kind."), ("assistant", "Who?")]
    messages = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in asked]
    name = {"openinference": "input.value", "langfuse": "langfuse.observation.input"}[profile]

    def shown(*messages: dict[str, Any]) -> Any:
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.input.messages": json.dumps(messages),
        }
        return extra_attributes((profile,), attributes, 0)[name]

    assert shown(*messages) == "user: Where?\n\nassistant: Who?"
    assert shown(*messages[:3]) == "Where?"
    assert shown(messages[0]) == "Be brief."


def test_the_parts_of_the_usage_add_up_in_langfuse(captured: Captured) -> None:
    with_options(captured, answer)
    found = added(captured, "langfuse").values()
    usage = [json.loads(each.get("langfuse.observation.usage_details", "{}")) for each in found]
    cost = [json.loads(each.get("langfuse.observation.cost_details", "{}")) for each in found]
    by_name = dict(zip(added(captured, "langfuse"), zip(usage, cost, strict=True), strict=True))
    call, price = by_name["chat gpt-x"]
    assert sum(call.values()) == 120
    assert sum(amount for name, amount in price.items() if name != "total") == pytest.approx(price["total"])
    assert by_name["invoke_agent lead"] == ({}, {})


def test_when_the_first_chunk_came(captured: Captured) -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.time_to_first_chunk": 1.25,
    }
    found = extra_attributes(("langfuse",), attributes, 1_700_000_000_000_000_000)
    assert found["langfuse.observation.completion_start_time"] == "2023-11-14T22:13:21.250Z"


def test_released_names(captured: Captured) -> None:
    attributes = {"gen_ai.usage.cache_write.input_tokens": 10, "gen_ai.usage.cost_usd": 0.5}
    assert extra_attributes(profiles.DEFAULT, attributes, 0) == {
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.cost": 0.5,
    }
    with_options(captured, answer, profiles=())
    names = {name for span in captured.spans for name in span.attributes or {}}
    assert not names & {"gen_ai.usage.cost", "gen_ai.usage.cache_creation.input_tokens"}
    assert "gen_ai.client.token.usage" not in captured.metrics()


def test_released_metrics(captured: Captured) -> None:
    with_options(captured, answer)
    metrics = captured.metrics()
    tokens = {
        (point.attributes["gen_ai.operation.name"], point.attributes["gen_ai.token.type"]): point.sum
        for point in metrics["gen_ai.client.token.usage"]
    }
    assert tokens == {("chat", "input"): 200, ("chat", "output"): 40, ("embeddings", "input"): 8}
    counts = {
        point.attributes["gen_ai.operation.name"]: point.count
        for point in metrics["gen_ai.client.operation.duration"]
    }
    assert counts == {"chat": 2, "embeddings": 1, "retrieval": 1}


@pytest.mark.parametrize(("source", "named"), [("reported", "provider"), ("price_book", "local")])
def test_the_draft_for_costs_stands_alone(source: str, named: str) -> None:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.cost_usd": 0.5,
        "otel_callbacks.cost.source": source,
    }
    assert extra_attributes(("cost_draft",), attributes, 0) == {
        "gen_ai.usage.cost.amount": 0.5,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": named,
    }
    assert extra_attributes(("cost_draft",), {**attributes, "gen_ai.usage.cost": 0.5}, 0) == {}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("mlflow", TypeError, r"profiles='mlflow' must be a list or tuple, such as \('mlflow',\)"),
        (["nope"], ValueError, "profiles: 'nope' is not known; use 'released_genai', 'openinference'"),
        (["released_genai", "cost_draft"], ValueError, "'cost_draft' stands in place of 'released_genai'"),
    ],
)
def test_wrong_profiles_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checked(given)
    with pytest.raises(error, match=message):
        OTelCallbackHandler(profiles=given)


def test_profiles_from_the_environment(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_PROFILES", "released_genai, mlflow")
    with_options(captured, answer)
    assert (captured.span("prepare").attributes or {})["mlflow.spanType"] == "CHAIN"


def test_no_profile_from_the_environment(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_PROFILES", "none")
    with_options(captured, answer)
    assert "gen_ai.usage.cost" not in (captured.span("embeddings embed-x").attributes or {})


def test_nothing_that_is_there_changes(captured: Captured) -> None:
    mine = {"gen_ai.operation.name": "chat", "openinference.span.kind": "CHAIN", "mlflow.spanType": "TASK"}
    found = extra_attributes(tuple(PROFILES), mine, 0)
    assert not found.keys() & mine.keys()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("damaged", ['[{"parts": [1, {"type": 3}]}, 2]', "[", '{"a": 1}', 7, "", "[[]]"])
def test_damaged_content_reads_as_absent(profile: str, damaged: Any) -> None:
    names = (
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.retrieval.documents", "rag.documents"),
        *("gen_ai.tool.call.arguments", "gen_ai.usage.input_tokens", "gen_ai.system_instructions"),
    )
    before = faults.count
    for operation in ("chat", "retrieval", "rerank", "execute_tool", "invoke_agent", "invoke_workflow"):
        attributes = {**dict.fromkeys(names, damaged), "gen_ai.operation.name": operation}
        extra_attributes((profile,), attributes, 0)
    assert faults.count == before


@pytest.mark.parametrize(
    "foreign", [{"traceloop.span.kind": "workflow"}, {"llm.model_name": "m"}, {"ai.operationId": "ai.embed"}]
)
@pytest.mark.parametrize("profile", VENDORS)
def test_spans_of_others_keep_their_own_words(profile: str, foreign: dict[str, str]) -> None:
    assert extra_attributes((profile,), foreign, 0) == {}


@pytest.mark.parametrize("profile", VENDORS)
def test_a_model_call_on_a_span_of_the_application(profile: str) -> None:
    used = {"otel_callbacks.usage.source": "provider", "gen_ai.request.model": "m"}
    kinds = {"LLM", "CHAT_MODEL", "generation", "llm"}
    assert next(iter(extra_attributes((profile,), used, 0).values())) in kinds
