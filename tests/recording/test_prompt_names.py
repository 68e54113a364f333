"""A model call says which named prompt template made its prompt; what was put into it is content."""

from collections.abc import Callable
from typing import Any

import llama_fakes
import pytest
from ends import told
from fakes import ScriptedModel, ScriptedRetriever
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import PromptTemplate as LlamaPrompt
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import ChatPromptTemplate as LlamaChatPrompt
from llama_index.core.query_engine import RetrieverQueryEngine

from otel_callbacks import ContentPolicy, content, inference
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

CHAT = "chat scripted-1"
NAME, VERSION = "gen_ai.prompt.name", "gen_ai.prompt.version"
VARIABLE = "gen_ai.prompt.variable."
NAMED = {"prompt_name": "greeting", "prompt_version": "v2"}


def config(captured: Captured, policy: Any = "none", **more: Any) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=policy)], **more}


def prompted(captured: Captured, name: str = CHAT) -> dict[str, Any]:
    """What is said of the prompt of a model call."""
    (span,) = [span for span in captured.spans if span.name == name]
    return {key: value for key, value in told(span).items() if key.startswith("gen_ai.prompt.")}


# --- LangChain ---------------------------------------------------------------------------------------------------


def chat_prompt(**options: Any) -> ChatPromptTemplate:
    made = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{question} {mood}")])
    return made.model_copy(update=options)


def text_prompt(**options: Any) -> PromptTemplate:
    return PromptTemplate.from_template("{question} {mood}").model_copy(update=options)


PROMPTS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "metadata": (lambda: chat_prompt(metadata=NAMED), {NAME: "greeting", VERSION: "v2"}),
    "metadata of a text": (lambda: text_prompt(metadata=NAMED), {NAME: "greeting", VERSION: "v2"}),
    "name alone": (lambda: chat_prompt(metadata={"prompt_name": "greeting"}), {NAME: "greeting"}),
    "from the hub": (
        lambda: chat_prompt(
            metadata={"lc_hub_owner": "acme", "lc_hub_repo": "greeting", "lc_hub_commit_hash": "abc123"}
        ),
        {NAME: "greeting", VERSION: "abc123"},
    ),
    "name of the template": (lambda: chat_prompt(name="greeting"), {NAME: "greeting"}),
    "name of its run": (lambda: chat_prompt().with_config(run_name="greeting"), {NAME: "greeting"}),
    "metadata of its run": (
        lambda: chat_prompt().with_config(metadata=NAMED),
        {NAME: "greeting", VERSION: "v2"},
    ),
    "no name": (chat_prompt, {}),
}
INPUT = {"question": "How are you?", "mood": 7}


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
async def test_the_prompt_of_a_chain(kind: str, mode: str, captured: Captured) -> None:
    make, expected = PROMPTS[kind]
    chain = make() | ScriptedModel() | StrOutputParser()
    match mode:
        case "invoke":
            chain.invoke(INPUT, config(captured))
        case "ainvoke":
            await chain.ainvoke(INPUT, config(captured))
        case "stream":
            list(chain.stream(INPUT, config(captured)))
        case "astream":
            [_ async for _ in chain.astream(INPUT, config(captured))]
        case "batch":
            chain.batch([INPUT], config(captured))
        case "abatch":
            await chain.abatch([INPUT], config(captured))
    assert prompted(captured) == expected


@pytest.mark.parametrize("detail", ["operations", "standard", "everything"])
def test_whether_the_prompt_is_shown_or_not(detail: Any, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, detail=detail)
    (chat_prompt(metadata=NAMED) | ScriptedModel()).invoke(INPUT, {"callbacks": [handler]})
    assert prompted(captured) == {NAME: "greeting", VERSION: "v2"}


@pytest.mark.parametrize("where", ["chain", "model"])
def test_told_with_the_call(where: str, captured: Captured) -> None:
    if where == "chain":
        (chat_prompt() | ScriptedModel()).invoke(INPUT, config(captured, metadata=NAMED))
    else:
        ScriptedModel().invoke("How are you?", config(captured, metadata=NAMED))
    assert prompted(captured) == {NAME: "greeting", VERSION: "v2"}


def test_each_of_two_has_its_own(captured: Captured) -> None:
    first = chat_prompt(metadata={"prompt_name": "first"}) | ScriptedModel(model="one") | StrOutputParser()
    second = chat_prompt(metadata={"prompt_name": "second"}) | ScriptedModel(model="two")
    chain = first | RunnableLambda(lambda said: {"question": said, "mood": 1}) | second
    chain.invoke(INPUT, config(captured))
    assert prompted(captured, "chat one") == {NAME: "first"}
    assert prompted(captured, "chat two") == {NAME: "second"}


def test_the_next_call_has_none_of_it(captured: Captured) -> None:
    named = chat_prompt(metadata=NAMED) | ScriptedModel(model="one") | StrOutputParser()
    (named | ScriptedModel(model="two")).invoke(INPUT, config(captured))
    assert prompted(captured, "chat two") == {}


def test_in_parallel(captured: Captured) -> None:
    branches = {
        name: chat_prompt(metadata={"prompt_name": name}) | ScriptedModel(model=name)
        for name in ("a", "b", "c")
    }
    (RunnablePassthrough() | branches).invoke(INPUT, config(captured))
    assert [prompted(captured, f"chat {name}") for name in "abc"] == [{NAME: name} for name in "abc"]


