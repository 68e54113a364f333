"""What LangChain's model integrations report to a callback handler, recorded from the real packages.

Recorded with langchain-core 1.7.2 against canned HTTP answers (langchain-openai 1.7.3, -anthropic 1.7.7,
-google-genai 4.4.2, -aws 1.9.1, -ollama 1.1.0, -mistralai 1.1.6, -groq 1.1.3). The payloads in `MADE_UP` imitate
adapters that are known to misbehave.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One message, or one chunk of it: its `response_metadata`, its `usage_metadata`, its `generation_info`."""

    metadata: Json = field(default_factory=dict)
    usage: Json | None = None
    info: Json | None = None
    id: str | None = None


@dataclass(frozen=True)
class Payload:
    """A model call as an integration reports it, and the attributes that its span must have.

    `ls` and `params` arrive at the start; `address` is in the serialized model. `expected` is for the whole answer;
    `streamed` has the differences when the answer arrives in chunks.
    """

    ls: Json
    expected: Json
    answer: Answer = Answer()
    chunks: Sequence[Answer] = ()
    params: Json = field(default_factory=dict)
    address: Json | None = None
    output: Json | None = None
    streamed: Json = field(default_factory=dict)


class ReplayedModel(BaseChatModel):
    """Starts, answers and streams as the integration did."""

    payload: Any

    @property
    def _llm_type(self) -> str:
        return "replayed"

    @property
    def _identifying_params(self) -> Json:
        return dict(self.payload.params)

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return dict(self.payload.ls)

    def to_json(self) -> Any:
        return serialized(self.payload)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        answer = self.payload.answer
        message = AIMessage(
            "hi there", response_metadata=answer.metadata, usage_metadata=answer.usage, id=answer.id
        )
        generation = ChatGeneration(message=message, generation_info=answer.info)
        return ChatResult(generations=[generation], llm_output=self.payload.output)

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Iterator[ChatGenerationChunk]:
        for answer in self.payload.chunks:
            message = AIMessageChunk(
                "hi ", response_metadata=answer.metadata, usage_metadata=answer.usage, id=answer.id
            )
            yield ChatGenerationChunk(message=message, generation_info=answer.info)


class ReplayedTextModel(BaseLLM):
    """Starts, answers and streams as a text completion model did."""

    payload: Any

    @property
    def _llm_type(self) -> str:
        return "replayed"

    @property
    def _identifying_params(self) -> Json:
        return dict(self.payload.params)

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return dict(self.payload.ls)

    def to_json(self) -> Any:
        return serialized(self.payload)

    def _generate(self, prompts: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> LLMResult:
        generation = Generation(text="hi there", generation_info=self.payload.answer.info)
        return LLMResult(generations=[[generation] for _ in prompts], llm_output=self.payload.output)

    def _stream(
        self, prompt: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Iterator[GenerationChunk]:
        for answer in self.payload.chunks:
            yield GenerationChunk(text="hi ", generation_info=answer.info)


def serialized(payload: Payload) -> Any:
    """Returns the model as LangChain serializes it; without an address, a class that cannot be serialized."""
    if payload.address is None:
        return {
            "lc": 1,
            "type": "not_implemented",
            "id": ["app", "Model"],
            "repr": "Model(base_url='http://x')",
        }
    key = {"lc": 1, "type": "secret", "id": ["API_KEY"]}
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["app", "Model"],
        "kwargs": {**payload.address, "api_key": key},
    }


def usage(
    sent: int, received: int, into: Json | None = None, out_of: Json | None = None, **more: Any
) -> Json:
    """Returns a usage report in LangChain's normal form."""
    report: Json = {"input_tokens": sent, "output_tokens": received, "total_tokens": sent + received, **more}
    if into is not None:
        report["input_token_details"] = into
    if out_of is not None:
        report["output_token_details"] = out_of
    return report


def expect(**known: Any) -> Json:
    """Returns the expected attributes of a span, under the short names of `test_langchain_usage`."""
    return {"source": "provider", "operation": "chat", **known}


# --- OpenAI: chat completions --------------------------------------------------------------------------------------

GPT = {"ls_provider": "openai", "ls_model_name": "gpt-4o", "ls_model_type": "chat", "ls_temperature": None}
GPT_PARAMS = {"model": "gpt-4o", "model_name": "gpt-4o", "stream": False}
GPT_RAW = {
    "completion_tokens": 50,
    "prompt_tokens": 100,
    "total_tokens": 150,
    "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 30, "text_tokens": None},
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 80, "text_tokens": None},
}
GPT_OUTPUT = {
    "token_usage": GPT_RAW,
    "model_provider": "openai",
    "model_name": "gpt-4o-2024-08-06",
    "system_fingerprint": "fp_44709d6fcb",
    "id": "chatcmpl-9xyz",
    "service_tier": "default",
}
GPT_CHUNK = {
    "model_provider": "openai",
    "finish_reason": "stop",
    "model_name": "gpt-4o-2024-08-06",
    "system_fingerprint": "fp_44709d6fcb",
    "service_tier": "default",
}
GPT_EXPECTED = expect(
    provider="openai",
    model="gpt-4o",
    response_model="gpt-4o-2024-08-06",
    id="chatcmpl-9xyz",
    server="api.openai.com",
    port=443,
    finish=("stop",),
    input=100,
    output=50,
)


