"""Prompts that go on from one another weigh what they would weigh if each were read from its beginning."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage

from otel_callbacks import limits
from otel_callbacks.langchain import messages as langchain
from otel_callbacks.llama_index import messages as llama_index
from otel_callbacks.operations import PromptPart
from otel_callbacks.rag.prompt_weights import PromptWeights
from otel_callbacks.rag.tool_tokens import ToolTokens, ToolUse
from otel_callbacks.rag.weighed_prompt import WeighedMessage, WeighedPrompt


def weighed(prompt: WeighedPrompt) -> dict[str, Any]:
    """Returns everything that tokens are shared out by."""
    tools = {name: tool for name, tool in prompt.tools.items() if tool.calls or tool.starts}
    return {
        "messages": prompt.weighed,
        "weight": prompt.weight,
        "parts": prompt.parts,
        "shares": sorted(map(str, prompt.shares(10_000))),
        "cached": {name: [prompt.cached_part(name, part / 8) for part in range(9)] for name in tools},
        "tools": tools,
    }


def turn(number: int, tool: str = "search") -> list[BaseMessage]:
    call = fakes.call(tool, f"c{number}", query=f"number {number}")
    return [call, ToolMessage(f"{tool} found {number} things", tool_call_id=f"c{number}")]


def read_counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns a list that gets every message whose key is computed: the only thing that is read of a known one."""
    read: list[Any] = []
    counted = langchain.FORM._replace(key=lambda message: (read.append(message), langchain._key(message))[1])
    monkeypatch.setattr(langchain, "FORM", counted)
    return read


def assert_as_if_new(prompt: WeighedPrompt, chat: Sequence[BaseMessage]) -> None:
    assert [each.key for each in prompt.weighed] == list(map(langchain.FORM.key, chat))
    new = WeighedPrompt()
    for each in prompt.weighed:
        new.add(each)
    assert weighed(prompt) == weighed(new)


changes = st.one_of(
    st.tuples(st.just("go on"), st.integers(0, 40)),
    st.tuples(st.just("cut"), st.integers(0, 12)),
    st.tuples(st.just("drop the oldest"), st.integers(0, 4)),
    st.tuples(st.just("other instructions"), st.integers(0, 2)),
    st.tuples(st.just("make again"), st.integers(0, 12)),
    st.tuples(st.just("change in place"), st.integers(0, 12)),
    st.tuples(st.just("ask beside"), st.integers(0, 2)),
)


@given(st.lists(changes, max_size=25))
def test_a_prompt_weighs_the_same_read_at_once_or_step_by_step(history: list[tuple[str, int]]) -> None:
    weights, chat = PromptWeights(), [SystemMessage("Be brief."), HumanMessage("What is this?")]
    for change, number in history:
        at = number % max(1, len(chat))
        match change:
            case "go on":
                chat += turn(number, ("search", "fetch")[number % 2])
            case "cut":
                del chat[len(chat) - at :]
            case "drop the oldest":
                del chat[1 : 1 + number]
            case "other instructions":
                chat[:1] = [SystemMessage("Be brief." * number)]
            case "make again" if chat:
                chat[at] = deepcopy(chat[at])
            case "change in place" if chat:
                chat[at].content = f"cleared, {number}"
            case "ask beside":
                weights.weigh([HumanMessage(f"summarize {number}")], None, langchain.FORM)
        assert_as_if_new(weights.weigh(list(chat), None, langchain.FORM), chat)


def test_a_message_that_is_sent_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read, weights = read_counted(monkeypatch), PromptWeights()
    chat: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("What is this?")]
    for number in range(20):
        weights.weigh(list(chat), None, langchain.FORM)
        chat += turn(number)
    assert len(read) == 2 + 19 * 2  # the two new ones


@pytest.mark.parametrize("kind", ["made again", "changed"])
def test_instructions_may_be_made_anew_for_every_call(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    read, weights = read_counted(monkeypatch), PromptWeights()
    chat: list[BaseMessage] = [HumanMessage("What is this?")]
    for number in range(20):
        said = "Be brief." if kind == "made again" else f"It is {number} o'clock."
        weights.weigh([SystemMessage(said), *chat], None, langchain.FORM)
        chat += turn(number)
    assert len(read) <= 2 + 19 * 5


def test_a_reminder_that_ends_every_prompt_costs_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    read, weights = read_counted(monkeypatch), PromptWeights()
    chat: list[BaseMessage] = [HumanMessage("What is this?")]
    for number in range(20):
        weights.weigh([*chat, HumanMessage(f"{20 - number} turns are left")], None, langchain.FORM)
        chat += turn(number)
    assert len(read) <= 2 + 19 * 6


def test_models_that_tools_call_do_not_disturb_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    read, weights = read_counted(monkeypatch), PromptWeights()
    chat: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("What is this?")]
    for number in range(20):
        weights.weigh(list(chat), None, langchain.FORM)
        weights.weigh([SystemMessage("Summarize."), HumanMessage(f"page {number}")], None, langchain.FORM)
        chat += turn(number)
    assert len(read) <= 20 * 11