def test_with_something_in_between(captured: Captured) -> None:
    """A retriever before it, a trimming of messages after it."""
    chain = (
        {"question": ScriptedRetriever() | (lambda found: "q"), "mood": RunnablePassthrough()}
        | chat_prompt(metadata=NAMED)
        | RunnableLambda(lambda value: value.to_messages()[-1:])
        | ScriptedModel()
    )
    chain.invoke("q", config(captured))
    assert prompted(captured) == {NAME: "greeting", VERSION: "v2"}


# --- what was put into it ----------------------------------------------------------------------------------------


def test_the_variables_are_content(captured: Captured) -> None:
    (chat_prompt(metadata=NAMED) | ScriptedModel()).invoke(INPUT, config(captured, "spans"))
    assert prompted(captured) == {
        NAME: "greeting",
        VERSION: "v2",
        f"{VARIABLE}question": "How are you?",
        f"{VARIABLE}mood": "7",
    }


def test_also_those_of_a_template_without_a_name(captured: Captured) -> None:
    (text_prompt() | ScriptedModel()).invoke(INPUT, config(captured, "spans"))
    assert prompted(captured) == {f"{VARIABLE}question": "How are you?", f"{VARIABLE}mood": "7"}


@pytest.mark.parametrize(
    "policy", ["none", "events", ContentPolicy("spans", kinds=("answers", "instructions"))]
)
def test_not_without_the_policy(policy: Any, captured: Captured) -> None:
    (chat_prompt(metadata=NAMED) | ScriptedModel()).invoke(INPUT, config(captured, policy))
    assert prompted(captured) == {NAME: "greeting", VERSION: "v2"}


def test_they_are_redacted_and_cut_as_all_content_is(captured: Captured) -> None:
    given = {"question": "Write to ann@example.com", "mood": "x" * 5_000}
    policy = ContentPolicy("spans", redact=("emails",), cap=1_000)
    (chat_prompt() | ScriptedModel()).invoke(given, config(captured, policy))
    found = prompted(captured)
    assert "ann@example.com" not in found[f"{VARIABLE}question"]
    assert len(found[f"{VARIABLE}mood"]) <= 1_000


# --- LlamaIndex --------------------------------------------------------------------------------------------------


def settle(captured: Captured, policy: Any = "none") -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers, content=policy)])


LLAMA_PROMPTS: dict[str, Callable[[], Any]] = {
    "text": lambda: LlamaPrompt("{question} {mood}", metadata=dict(NAMED)),
    "chat": lambda: LlamaChatPrompt.from_messages(
        [("system", "Be kind."), ("user", "{question} {mood}")], metadata=dict(NAMED)
    ),
}


@pytest.mark.parametrize("kind", LLAMA_PROMPTS)
@pytest.mark.parametrize("mode", ["predict", "apredict", "stream"])
@pytest.mark.parametrize("policy", ["none", "spans"])
async def test_a_prediction_of_llama_index(kind: str, mode: str, policy: Any, captured: Captured) -> None:
    settle(captured, policy)
    model, prompt = llama_fakes.ScriptedModel(), LLAMA_PROMPTS[kind]()
    match mode:
        case "predict":
            model.predict(prompt, **INPUT)
        case "apredict":
            await model.apredict(prompt, **INPUT)
        case "stream":
            list(model.stream(prompt, **INPUT))
    variables = {f"{VARIABLE}question": "How are you?", f"{VARIABLE}mood": "7"}
    assert prompted(captured) == {
        NAME: "greeting",
        VERSION: "v2",
        **(variables if policy == "spans" else {}),
    }


@pytest.mark.parametrize("mode", ["query", "aquery"])
async def test_the_template_of_a_query_engine(mode: str, captured: Captured) -> None:
    settle(captured)
    template = LlamaPrompt("{context_str} {query_str}", metadata=dict(NAMED))
    engine = RetrieverQueryEngine.from_args(
        llama_fakes.index().as_retriever(), llm=llama_fakes.ScriptedModel(), text_qa_template=template
    )
    if mode == "query":
        engine.query("q")
    else:
        await engine.aquery("q")
    assert prompted(captured) == {NAME: "greeting", VERSION: "v2"}


def test_a_call_without_a_template_has_no_name(captured: Captured) -> None:
    settle(captured, "spans")
    llama_fakes.ScriptedModel().complete("How are you?")
    assert prompted(captured) == {}


# --- by hand -----------------------------------------------------------------------------------------------------

VARIABLES = {"variables": INPUT}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("greeting", {NAME: "greeting"}),
        ({"name": "greeting"}, {NAME: "greeting"}),
        ({"name": "greeting", "version": "v2", **VARIABLES}, {NAME: "greeting", VERSION: "v2"}),
        (VARIABLES, {}),
        (None, {}),
    ],
)
@pytest.mark.parametrize("policy", ["none", "spans"])
def test_a_template_by_hand(template: Any, expected: Any, policy: Any, captured: Captured) -> None:
    with content(policy), inference("scripted-1", prompt_template=template):
        pass
    filled = isinstance(template, dict) and "variables" in template and policy == "spans"
    variables = {f"{VARIABLE}question": "How are you?", f"{VARIABLE}mood": "7"}
    assert prompted(captured) == {**expected, **(variables if filled else {})}


@pytest.mark.parametrize(
    "template", [5, ["greeting"], {"title": "greeting"}, {"name": 5}, {"variables": "q"}]
)
def test_what_is_no_template_by_hand(template: Any) -> None:
    with pytest.raises(TypeError, match=r"prompt_template=.* must be the name of the template, or a mapping"):
        inference("scripted-1", prompt_template=template)
