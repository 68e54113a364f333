"""The integrations of both frameworks: where each is, and how a model of it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

KEY = "test-key"


@dataclass(frozen=True)
class Client:
    """A class of an integration.

    Attributes:
        options: what it needs beside the model.
        stream_options, stream_arguments: what makes it ask for usage when it streams, of the model or the call.
        completes: it completes text and does not chat.
        shared: what all instances may have together, because it takes long to make.
    """

    package: str
    path: str
    model_key: str = "model"
    options: Mapping[str, Any] = field(default_factory=dict)
    stream_options: Mapping[str, Any] = field(default_factory=dict)
    stream_arguments: Mapping[str, Any] = field(default_factory=dict)
    completes: bool = False
    shared: Callable[[], Mapping[str, Any]] = dict

    @property
    def framework(self) -> str:
        return "langchain" if self.package.startswith("langchain") else "llama_index"

    def make(self, model: str | None, **options: Any) -> Any:
        """An instance; a package that is not installed fails the test, it is never skipped."""
        try:
            version(self.package)
        except PackageNotFoundError:
            pytest.fail(f"{self.package} is not installed: pip install -r tests/cost/golden/requirements.txt")
        module, _, name = self.path.partition(":")
        given = {**self.options, **self.shared(), **options}
        if model is not None:
            given[self.model_key] = model
        return getattr(import_module(module), name)(**given)


@cache
def _boto() -> Mapping[str, Any]:
    import boto3

    return {"client": boto3.client("bedrock-runtime"), "bedrock_client": boto3.client("bedrock")}


_ONE_TRY = {"api_key": KEY, "max_retries": 0}
_AZURE = {**_ONE_TRY, "api_version": "2025-04-01-preview", "azure_endpoint": "https://acme.openai.azure.com"}
_MOONSHOT = "https://api.moonshot.ai/v1"
_VLLM = "http://vllm.gpu.example:8000/v1"
_OPENROUTER = "https://openrouter.ai/api/v1"
_XAI = "https://api.x.ai/v1"
_PERPLEXITY = "https://api.perplexity.ai"
_ASKED = {"stream_options": {"include_usage": True}}
_CHAT = {"is_chat_model": True, "context_window": 100_000}

CLIENTS: dict[str, Client] = {
    # LangChain
    "lc.openai": Client("langchain-openai", "langchain_openai:ChatOpenAI", options=_ONE_TRY),
    "lc.responses": Client(
        "langchain-openai", "langchain_openai:ChatOpenAI", options={**_ONE_TRY, "use_responses_api": True}
    ),
    "lc.azure": Client("langchain-openai", "langchain_openai:AzureChatOpenAI", "azure_deployment", _AZURE),
    "lc.openai_text": Client("langchain-openai", "langchain_openai:OpenAI", options=_ONE_TRY),
    "lc.openai_embeddings": Client(
        "langchain-openai",
        "langchain_openai:OpenAIEmbeddings",
        options={**_ONE_TRY, "check_embedding_ctx_length": False},
    ),
    "lc.moonshot": Client(
        "langchain-openai",
        "langchain_openai:ChatOpenAI",
        options={**_ONE_TRY, "base_url": _MOONSHOT},
        stream_options={"stream_usage": True},
    ),
    "lc.vllm": Client(
        "langchain-openai",
        "langchain_openai:ChatOpenAI",
        options={**_ONE_TRY, "base_url": _VLLM},
        stream_options={"stream_usage": True},
    ),
    "lc.vllm_text": Client(
        "langchain-openai", "langchain_openai:OpenAI", options={**_ONE_TRY, "base_url": _VLLM}
    ),
    "lc.anthropic": Client("langchain-anthropic", "langchain_anthropic:ChatAnthropic", options=_ONE_TRY),
    "lc.perplexity_as_openai": Client(
        "langchain-openai",
        "langchain_openai:ChatOpenAI",
        options={**_ONE_TRY, "base_url": _PERPLEXITY},
        stream_options={"stream_usage": True},
    ),
    "lc.openrouter_as_openai": Client(
        "langchain-openai", "langchain_openai:ChatOpenAI", options={**_ONE_TRY, "base_url": _OPENROUTER}
    ),
    "lc.gemini": Client(
        "langchain-google-genai",
        "langchain_google_genai:ChatGoogleGenerativeAI",
        options={"google_api_key": KEY, "max_retries": 1},
    ),
    "lc.bedrock": Client("langchain-aws", "langchain_aws:ChatBedrockConverse", shared=_boto),
    "lc.groq": Client("langchain-groq", "langchain_groq:ChatGroq", options=_ONE_TRY),
    "lc.mistral": Client("langchain-mistralai", "langchain_mistralai:ChatMistralAI", options=_ONE_TRY),
    "lc.deepseek": Client("langchain-deepseek", "langchain_deepseek:ChatDeepSeek", options=_ONE_TRY),
    "lc.xai": Client("langchain-xai", "langchain_xai:ChatXAI", options=_ONE_TRY),
    "lc.perplexity": Client(
        "langchain-perplexity",
        "langchain_perplexity:ChatPerplexity",
        options={"pplx_api_key": KEY, "max_retries": 0},
    ),
    "lc.openrouter": Client("langchain-openrouter", "langchain_openrouter:ChatOpenRouter", options=_ONE_TRY),
    "lc.cohere": Client("langchain-cohere", "langchain_cohere:ChatCohere", options={"cohere_api_key": KEY}),
    "lc.cohere_rerank": Client(
        "langchain-cohere", "langchain_cohere:CohereRerank", options={"cohere_api_key": KEY}
    ),
    "lc.ollama": Client("langchain-ollama", "langchain_ollama:ChatOllama"),
    "lc.fireworks": Client("langchain-fireworks", "langchain_fireworks:ChatFireworks", options=_ONE_TRY),
    "lc.together": Client("langchain-together", "langchain_together:ChatTogether", options=_ONE_TRY),
    # LlamaIndex
    "li.openai": Client(
        "llama-index-llms-openai",
        "llama_index.llms.openai:OpenAI",
        options=_ONE_TRY,
        stream_arguments=_ASKED,
    ),
    "li.openai_text": Client(
        "llama-index-llms-openai",
        "llama_index.llms.openai:OpenAI",
        options={**_ONE_TRY, "max_tokens": 256},  # else it counts the prompt with a vocabulary to download
        stream_arguments=_ASKED,
        completes=True,
    ),
    "li.responses": Client(
        "llama-index-llms-openai", "llama_index.llms.openai:OpenAIResponses", options=_ONE_TRY
    ),
    "li.azure": Client(
        "llama-index-llms-azure-openai",
        "llama_index.llms.azure_openai:AzureOpenAI",
        "engine",
        {**_AZURE, "model": "gpt-4o"},
        stream_arguments=_ASKED,
    ),
    "li.openai_embeddings": Client(
        "llama-index-embeddings-openai", "llama_index.embeddings.openai:OpenAIEmbedding", options=_ONE_TRY
    ),
    "li.moonshot": Client(
        "llama-index-llms-openai-like",
        "llama_index.llms.openai_like:OpenAILike",
        options={**_ONE_TRY, **_CHAT, "api_base": _MOONSHOT},
        stream_arguments=_ASKED,
    ),
    "li.xai": Client(
        "llama-index-llms-openai-like",
        "llama_index.llms.openai_like:OpenAILike",
        options={**_ONE_TRY, **_CHAT, "api_base": _XAI},
        stream_arguments=_ASKED,
    ),
    "li.perplexity_as_openai": Client(
        "llama-index-llms-openai-like",
        "llama_index.llms.openai_like:OpenAILike",
        options={**_ONE_TRY, **_CHAT, "api_base": _PERPLEXITY},
        stream_arguments=_ASKED,
    ),
    "li.vllm": Client(
        "llama-index-llms-openai-like",
        "llama_index.llms.openai_like:OpenAILike",
        options={**_ONE_TRY, **_CHAT, "api_base": _VLLM},
        stream_arguments=_ASKED,
    ),
    "li.vllm_text": Client(
        "llama-index-llms-openai-like",
        "llama_index.llms.openai_like:OpenAILike",
        options={**_ONE_TRY, "is_chat_model": False, "api_base": _VLLM},
        stream_arguments=_ASKED,
        completes=True,
    ),
    "li.vllm_server": Client(
        "llama-index-llms-vllm",
        "llama_index.llms.vllm:VllmServer",
        options={"api_url": "http://vllm.gpu.example:8000/generate"},
        completes=True,
    ),
    "li.anthropic": Client(
        "llama-index-llms-anthropic", "llama_index.llms.anthropic:Anthropic", options=_ONE_TRY
    ),
    "li.gemini": Client(
        "llama-index-llms-google-genai",
        "llama_index.llms.google_genai:GoogleGenAI",
        options={"api_key": KEY, "max_retries": 1, "context_window": 1_000_000},
    ),
    "li.bedrock": Client(
        "llama-index-llms-bedrock-converse",
        "llama_index.llms.bedrock_converse:BedrockConverse",
        options={"max_retries": 1},
        shared=lambda: {"client": _boto()["client"]},
    ),
    "li.groq": Client("llama-index-llms-groq", "llama_index.llms.groq:Groq", options=_ONE_TRY),
    "li.mistral": Client(
        "llama-index-llms-mistralai", "llama_index.llms.mistralai:MistralAI", options=_ONE_TRY
    ),
    "li.deepseek": Client(
        "llama-index-llms-deepseek", "llama_index.llms.deepseek:DeepSeek", options=_ONE_TRY
    ),
    "li.perplexity": Client(
        "llama-index-llms-perplexity", "llama_index.llms.perplexity:Perplexity", options=_ONE_TRY
    ),
    "li.openrouter": Client(
        "llama-index-llms-openrouter", "llama_index.llms.openrouter:OpenRouter", options=_ONE_TRY
    ),
    "li.cohere": Client(
        "llama-index-llms-cohere",
        "llama_index.llms.cohere:Cohere",
        options={"api_key": KEY, "max_retries": 1},
    ),
    "li.ollama": Client(
        "llama-index-llms-ollama", "llama_index.llms.ollama:Ollama", options={"context_window": 4_096}
    ),
    "li.cohere_rerank": Client(
        "llama-index-postprocessor-cohere-rerank",
        "llama_index.postprocessor.cohere_rerank:CohereRerank",
        options={"api_key": KEY},
    ),
    "li.jina_rerank": Client(
        "llama-index-postprocessor-jinaai-rerank",
        "llama_index.postprocessor.jinaai_rerank:JinaRerank",
        options={"api_key": KEY},
    ),
    "li.voyage_rerank": Client(
        "llama-index-postprocessor-voyageai-rerank",
        "llama_index.postprocessor.voyageai_rerank:VoyageAIRerank",
        options={"api_key": KEY},
    ),
}
