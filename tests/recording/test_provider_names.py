"""Every model call says whose model it is: where no provider is known, by the integration's own name in lower case."""

from typing import Any

import fakes
import llama_fakes
import pytest
from ends import run, told
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import MockEmbedding, Settings
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM, MockLLM
from llama_index.core.llms.callbacks import llm_completion_callback

from otel_callbacks import embedding, inference
from otel_callbacks.conformance import check_spans
from otel_callbacks.langchain import OTelCallbackHandler, trace_embeddings
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

PROVIDER = "gen_ai.provider.name"
ASK = [ChatMessage(role="user", content="q")]
MODELS = ("chat", "text_completion", "embeddings")


class Homemade(fakes.ScriptedModel):
    """A model of the application's own, which tells LangChain nothing of itself."""

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_model_type": "chat"}


class Loud(fakes.ScriptedModel):
    """One whose provider is written as its house writes it."""

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "FireWorks", "ls_model_name": "loud-1", "ls_model_type": "chat"}


class HomemadeEmbeddings(Embeddings):
    """Vectors of the application's own."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0]] * len(texts)

    def embed_query(self, text: str) -> list[float]:
        return [1.0]


class HomemadeLLM(CustomLLM):
    """A model of the application's own, in LlamaIndex."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="homemade-1")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="hi")

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield CompletionResponse(text="hi", delta="hi")


class HomemadeEmbedding(MockEmbedding):
    """Vectors of the application's own, in LlamaIndex."""


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def assert_told(captured: Captured, expected: str) -> None:
    """On the spans, in the names of metrics' points, and to the content of the check."""
    found = [span for span in captured.spans if told(span).get("gen_ai.operation.name") in MODELS]
    assert found
    assert {told(span).get(PROVIDER) for span in found} == {expected}
    points = captured.metrics().get("gen_ai.client.inference.duration", [])
    assert {point.attributes.get(PROVIDER) for point in points} <= {expected}
    required = f"{PROVIDER} is required"
    assert [each for each in check_spans(captured.spans) if each.message == required] == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Homemade(), "homemade"),
        (Loud(), "fireworks"),
        (FakeListChatModel(responses=["hi"]), "fakelistchatmodel"),
        (FakeListLLM(responses=["hi"]), "fakelist"),
        (fakes.ScriptedModel(), "openai"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "batch"])
async def test_a_model_of_langchain(
    model: Any, expected: str, mode: str, captured: Captured, config: Any
) -> None:
    await run(model, "q", config, mode)
    assert_told(captured, expected)


@pytest.mark.parametrize(
    ("model", "expected"),
    [(HomemadeEmbeddings(), "homemadeembeddings"), (DeterministicFakeEmbedding(size=2), None)],
    ids=["homemade", "LangChain's own"],
)
@pytest.mark.parametrize("mode", ["query", "aquery", "documents"])
async def test_embeddings_of_langchain(
    model: Any, expected: str | None, mode: str, captured: Captured
) -> None:
    traced = trace_embeddings(model, handler=OTelCallbackHandler(**captured.providers))
    match mode:
        case "query":
            traced.embed_query("q")
        case "aquery":
            await traced.aembed_query("q")
        case "documents":
            traced.embed_documents(["a", "b"])
    assert_told(captured, expected or "deterministicfakeembedding")


@pytest.mark.parametrize(
    ("kind", "expected"), [(HomemadeLLM, "homemadellm"), (MockLLM, "mockllm")], ids=["homemade", "mock"]
)
@pytest.mark.parametrize("mode", ["complete", "acomplete", "chat", "achat", "stream"])
async def test_a_model_of_llama_index(kind: Any, expected: str, mode: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    model = kind()
    match mode:
        case "complete":
            model.complete("q")
        case "acomplete":
            await model.acomplete("q")
        case "chat":
            model.chat(ASK)
        case "achat":
            await model.achat(ASK)
        case "stream":
            list(model.stream_complete("q"))
    assert_told(captured, expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (HomemadeEmbedding, "homemadeembedding"),
        (MockEmbedding, "mockembedding"),
        (llama_fakes.ScriptedEmbedding, "openai"),
    ],
    ids=["homemade", "mock", "scripted"],
)
@pytest.mark.parametrize("mode", ["one", "many", "async"])
async def test_embeddings_of_llama_index(kind: Any, expected: str, mode: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    model = kind() if kind is llama_fakes.ScriptedEmbedding else kind(embed_dim=2)
    match mode:
        case "one":
            model.get_text_embedding("q")
        case "many":
            model.get_text_embedding_batch(["a", "b"])
        case "async":
            await model.aget_text_embedding("q")
    assert_told(captured, expected)


def test_calls_by_hand(captured: Captured) -> None:
    """No integration makes them, so that no name can be wrong; but there is one, and a given one is kept."""
    with inference("by-hand-1"), embedding("by-hand-2"):
        pass
    with inference("by-hand-3", provider="example"):
        pass
    found = [told(span).get(PROVIDER) for span in captured.spans]
    assert all(found)
    assert found[-1] == "example"


@pytest.mark.parametrize("operation", ["chat", "text_completion", "embeddings"])
def test_the_check_reports_its_absence(operation: str) -> None:
    span = {
        "name": f"{operation} m",
        "kind": 3,
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "startTimeUnixNano": "100",
        "endTimeUnixNano": "200",
        "attributes": {"gen_ai.operation.name": operation, "gen_ai.request.model": "m"},
    }
    found = [each for each in check_spans([span]) if each.message == f"{PROVIDER} is required"]
    assert [each.level for each in found] == ["violation"]
