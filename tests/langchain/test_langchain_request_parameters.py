"""What a model call asks for is recorded wherever the integration keeps it: by bind, constructor, or configuration."""

from typing import Any

import pytest
from ends import told
from fakes import ScriptedModel

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

CHAT = "chat scripted-1"
LEVEL, STOP, TYPE = (
    "gen_ai.request.reasoning.level",
    "gen_ai.request.stop_sequences",
    "gen_ai.output.type",
)
GUARDRAIL = "aws.bedrock.guardrail.id"

BOUND: dict[str, tuple[dict[str, Any], str, Any]] = {
    "stop": ({"stop": ["a"]}, STOP, ("a",)),
    "stop_sequences": ({"stop_sequences": ["a"]}, STOP, ("a",)),
    "Bedrock's inference configuration": ({"inferenceConfig": {"stopSequences": ["a"]}}, STOP, ("a",)),
    "Anthropic's effort": ({"effort": "high"}, LEVEL, "high"),
    "Anthropic's output configuration": ({"output_config": {"effort": "low"}}, LEVEL, "low"),
    "OpenAI's effort": ({"reasoning": {"effort": "medium"}}, LEVEL, "medium"),
    "Gemini's level": ({"thinking_level": "low"}, LEVEL, "low"),
    "Gemini's configuration": (
        {"generation_config": {"thinking_config": {"thinking_level": "high"}}},
        LEVEL,
        "high",
    ),
    "Responses' text": ({"text": {"format": {"type": "json_schema", "name": "x"}}}, TYPE, "json"),
    "Responses' plain text": ({"text": {"format": {"type": "text"}}}, TYPE, "text"),
    "Anthropic's schema": ({"output_config": {"format": {"type": "json_schema"}}}, TYPE, "json"),
    "Gemini's media type": ({"response_mime_type": "application/json"}, TYPE, "json"),
    "Ollama's format": ({"format": "json"}, TYPE, "json"),
    "Ollama's schema": ({"format": {"type": "object"}}, TYPE, "json"),
}


class Configured(ScriptedModel):
    """Keeps settings that are in none of the parameters which its callbacks carry."""

    stop_sequences: Any = None
    reasoning_effort: Any = None
    output_config: Any = None
    response_mime_type: Any = None
    format: Any = None
    model_kwargs: Any = None
    seed: Any = None
    random_seed: Any = None
    top_k: Any = None
    top_p: Any = None
    num_predict: Any = None

    def _get_invocation_params(self, stop: Any = None, **kwargs: Any) -> dict[str, Any]:
        return {"model": self.model}


CONFIGURED: dict[str, tuple[dict[str, Any], str, Any]] = {
    "stop_sequences": ({"stop_sequences": ["a"]}, STOP, ("a",)),
    "effort": ({"reasoning_effort": "high"}, LEVEL, "high"),
    "output configuration": ({"output_config": {"effort": "high"}}, LEVEL, "high"),
    "Gemini's media type": ({"response_mime_type": "application/json"}, TYPE, "json"),
    "Ollama's format": ({"format": "json"}, TYPE, "json"),
    "Groq's other arguments": ({"model_kwargs": {"response_format": {"type": "json_object"}}}, TYPE, "json"),
    "Ollama's seed": ({"seed": 7}, "gen_ai.request.seed", 7),
    "Mistral's seed": ({"random_seed": 7}, "gen_ai.request.seed", 7),
    "Ollama's top k": ({"top_k": 5}, "gen_ai.request.top_k", 5),
    "Ollama's top p": ({"top_p": 0.5}, "gen_ai.request.top_p", 0.5),
    "Ollama's number of tokens": ({"num_predict": 9}, "gen_ai.request.max_tokens", 9),
}


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


@pytest.mark.parametrize("case", BOUND)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_bound(case: str, mode: str, captured: Captured, config: Any) -> None:
    given, name, expected = BOUND[case]
    model: Any = ScriptedModel().bind(**given)
    match mode:
        case "invoke":
            model.invoke("q", config)
        case "ainvoke":
            await model.ainvoke("q", config)
        case "stream":
            list(model.stream("q", config))
        case "astream":
            [_ async for _ in model.astream("q", config)]
    assert told(captured.span(CHAT))[name] == expected


@pytest.mark.parametrize("case", CONFIGURED)
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_configured(case: str, mode: str, captured: Captured, config: Any) -> None:
    given, name, expected = CONFIGURED[case]
    model = Configured(**given)
    list(model.stream("q", config)) if mode == "stream" else model.invoke("q", config)
    assert told(captured.span(CHAT))[name] == expected


def test_the_call_counts_more_than_the_model(captured: Captured, config: Any) -> None:
    ScriptedModel().bind(model_kwargs={"seed": 1, "top_p": 0.5}, seed=2).invoke("q", config)
    found = told(captured.span(CHAT))
    assert (found["gen_ai.request.seed"], found["gen_ai.request.top_p"]) == (2, 0.5)


@pytest.mark.parametrize("asked", [None, [], "", {}])
def test_none_is_made_up(asked: Any, captured: Captured, config: Any) -> None:
    ScriptedModel().bind(output_config=asked, stop_sequences=asked, format=asked, text=asked).invoke(
        "q", config
    )
    assert not {LEVEL, STOP, TYPE, GUARDRAIL} & told(captured.span(CHAT)).keys()


def test_parameters_that_hold_themselves(captured: Captured, config: Any) -> None:
    held: dict[str, Any] = {"effort": "high"}
    held["output_config"] = held
    ScriptedModel().bind(output_config=held).invoke("q", config)
    assert told(captured.span(CHAT))[LEVEL] == "high"
