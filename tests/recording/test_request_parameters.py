"""What a model is asked for is recorded, however it was told and however the provider spells it."""

from typing import Any

import fakes
import llama_fakes
import pytest
from ends import told
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from pydantic import BaseModel
from scripted_openai import completion, langchain_model, llama_index_model, response

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = [IGNORED, pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")]

STOP = "gen_ai.request.stop_sequences"
LEVEL = "gen_ai.request.reasoning.level"
OUTPUT = "gen_ai.output.type"
ASK = [ChatMessage(role="user", content="q")]
SCHEMA = {"type": "object", "properties": {}}

PARAMETERS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "stop": ({"stop": ["x", "y"]}, STOP, ("x", "y")),
    "stop_sequences": ({"stop_sequences": ["x", "y"]}, STOP, ("x", "y")),
    "one stop_sequence": ({"stop_sequences": ["x"]}, STOP, ("x",)),
    "stop sequences of Gemini": ({"generation_config": {"stop_sequences": ["x"]}}, STOP, ("x",)),
    "OpenAI's effort": ({"reasoning_effort": "low"}, LEVEL, "low"),
    "effort of the Responses API": ({"reasoning": {"effort": "low"}}, LEVEL, "low"),
    "Anthropic's effort": ({"output_config": {"effort": "medium"}}, LEVEL, "medium"),
    "LangChain's effort for Anthropic": ({"effort": "medium"}, LEVEL, "medium"),
    "Gemini's level": ({"thinking_level": "high"}, LEVEL, "high"),
    "Gemini's level, as sent": ({"thinking_config": {"thinking_level": "high"}}, LEVEL, "high"),
    "Gemini's level, in its configuration": (
        {"generation_config": {"thinking_config": {"thinking_level": "high"}}},
        LEVEL,
        "high",
    ),
    "JSON mode": ({"response_format": {"type": "json_object"}}, OUTPUT, "json"),
    "schema of the Responses API": (
        {"text": {"format": {"type": "json_schema", "name": "A", "schema": SCHEMA}}},
        OUTPUT,
        "json",
    ),
    "JSON mode of the Responses API": ({"text": {"format": {"type": "json_object"}}}, OUTPUT, "json"),
    "text of the Responses API": ({"text": {"format": {"type": "text"}}}, OUTPUT, "text"),
    "verbosity alone": ({"text": {"verbosity": "low"}}, OUTPUT, None),
    "Gemini's JSON": ({"response_mime_type": "application/json"}, OUTPUT, "json"),
    "Ollama's JSON": ({"format": "json"}, OUTPUT, "json"),
    "Ollama's schema": ({"format": SCHEMA}, OUTPUT, "json"),
    "Anthropic's schema": (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        OUTPUT,
        "json",
    ),
    "nothing": ({"stop_sequences": [], "effort": None, "text": {}}, OUTPUT, None),
}


class Asking(fakes.ScriptedModel):
    """A model that was made with parameters."""

    asked: dict[str, Any] = {}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.asked


def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def assert_recorded(captured: Captured, attribute: str, value: Any) -> None:
    (span,) = [span for span in captured.spans if span.name.startswith("chat")]
    assert told(span).get(attribute) == value


# --- LangChain ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", PARAMETERS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "batch"])
async def test_bound(case: str, mode: str, captured: Captured) -> None:
    asked, attribute, value = PARAMETERS[case]
    model = fakes.ScriptedModel().bind(**asked)
    match mode:
        case "invoke":
            model.invoke("q", config(captured))
        case "ainvoke":
            await model.ainvoke("q", config(captured))
        case "stream":
            list(model.stream("q", config(captured)))
        case "astream":
            [_ async for _ in model.astream("q", config(captured))]
        case "batch":
            model.batch(["q"], config(captured))
    assert_recorded(captured, attribute, value)


@pytest.mark.parametrize(
    ("case", "how"),
    # what `stop` a model was made with is for the model to say (`ls_stop`): LangChain puts the call's over it
    [
        (case, how)
        for case in PARAMETERS
        for how in ("constructor", "call")
        if (case, how) != ("stop", "constructor")
    ],
)
def test_told_otherwise(case: str, how: str, captured: Captured) -> None:
    asked, attribute, value = PARAMETERS[case]
    if how == "constructor":
        Asking(asked=asked).invoke("q", config(captured))
    else:
        fakes.ScriptedModel().invoke("q", config(captured), **asked)
    assert_recorded(captured, attribute, value)