def gpt(report: Json | None, tier: str = "default", **expected: Any) -> Payload:
    details = {
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": expected.get("cache_read", 0)},
        "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": expected.get("reasoning", 0)},
    }
    output = {**GPT_OUTPUT, "token_usage": {**GPT_RAW, **details}, "service_tier": tier}
    last = {**GPT_CHUNK, "service_tier": tier}
    return Payload(
        ls=GPT,
        params={**GPT_PARAMS, **({"service_tier": tier} if tier != "default" else {})},
        address={"model_name": "gpt-4o"},
        output=output,
        answer=Answer(
            {**output, "finish_reason": "stop"}, report, {"finish_reason": "stop", "logprobs": None}
        ),
        chunks=[
            Answer({"model_provider": "openai"}),
            Answer({"model_provider": "openai"}),
            Answer(last, info={key: value for key, value in last.items() if key != "model_provider"}),
            Answer({"model_provider": "openai"}, report),
        ],
        expected=GPT_EXPECTED | expected,
        streamed={"id": None},
    )


def tiered(tier: str) -> Payload:
    details = {"audio": 0, f"{tier}_cache_read": 80, tier: 20}
    report = usage(100, 50, details, {"audio": 0, f"{tier}_reasoning": 30, tier: 20})
    return gpt(report, tier, cache_read=80, reasoning=30)


# --- the others ----------------------------------------------------------------------------------------------------

RESPONSE = {
    "id": "resp_67ccd2bed1ec8190",
    "created_at": 1741476542.0,
    "model": "gpt-4.1-2025-04-14",
    "object": "response",
    "service_tier": "default",
    "status": "completed",
    "model_provider": "openai",
    "model_name": "gpt-4.1-2025-04-14",
}
CLAUDE = {"ls_provider": "anthropic", "ls_model_name": "claude-sonnet-4-5", "ls_model_type": "chat"}
CLAUDE_OUTPUT = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "container": None,
    "model": "claude-sonnet-4-5-20250929",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 50,
        "input_tokens": 30,
        "output_tokens": 12,
    },
    "model_name": "claude-sonnet-4-5-20250929",
}


def claude(into: Json, out_of: Json | None = None, **expected: Any) -> Payload:
    model = {"model_name": "claude-sonnet-4-5-20250929", "model_provider": "anthropic"}
    return Payload(
        ls=CLAUDE,
        params={"model": "claude-sonnet-4-5", "max_tokens": 64, "temperature": None, "streaming": False},
        address={"anthropic_api_url": "https://api.anthropic.com"},
        output=CLAUDE_OUTPUT,
        answer=Answer({**CLAUDE_OUTPUT, "model_provider": "anthropic"}, usage(100, 12, into, out_of)),
        chunks=[
            Answer(model),
            Answer({"model_provider": "anthropic"}),
            Answer({"stop_reason": "end_turn", "stop_sequence": None}, usage(100, 12, into, out_of)),
        ],
        expected=expect(
            provider="anthropic",
            model="claude-sonnet-4-5",
            response_model="claude-sonnet-4-5-20250929",
            id="msg_01XFDUDYJgAACzvnptvVoYEL",
            server="api.anthropic.com",
            port=443,
            finish=("end_turn",),
            input=100,
            output=12,
            cache_read=50,
            cache_write=20,
            **expected,
        ),
        streamed={"id": None},
    )


