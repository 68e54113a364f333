"""The model call that a prompt template leads to has the template's name and, by policy, what filled it in."""

from typing import Any

import fakes
import llama_fakes
import pytest
from ends import MODES, run, told
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import PromptTemplate as LlamaTemplate
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts.prompt_type import PromptType

from otel_callbacks import ContentPolicy
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

CHAT, NAME, VERSION = "chat scripted-1", "gen_ai.prompt.name", "gen_ai.prompt.version"
WORD = "gen_ai.prompt.variable.word"


def config(captured: Captured, policy: Any = "spans", **options: Any) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=policy, **options)]}


def template(**options: Any) -> Any:
    return ChatPromptTemplate.from_template("What is {word}?", **options)


def of_the_hub() -> Any:
    made = template()
    made.metadata = {"lc_hub_owner": "me", "lc_hub_repo": "define", "lc_hub_commit_hash": "abc1"}
    return made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("detail", ["operations", "standard", "everything"])
async def test_a_prompt_of_the_hub(mode: str, detail: Any, captured: Captured) -> None:
    chain = of_the_hub() | fakes.ScriptedModel() | StrOutputParser()
    await run(chain, {"word": "x"}, config(captured, detail=detail), mode)
    found = told(captured.span(CHAT))
    assert (found[NAME], found[VERSION], found[WORD]) == ("define", "abc1", "x")


def test_a_prompt_that_the_application_named(captured: Captured) -> None:
    chain = template().with_config(run_name="define") | fakes.ScriptedModel()
    chain.invoke({"word": "x"}, config(captured))
    assert told(captured.span(CHAT))[NAME] == "define"


@pytest.mark.parametrize("made", [template(), PromptTemplate.from_template("What is {word}?")])
def test_a_prompt_without_a_name(made: Any, captured: Captured) -> None:
    (made | fakes.ScriptedModel()).invoke({"word": "x"}, config(captured))
    found = told(captured.span(CHAT))
    assert (NAME in found, found[WORD]) == (False, "x")


def test_each_chain_has_its_own(captured: Captured) -> None:
    both = RunnableParallel(
        a=template().with_config(run_name="first") | fakes.ScriptedModel(model="a"),
        b=template().with_config(run_name="second") | fakes.ScriptedModel(model="b"),
    )
    both.invoke({"word": "x"}, config(captured))
    assert [told(captured.span(f"chat {model}"))[NAME] for model in "ab"] == ["first", "second"]


def test_the_next_call_has_none_of_it(captured: Captured) -> None:
    model = fakes.ScriptedModel(model="later")
    chain = (
        of_the_hub() | fakes.ScriptedModel() | RunnableLambda(lambda message: model.invoke(message.content))
    )
    chain.invoke({"word": "x"}, config(captured))
    assert NAME not in told(captured.span("chat later"))


@pytest.mark.parametrize("policy", ["none", ContentPolicy("spans", kinds=("answers",))])
def test_what_filled_it_in_needs_the_policy(policy: Any, captured: Captured) -> None:
    (of_the_hub() | fakes.ScriptedModel()).invoke({"word": "x"}, config(captured, policy))
    found = told(captured.span(CHAT))
    assert (found[NAME], WORD in found) == ("define", False)


def test_secrets_are_removed_from_it(captured: Captured) -> None:
    prompt = ChatPromptTemplate.from_template("{api_key} {word}")
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    policy = ContentPolicy("spans", redact=("emails",))
    given = {"api_key": "very secret", "word": f"{secret} ann@example.com"}
    (prompt | fakes.ScriptedModel()).invoke(given, config(captured, policy))
    shown = {name: value for name, value in told(captured.span(CHAT)).items() if ".variable." in name}
    assert len(shown) == 2
    assert not [each for each in shown.values() if "secret" in each or secret in each or "example" in each]


@pytest.mark.parametrize("mode", ["predict", "apredict", "stream"])
async def test_in_llama_index(mode: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager(config(captured)["callbacks"])
    prompt = LlamaTemplate("What is {word}?", prompt_type=PromptType.QUESTION_ANSWER)
    model = llama_fakes.ScriptedModel()
    if mode == "predict":
        model.predict(prompt, word="x")
    elif mode == "apredict":
        await model.apredict(prompt, word="x")
    else:
        list(model.stream(prompt, word="x"))
    found = told(captured.span(CHAT))
    assert (found[NAME], found[WORD]) == ("text_qa", "x")


def test_a_llama_index_prompt_without_a_name(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager(config(captured)["callbacks"])
    llama_fakes.ScriptedModel().predict(LlamaTemplate("What is {word}?"), word="x")
    found = told(captured.span(CHAT))
    assert (NAME in found, found[WORD]) == (False, "x")