def test_what_a_call_says_counts_more(captured: Captured) -> None:
    made = {"stop_sequences": ["made"], "effort": "low"}
    Asking(asked=made).bind(stop_sequences=["bound"], effort="high").invoke("q", config(captured))
    assert_recorded(captured, STOP, ("bound",))
    assert_recorded(captured, LEVEL, "high")


class Answer(BaseModel):
    """What is asked for."""

    number: int


def output(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}


@pytest.mark.parametrize("api", ["completions", "responses"])
@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
def test_a_structured_answer_of_openai(method: Any, api: str, captured: Captured) -> None:
    said = '{"number": 1}'
    if method == "function_calling":
        call = {"name": "Answer", "arguments": said}
        answer = completion(
            {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
        )
        item = {"type": "function_call", "id": "f", "call_id": "c", "status": "completed", **call}
        other = response(item)
    else:
        answer, other = completion({"content": said}), response(output(said))
    model = langchain_model(answer if api == "completions" else other, use_responses_api=api == "responses")
    assert model.with_structured_output(Answer, method=method).invoke("q", config(captured)) == Answer(
        number=1
    )
    assert_recorded(captured, OUTPUT, "json")


@pytest.mark.parametrize(
    ("options", "attribute", "value"),
    [
        ({"stop_sequences": ["x"]}, STOP, ("x",)),
        ({"reasoning_effort": "low"}, LEVEL, "low"),
        (
            {"use_responses_api": True, "model_kwargs": {"text": {"format": {"type": "json_object"}}}},
            OUTPUT,
            "json",
        ),
        ({"use_responses_api": True, "reasoning": {"effort": "high"}}, LEVEL, "high"),
    ],
)
def test_what_openais_model_was_made_with(
    options: Any, attribute: str, value: Any, captured: Captured
) -> None:
    answer = response(output("hi")) if "use_responses_api" in options else completion({"content": "hi"})
    langchain_model(answer, **options).invoke("q", config(captured))
    assert_recorded(captured, attribute, value)


# --- LlamaIndex --------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])


class LlamaAsking(llama_fakes.ScriptedModel):
    """A model that keeps parameters for every call, as LlamaIndex's do."""

    additional_kwargs: dict[str, Any] = {}


@pytest.mark.parametrize("case", PARAMETERS)
@pytest.mark.parametrize("how", ["call", "acall", "stream", "kept"])
@pytest.mark.usefixtures("settled")
async def test_in_llama_index(case: str, how: str, captured: Captured) -> None:
    asked, attribute, value = PARAMETERS[case]
    match how:
        case "call":
            LlamaAsking().chat(ASK, **asked)
        case "acall":
            await LlamaAsking().achat(ASK, **asked)
        case "stream":
            list(LlamaAsking().stream_chat(ASK, **asked))
        case "kept":
            LlamaAsking(additional_kwargs=asked).chat(ASK)
    assert_recorded(captured, attribute, value)


@pytest.mark.parametrize(
    ("field", "kept", "attribute", "value"),
    [
        ("stop", ["x"], STOP, ("x",)),
        ("stop_sequences", ["x"], STOP, ("x",)),
        ("reasoning_effort", "low", LEVEL, "low"),
        ("reasoning_options", {"effort": "low"}, LEVEL, "low"),
        ("effort", "medium", LEVEL, "medium"),
        ("thinking_level", "high", LEVEL, "high"),
        ("text", {"format": {"type": "json_object"}}, OUTPUT, "json"),
    ],
)
@pytest.mark.usefixtures("settled")
def test_in_a_field_of_the_model(
    field: str, kept: Any, attribute: str, value: Any, captured: Captured
) -> None:
    kind = type("Made", (llama_fakes.ScriptedModel,), {"__annotations__": {field: Any}, field: None})
    kind(**{field: kept}).chat(ASK)
    assert_recorded(captured, attribute, value)


@pytest.mark.usefixtures("settled")
def test_what_openais_model_of_llama_index_was_made_with(captured: Captured) -> None:
    model = llama_index_model(completion({"content": "hi"}), additional_kwargs={"stop": ["x"]})
    model.chat(ASK, response_format={"type": "json_object"})
    assert_recorded(captured, STOP, ("x",))
    assert_recorded(captured, OUTPUT, "json")