CONVERSE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CONVERSE_USAGE = usage(100, 12, {"cache_creation": 20, "cache_read": 50})
AWS_REPLY = {
    "RequestId": "bed-req-1",
    "HTTPStatusCode": 200,
    "HTTPHeaders": {"date": "x"},
    "RetryAttempts": 0,
}
INVOKE = "anthropic.claude-3-sonnet-20240229-v1:0"
GEMINI_USAGE = usage(40, 35, {"cache_read": 16}, {"reasoning": 25})
GEMINI_CHUNK = usage(40, 29, {"cache_read": 16}, {"reasoning": 25})
LLAMA = {
    "model": "llama3.2",
    "created_at": "2026-01-01T00:00:00Z",
    "done": True,
    "done_reason": "stop",
    "total_duration": 1,
    "prompt_eval_count": 26,
    "eval_count": 28,
    "logprobs": None,
    "model_name": "llama3.2",
    "model_provider": "ollama",
}
MISTRAL_RAW = {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}
GROQ_RAW = {
    "completion_tokens": 46,
    "prompt_tokens": 37,
    "total_tokens": 83,
    "completion_time": 0.1,
    "completion_tokens_details": {"reasoning_tokens": 5},
    "prompt_tokens_details": {"cached_tokens": 9},
}
GROQ_USAGE = usage(37, 46, {"cache_read": 9}, {"reasoning": 5})
GROQ_OUTPUT = {
    "token_usage": GROQ_RAW,
    "model_name": "llama-3.3-70b-versatile",
    "system_fingerprint": "fp_72a5",
    "service_tier": "on_demand",
}

