"""Tests the estimated usage of calls that report none: only on request, marked as such, in both frameworks alike."""

from collections.abc import Callable
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import MockLLM
from opentelemetry.util.types import AttributeValue

from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.operations import Inference, Usage
from otel_callbacks.rag.token_estimate import estimate
from otel_callbacks.rag.usage_estimate import estimate_prompt, estimate_usage
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

PROMPT = "Which of the two is the larger one, and why is that so?"
ANSWER = f"user: {PROMPT}\nassistant: "  # which is all that LlamaIndex's fake says
NAMES = (
    "otel_callbacks.usage.source",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
)


def langchain(handler: Any, stream: bool) -> None:
    model, config = FakeListChatModel(responses=[ANSWER]), {"callbacks": [handler]}
    if stream:
        list(model.stream(PROMPT, config))
    else:
        model.invoke(PROMPT, config)


def llama_index(handler: Any, stream: bool) -> None:
    model = MockLLM(callback_manager=CallbackManager([handler]))
    if stream:
        list(model.stream_chat([ChatMessage(PROMPT)]))
    else:
        model.chat([ChatMessage(PROMPT)])


def said(captured: Captured) -> list[AttributeValue | None]:
    (span,) = captured.spans
    return [(span.attributes or {}).get(name) for name in NAMES]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("call", [langchain, llama_index])
def test_an_estimate_says_that_it_is_one(
    call: Callable[[Any, bool], None], stream: bool, captured: Captured
) -> None:
    call(OTelCallbackHandler(**captured.providers, estimate_usage=True), stream)
    assert said(captured) == ["estimated", round(estimate(PROMPT)), round(estimate(ANSWER))]


@pytest.mark.parametrize("call", [langchain, llama_index])
def test_nothing_is_estimated_unasked(call: Callable[[Any, bool], None], captured: Captured) -> None:
    call(OTelCallbackHandler(**captured.providers), False)
    assert said(captured) == ["missing", None, None]


def test_a_model_whose_inner_model_counts_is_not_estimated(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, estimate_usage=True)

    class Wrapping(FakeListChatModel):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            ScriptedModel().invoke(messages, {"callbacks": [handler]})
            return super()._generate(messages)

    Wrapping(responses=[ANSWER]).invoke(PROMPT, {"callbacks": [handler]})
    outer, inner = [dict(span.attributes or {}) for span in captured.spans]
    assert inner["otel_callbacks.usage.source"] == "provider"
    assert outer["otel_callbacks.duplicate"] is True
    assert not [name for name in outer if name.startswith(("gen_ai.usage.", "otel_callbacks.usage."))]
    assert outer["otel_callbacks.rollup.input_tokens"] == inner["gen_ai.usage.input_tokens"]


def test_a_call_that_failed_before_its_answer_has_no_estimate() -> None:
    call, cut = Inference(), Inference()
    for each in (call, cut):
        estimate_prompt(each, ["one", "two"])
    estimate_usage(call, "", cut=True)
    estimate_usage(cut, "thr", cut=True)
    assert (call.usage, cut.usage) == (
        None,
        Usage(
            round(estimate("one") + estimate("two")), round(estimate("thr")), is_final=False, estimated=True
        ),
    )


def test_what_is_reported_is_not_estimated() -> None:
    call = Inference(usage=Usage(1, 2))
    estimate_prompt(call, ["one"])
    estimate_usage(call, "two", cut=False)
    assert call.usage == Usage(1, 2)


def test_the_option_is_a_yes_or_no() -> None:
    with pytest.raises(TypeError, match="estimate_usage must be True or False, not 1"):
        OTelCallbackHandler(estimate_usage=1)  # type: ignore[arg-type]