def test_a_message_whose_content_is_replaced_in_place_is_read_again() -> None:
    weights, chat = PromptWeights(), [HumanMessage("What is this?"), *turn(1), *turn(2)]
    before = weights.weigh(list(chat), None, langchain.FORM)
    chat[2].content = "[cleared]"
    after = weights.weigh(list(chat), None, langchain.FORM)
    assert after.weight < before.weight
    assert_as_if_new(after, chat)


def test_llama_index_messages_that_a_memory_makes_again_are_recognised() -> None:
    def made() -> list[ChatMessage]:
        return [ChatMessage(role="user", content=f"question {number}") for number in range(5)]

    weights = PromptWeights()
    first = weights.weigh(made(), None, llama_index.FORM)
    again = weights.weigh([*made(), ChatMessage(role="user", content="one more")], None, llama_index.FORM)
    assert again.weighed[:5] == first.weighed
    assert all(new is old for new, old in zip(again.weighed, first.weighed, strict=False))


tool_parts = st.one_of(
    st.builds(PromptPart, st.just("call"), st.sampled_from([0, 0.3, 2]), st.sampled_from(["a", "b"])),
    st.builds(
        PromptPart, st.just("result"), st.sampled_from([0, 1.5]), st.sampled_from(["a", None]), st.just(1)
    ),
    st.builds(PromptPart, st.just("other"), st.sampled_from([0, 0.1, 4])),
)


@given(st.lists(st.lists(tool_parts, max_size=3), max_size=6), st.data())
def test_a_beginning_weighs_as_if_the_rest_had_never_been_there(
    chat: list[list[PromptPart]], data: st.DataObject
) -> None:
    messages = [WeighedMessage(at, parts) for at, parts in enumerate(chat)]
    whole, start, kept = WeighedPrompt(), WeighedPrompt(), data.draw(st.integers(0, len(messages)))
    for each in messages:
        whole.add(each)
    for each in messages[:kept]:
        start.add(each)
    for keeps_most in (False, True):
        assert weighed(whole.beginning(kept, keeps_most=keeps_most)) == weighed(start)


def test_calls_that_end_in_another_order_share_out_the_prompt_that_they_sent() -> None:
    weights, spent = PromptWeights(), ToolTokens()
    start: Sequence[BaseMessage] = [HumanMessage("What is this?"), *turn(1)]
    one = weights.weigh([*start, *turn(2)], None, langchain.FORM)
    other = weights.weigh([*start, *turn(3, "fetch")], None, langchain.FORM)
    spent.add_model_call(other, other.weight)
    spent.add_model_call(one, one.weight)
    results = {name: tool.results for name, tool in [*one.tools.items(), *other.tools.items()]}
    assert results.keys() == spent.uses.keys() == {"search", "fetch"}
    search = spent.uses["search"]
    assert search.calls == 2  # those of the turns 1 and 2
    assert search.results == one.tools["search"].results + other.tools["search"].results
    assert search.resent == other.tools["search"].results
    assert spent.uses["fetch"].results == other.tools["fetch"].results


def test_a_call_that_failed_has_sent_nothing() -> None:
    weights, spent = PromptWeights(), ToolTokens()
    chat = [HumanMessage("What is this?"), *turn(1)]
    weights.weigh(list(chat), None, langchain.FORM)  # its call fails, so nothing is added
    prompt = weights.weigh([*chat, *turn(2)], None, langchain.FORM)
    spent.add_model_call(prompt, prompt.weight)
    tool = prompt.tools["search"]
    assert spent.uses == {"search": ToolUse(calls=2, sent_once=tool.results, call=tool.calls)}


def test_a_result_whose_text_was_cleared_is_still_sent_again() -> None:
    weights, spent = PromptWeights(), ToolTokens()
    chat = [HumanMessage("What is this?"), *turn(1)]
    first = weights.weigh(list(chat), None, langchain.FORM)
    spent.add_model_call(first, first.weight)
    chat[2] = ToolMessage("[cleared]", tool_call_id="c1")
    second = weights.weigh(chat, None, langchain.FORM)
    spent.add_model_call(second, second.weight)
    used = spent.uses["search"]
    assert (used.calls, used.sent_once) == (1, first.tools["search"].results)
    assert used.resent == second.tools["search"].results


def test_an_agent_holds_the_messages_of_few_prompts() -> None:
    weights = PromptWeights()
    for number in range(100):
        weights.weigh([HumanMessage(f"number {number}")], None, langchain.FORM)
    assert len(weights._prompts) == limits.PROMPTS_CONTINUED