RECORDED: dict[str, Payload] = {
    "openai": gpt(usage(100, 50, {"audio": 0, "cache_read": 0}, {"audio": 0, "reasoning": 0})),
    "openai with cache and reasoning": gpt(
        usage(100, 50, {"audio": 0, "cache_read": 80}, {"audio": 0, "reasoning": 30}),
        cache_read=80,
        reasoning=30,
    ),
    "openai flex tier": tiered("flex"),
    "openai priority tier": tiered("priority"),
    "openai responses": Payload(
        ls={"ls_provider": "openai", "ls_model_name": "gpt-4.1", "ls_model_type": "chat"},
        params={"model": "gpt-4.1", "model_name": "gpt-4.1", "stream": False, "reasoning": {"effort": "low"}},
        address={"openai_api_base": "https://gateway.acme.example:8443/v1"},
        answer=Answer(RESPONSE, usage(36, 87, {"cache_read": 10}, {"reasoning": 7}), id=RESPONSE["id"]),
        chunks=[
            Answer({"model_provider": "openai", "id": RESPONSE["id"]}, id=RESPONSE["id"]),
            Answer({"model_provider": "openai"}),
            Answer(
                {key: value for key, value in RESPONSE.items() if key != "id"},
                usage(36, 87, {"cache_read": 10}, {"reasoning": 7}),
            ),
        ],
        expected=expect(
            provider="openai",
            model="gpt-4.1",
            response_model="gpt-4.1-2025-04-14",
            id="resp_67ccd2bed1ec8190",
            server="gateway.acme.example",
            port=8443,
            finish=("stop",),
            input=36,
            output=87,
            cache_read=10,
            reasoning=7,
        ),
    ),
    "azure": Payload(
        ls={"ls_provider": "azure", "ls_model_name": "my-deployment", "ls_model_type": "chat"},
        params={"model": None, "azure_deployment": "my-deployment", "model_name": None, "stream": False},
        address={"azure_endpoint": "https://acme.openai.azure.com/", "deployment_name": "my-deployment"},
        output=GPT_OUTPUT,
        answer=Answer({**GPT_OUTPUT, "finish_reason": "stop"}, usage(100, 50), {"finish_reason": "stop"}),
        chunks=[Answer({"model_provider": "openai"}), Answer(GPT_CHUNK), Answer({}, usage(100, 50))],
        expected=GPT_EXPECTED
        | {
            "provider": "azure.ai.openai",
            "model": "my-deployment",
            "server": "acme.openai.azure.com",
            "cache_read": 80,
            "reasoning": 30,
        },
        streamed={"id": None, "cache_read": None, "reasoning": None},
    ),
    "anthropic": claude({"cache_read": 50, "cache_creation": 20}),
    "anthropic with cache lifetimes and thinking": claude(
        {
            "cache_read": 50,
            "cache_creation": 0,
            "ephemeral_5m_input_tokens": 5,
            "ephemeral_1h_input_tokens": 15,
        },
        {"reasoning": 4},
        reasoning=4,
    ),
    "google genai with thoughts": Payload(
        ls={"ls_provider": "google_genai", "ls_model_name": "gemini-2.5-flash", "ls_temperature": 0.3},
        params={"model": "gemini-2.5-flash", "temperature": 0.3, "max_output_tokens": None, "n": 1},
        address={"model": "gemini-2.5-flash"},
        output={},
        answer=Answer(
            {"finish_reason": "STOP", "model_name": "gemini-2.5-flash", "model_provider": "google_genai"},
            GEMINI_USAGE,
            {"finish_reason": "STOP", "model_name": "gemini-2.5-flash", "safety_ratings": []},
        ),
        chunks=[
            Answer({"safety_ratings": [], "model_provider": "google_genai"}, GEMINI_CHUNK),
            Answer(
                {"finish_reason": "STOP", "model_name": "gemini-2.5-flash", "model_provider": "google_genai"},
                usage(0, 6, {"cache_read": 0}, {"reasoning": 0}),
            ),
        ],
        expected=expect(
            provider="gcp.gemini",
            model="gemini-2.5-flash",
            response_model="gemini-2.5-flash",
            finish=("STOP",),
            input=40,
            output=35,
            cache_read=16,
            reasoning=25,
        ),
    ),
    "bedrock converse": Payload(
        ls={"ls_provider": "amazon_bedrock", "ls_model_name": CONVERSE, "ls_max_tokens": 64},
        params={"model": CONVERSE},
        address={"model_id": CONVERSE, "region_name": "us-east-1", "provider": "anthropic"},
        answer=Answer(
            {
                "ResponseMetadata": AWS_REPLY,
                "stopReason": "end_turn",
                "metrics": {"latencyMs": [581]},
                "model_provider": "bedrock_converse",
                "model_name": CONVERSE,
            },
            CONVERSE_USAGE,
        ),
        chunks=[
            Answer({"model_provider": "bedrock_converse"}),
            Answer({"stopReason": "end_turn"}),
            Answer({"metrics": {"latencyMs": 5}, "model_name": CONVERSE}, CONVERSE_USAGE),
        ],
        expected=expect(
            provider="aws.bedrock",
            model=CONVERSE,
            response_model=CONVERSE,
            finish=("end_turn",),
            input=100,
            output=12,
            cache_read=50,
            cache_write=20,
        ),
    ),
    "bedrock invoke": Payload(
        ls={"ls_provider": "amazon_bedrock", "ls_model_name": INVOKE, "ls_model_type": "chat"},
        params={"model": INVOKE, "model_id": INVOKE, "base_model_id": None, "stream": False},
        address={"region_name": "us-east-1", "model_id": INVOKE},
        output={
            "usage": {"prompt_tokens": 30, "completion_tokens": 12},
            "stop_reason": "end_turn",
            "model_id": INVOKE,
        },
        answer=Answer(
            {
                "usage": {"prompt_tokens": 30, "completion_tokens": 12, "cache_read_input_tokens": 0},
                "stop_reason": "end_turn",
                "model_id": INVOKE,
                "model_provider": "bedrock",
                "model_name": INVOKE,
            },
            usage(30, 12, {"cache_creation": 0, "cache_read": 0}),
        ),
        chunks=[
            Answer({"model_provider": "bedrock"}),
            Answer(
                {"stop_reason": "end_turn", "stop_sequence": None, "model_name": INVOKE},
                usage(30, 12, {"cache_creation": 0, "cache_read": 0}),
            ),
        ],
        expected=expect(
            provider="aws.bedrock",
            model=INVOKE,
            response_model=INVOKE,
            finish=("end_turn",),
            input=30,
            output=12,
        ),
    ),
    "ollama": Payload(
        ls={"ls_provider": "ollama", "ls_model_name": "llama3.2", "ls_temperature": 0.1},
        answer=Answer(LLAMA, usage(26, 28), LLAMA),
        chunks=[Answer(), Answer(LLAMA, usage(26, 28), LLAMA)],
        expected=expect(
            provider="ollama",
            model="llama3.2",
            response_model="llama3.2",
            finish=("stop",),
            input=26,
            output=28,
        ),
    ),
    "mistral": Payload(
        ls={"ls_provider": "mistral", "ls_model_name": "mistral-small-latest", "ls_temperature": 0.7},
        params={"model": "mistral-small-latest", "temperature": 0.7, "top_p": 1},
        address={"endpoint": "https://api.mistral.ai/v1"},
        output={
            "token_usage": MISTRAL_RAW,
            "model_name": "mistral-small-latest",
            "model": "mistral-small-latest",
        },
        answer=Answer(
            {"token_usage": MISTRAL_RAW, "model_name": "mistral-small-latest", "finish_reason": "stop"},
            usage(16, 34),
            {"finish_reason": "stop"},
        ),
        chunks=[
            Answer({"model_provider": "mistralai"}),
            Answer({"model_name": "mistral-small-latest", "finish_reason": "stop"}, usage(16, 34)),
        ],
        expected=expect(
            provider="mistral_ai",
            model="mistral-small-latest",
            response_model="mistral-small-latest",
            server="api.mistral.ai",
            port=443,
            finish=("stop",),
            input=16,
            output=34,
        ),
    ),
    "groq": Payload(
        ls={"ls_provider": "groq", "ls_model_name": "llama-3.3-70b-versatile", "ls_temperature": 0.7},
        address={"model_name": "llama-3.3-70b-versatile", "service_tier": "on_demand"},
        output=GROQ_OUTPUT,
        answer=Answer({**GROQ_OUTPUT, "finish_reason": "stop"}, GROQ_USAGE, {"finish_reason": "stop"}),
        chunks=[
            Answer({"model_provider": "groq"}),
            Answer({"finish_reason": "stop", "model_name": "llama-3.3-70b-versatile"}, GROQ_USAGE),
        ],
        expected=expect(
            provider="groq",
            model="llama-3.3-70b-versatile",
            response_model="llama-3.3-70b-versatile",
            server="api.groq.com",
            port=443,
            finish=("stop",),
            input=37,
            output=46,
            cache_read=9,
            reasoning=5,
        ),
    ),
}

