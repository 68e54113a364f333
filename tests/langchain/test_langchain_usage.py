"""Tests provider, model and usage of an answer: exact for every provider, streamed or not, and never invented."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fakes import ScriptedModel
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from payloads import MADE_UP, RECORDED, TEXT, Answer, Payload, ReplayedModel, ReplayedTextModel, usage

from otel_callbacks.conformance import assert_conformant
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.langchain.inference import start_inference
from otel_callbacks.operations import Billing
from otel_callbacks.testing import Captured

NAMES = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "id": "gen_ai.response.id",
    "server": "server.address",
    "port": "server.port",
    "finish": "gen_ai.response.finish_reasons",
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "source": "otel_callbacks.usage.source",
}


def recorded(span: ReadableSpan) -> dict[str, Any]:
    attributes = span.attributes or {}
    return {short: attributes[name] for short, name in NAMES.items() if name in attributes}


def known(expected: dict[str, Any]) -> dict[str, Any]:
    return {short: value for short, value in expected.items() if value is not None}


@pytest.fixture(autouse=True)
def default_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "GROQ_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def config(captured: Captured) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def only(captured: Captured, payload: Payload) -> ReadableSpan:
    (span,) = captured.spans
    name = [payload.expected["operation"], payload.expected.get("model")]
    assert span.name == " ".join(part for part in name if part)
    assert span.status.status_code is StatusCode.UNSET
    assert_conformant(
        [span], allow=() if payload.expected.get("provider") else ["genai_expected_attribute_missing"]
    )
    return span


CHAT = RECORDED | MADE_UP


@pytest.mark.parametrize("case", [case for case in CHAT if case != "openai streamed without usage"])
def test_chat(case: str, captured: Captured, config: Any) -> None:
    payload = CHAT[case]
    ReplayedModel(payload=payload).invoke("q", config)
    span = only(captured, payload)
    assert recorded(span) == known(payload.expected)
    assert "gen_ai.request.stream" not in (span.attributes or {})


@pytest.mark.parametrize("case", CHAT)
def test_streamed_chat(case: str, captured: Captured, config: Any) -> None:
    payload = CHAT[case]
    list(ReplayedModel(payload=payload).stream("q", config))
    span = only(captured, payload)
    assert recorded(span) == known(payload.expected | payload.streamed)
    assert (span.attributes or {})["gen_ai.request.stream"] is True


@pytest.mark.parametrize("case", TEXT)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_text(case: str, stream: bool, captured: Captured, config: Any) -> None:
    payload, model = TEXT[case], ReplayedTextModel(payload=TEXT[case])
    if stream:
        list(model.stream("q", config))
    else:
        model.invoke("q", config)
    assert recorded(only(captured, payload)) == known(payload.expected | (payload.streamed if stream else {}))


def test_prompts_sent_together_are_counted_once(captured: Captured, config: Any) -> None:
    ReplayedTextModel(payload=TEXT["openai completions"]).generate(
        ["p", "q", "r"], callbacks=config["callbacks"]
    )
    assert [recorded(span).get("input") for span in captured.spans] == [7, None, None]
    assert [recorded(span).get("source") for span in captured.spans] == ["provider", None, None]
    duplicates = [(span.attributes or {}).get("otel_callbacks.duplicate") for span in captured.spans]
    assert duplicates == [None, True, True]


def test_a_class_that_langchain_knows_nothing_about(captured: Captured, config: Any) -> None:
    class AcmeModel(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "acme"

        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("hi"))])

    AcmeModel().invoke("q", config)
    assert recorded(captured.span("chat")) == {
        "operation": "chat",
        "provider": "acmemodel",
        "source": "missing",
    }
    assert_conformant(captured.spans)


def test_an_answer_without_usage_has_no_totals(captured: Captured, config: Any) -> None:
    ReplayedModel(payload=MADE_UP["a report of zeros"]).invoke("q", config)
    rollup = {name: value for name, value in (captured.spans[0].attributes or {}).items() if "rollup" in name}
    assert rollup == {
        "otel_callbacks.rollup.inference_calls": 1,
        "otel_callbacks.rollup.unpriced_calls": 1,
    }


def test_openai_tells_its_tier_and_fingerprint_and_nobody_else_does(captured: Captured, config: Any) -> None:
    for case in ("openai flex tier", "azure", "groq"):
        ReplayedModel(payload=RECORDED[case]).invoke("q", config)
    tiers = [
        {name: value for name, value in (span.attributes or {}).items() if name.startswith("openai.")}
        for span in captured.spans
    ]
    assert tiers[1:] == [{}, {}]
    assert tiers[0] == {
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "flex",
        "openai.response.service_tier": "flex",
        "openai.response.system_fingerprint": "fp_44709d6fcb",
    }


def test_each_choice_has_its_finish_reason(captured: Captured, config: Any) -> None:
    class Choices(ScriptedModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            reasons = ({"finish_reason": "stop"}, {"finish_reason": "length"}, {})
            return ChatResult(
                generations=[
                    ChatGeneration(message=AIMessage("x", response_metadata=reason)) for reason in reasons
                ]
            )

    Choices().invoke("q", config)
    assert recorded(captured.spans[0])["finish"] == ("stop", "length", "error")


def test_a_cut_stream_has_no_finish_reason_of_its_own(captured: Captured, config: Any) -> None:
    stream = ReplayedModel(payload=RECORDED["anthropic"]).stream("q", config)
    next(stream)
    stream.close()
    (span,) = captured.spans
    assert recorded(span)["finish"] == ("error",)
    assert recorded(span)["source"] == "missing"
    assert (span.attributes or {})["otel_callbacks.outcome"] == "abandoned"


@pytest.mark.parametrize("variable", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_the_address_in_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch, captured: Captured, config: Any
) -> None:
    monkeypatch.setenv(variable, "http://localhost:4000/v1")
    ReplayedModel(payload=RECORDED["openai"]).invoke("q", config)
    assert (recorded(captured.spans[0])["server"], recorded(captured.spans[0])["port"]) == ("localhost", 4000)


def test_audio_tokens(captured: Captured, config: Any) -> None:
    report = usage(100, 50, {"audio": 60, "cache_read": 10}, {"audio": 40})
    payload = Payload({"ls_provider": "openai", "ls_model_name": "gpt-audio"}, {}, Answer({}, report))
    ReplayedModel(payload=payload).invoke("q", config)
    attributes = captured.spans[0].attributes or {}
    assert attributes["gen_ai.usage.audio.input_tokens"] == 60
    assert attributes["gen_ai.usage.audio.output_tokens"] == 40
    assert_conformant(captured.spans)


class Refusal(Exception):
    """An error of an HTTP client, with the whole response."""

    class response:
        status_code = 500
        headers: ClassVar[dict[str, str]] = {"x-request-id": "r"}

        @staticmethod
        def json() -> Any:
            return {"error": "the prompt was: q"}


@pytest.mark.parametrize("chunks", [0, 1])
def test_an_error_is_no_answer(chunks: int, captured: Captured) -> None:
    """LangChain makes one of it, with the body of the HTTP response in it."""

    class Breaking(ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for _ in range(chunks):
                yield ChatGenerationChunk(message=AIMessageChunk("hel"))
            raise Refusal("no")

    handler = OTelCallbackHandler(**captured.providers, content="spans")
    with pytest.raises(Refusal):
        list(Breaking().stream("q", {"callbacks": [handler]}))
    said = captured.span("chat scripted-1").attributes or {}
    assert said["gen_ai.response.finish_reasons"] == ("error",)
    answers = [{"role": "assistant", "parts": [{"type": "text", "content": "hel"}], "finish_reason": "error"}]
    assert json.loads(str(said.get("gen_ai.output.messages", "[]"))) == answers[:chunks]
    assert "the prompt was" not in str(said)


SOUND = {"type": "media", "mime_type": "audio/wav", "data": "UklGRiQAAABXQVZF"}


@pytest.mark.parametrize(
    ("provider", "block", "unknown"),
    [
        ("google_genai", SOUND, ("audio_tokens",)),
        (
            "google_genai",
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
            ("audio_tokens",),
        ),
        (
            "google_genai",
            {"type": "image_url", "image_url": {"url": "data:audio/wav;base64,x"}},
            ("audio_tokens",),
        ),
        ("google_genai", {"type": "video", "url": "https://x.example/a.mp4"}, ("audio_tokens",)),
        ("google_genai", {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}, None),
        ("google_genai", {"type": "text", "text": "hi"}, None),
        ("openai", SOUND, None),  # which counts it
    ],
)
def test_sound_that_nobody_counts(provider: str, block: Any, unknown: Any) -> None:
    call = start_inference(
        None, None, {"ls_provider": provider}, [HumanMessage([block])], {}, completion=False
    )
    assert (call.billing and call.billing.unknown) == unknown


def test_what_a_model_was_made_with_may_decide_its_price() -> None:
    made = {"kwargs": {"inference_geo": "us", "api_key": "secret"}}
    keywords = {"invocation_params": {"model_kwargs": {"speed": "fast"}, "service_tier": "auto"}}
    call = start_inference(made, None, {"ls_provider": "anthropic"}, [], keywords, completion=False)
    assert call.billing == Billing("auto", {"inference_geo": "us", "speed": "fast"})