MADE_UP: dict[str, Payload] = {
    "openai streamed without usage": Payload(
        ls=GPT,
        params=GPT_PARAMS,
        address={"model_name": "gpt-4o"},
        answer=Answer({**GPT_OUTPUT, "finish_reason": "stop", "token_usage": {}}),
        chunks=[Answer({"model_provider": "openai"}), Answer(GPT_CHUNK)],
        expected={**GPT_EXPECTED, "input": None, "output": None, "source": "missing"},
        streamed={"id": None},
    ),
    "every chunk repeats its metadata": Payload(
        ls={"ls_provider": "deepseek", "ls_model_name": "deepseek-chat"},
        address={"api_base": "https://api.deepseek.com/v1"},
        answer=Answer({"model_name": "deepseek-chat", "finish_reason": "stop"}, usage(9, 3)),
        chunks=[
            Answer({"model_name": "deepseek-chat", "finish_reason": "stop"}, info={"finish_reason": "stop"}),
            Answer({"model_name": "deepseek-chat", "finish_reason": "stop"}, info={"finish_reason": "stop"}),
            Answer({"model_name": "deepseek-chat", "finish_reason": "stop"}, usage(9, 3)),
        ],
        expected=expect(
            provider="deepseek",
            model="deepseek-chat",
            response_model="deepseek-chat",
            server="api.deepseek.com",
            port=443,
            finish=("stop",),
            input=9,
            output=3,
        ),
    ),
    "more cached than sent": Payload(
        ls={"ls_provider": "databricks", "ls_model_name": "databricks-claude"},
        answer=Answer(
            {"model_name": "databricks-claude"}, usage(20, 5, {"cache_read": 80, "cache_creation": 50})
        ),
        chunks=[Answer({}, usage(20, 5, {"cache_read": 80, "cache_creation": 50}))],
        expected=expect(
            provider="databricks",
            model="databricks-claude",
            response_model="databricks-claude",
            input=20,
            output=5,
        ),
        streamed={"response_model": None},
    ),
    "anthropic's own report only": Payload(
        ls=CLAUDE,
        answer=Answer({"usage": CLAUDE_OUTPUT["usage"], "stop_reason": "max_tokens"}),
        chunks=[Answer({"usage": CLAUDE_OUTPUT["usage"], "stop_reason": "max_tokens"})],
        expected=expect(
            provider="anthropic",
            model="claude-sonnet-4-5",
            finish=("max_tokens",),
            input=100,
            output=12,
            cache_read=50,
            cache_write=20,
        ),
    ),
    "openai's own report only": Payload(
        ls={"ls_provider": "vllm", "ls_model_name": "qwen"},
        output={"token_usage": GPT_RAW, "model_name": "qwen"},
        chunks=[Answer({"token_usage": GPT_RAW})],
        expected=expect(
            provider="vllm",
            model="qwen",
            response_model="qwen",
            input=100,
            output=50,
            cache_read=80,
            reasoning=30,
        ),
        streamed={"response_model": None},
    ),
    "counts that are not numbers": Payload(
        ls={"ls_provider": "acme", "ls_model_name": "m"},
        answer=Answer({"token_usage": {"prompt_tokens": -1, "completion_tokens": "12"}}),
        chunks=[Answer({"token_usage": {"prompt_tokens": float("nan"), "completion_tokens": True}})],
        expected=expect(provider="acme", model="m", source="missing"),
    ),
    "a report of zeros": Payload(
        ls={"ls_provider": "acme", "ls_model_name": "m"},
        answer=Answer({}, usage(0, 0)),
        chunks=[Answer({}, usage(0, 0))],
        expected=expect(provider="acme", model="m", source="missing"),
    ),
    "no model name": Payload(
        ls={"ls_provider": "acme"},
        answer=Answer({}, usage(1, 2)),
        chunks=[Answer({}, usage(1, 2))],
        expected=expect(provider="acme", input=1, output=2),
    ),
    "an invalid address": Payload(
        ls={"ls_provider": "acme", "ls_model_name": "m"},
        address={"base_url": "http://[bad"},
        chunks=[Answer()],
        expected=expect(provider="acme", model="m", source="missing"),
    ),
    "openai as the provider of the application's own class": Payload(
        ls=GPT, chunks=[Answer()], expected=expect(provider="openai", model="gpt-4o", source="missing")
    ),
}

TEXT: dict[str, Payload] = {
    "openai completions": Payload(
        ls={"ls_provider": "openai", "ls_model_type": "llm", "ls_model_name": "gpt-3.5-turbo-instruct"},
        params={"model_name": "gpt-3.5-turbo-instruct", "temperature": 0.7, "max_tokens": 256, "n": 1},
        address={"model_name": "gpt-3.5-turbo-instruct"},
        output={
            "token_usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            "model_name": "gpt-3.5-turbo-instruct",
        },
        answer=Answer(info={"finish_reason": "stop", "logprobs": None}),
        chunks=[
            Answer(info={"finish_reason": None, "logprobs": None}),
            Answer(info={"finish_reason": "stop"}),
        ],
        expected=expect(
            operation="text_completion",
            provider="openai",
            model="gpt-3.5-turbo-instruct",
            response_model="gpt-3.5-turbo-instruct",
            server="api.openai.com",
            port=443,
            finish=("stop",),
            input=7,
            output=3,
        ),
        streamed={"response_model": None, "input": None, "output": None, "source": "missing"},
    ),
    "a text model that reports nothing": Payload(
        ls={},
        chunks=[Answer()],
        expected=expect(operation="text_completion", provider="model", source="missing"),
    ),
}
