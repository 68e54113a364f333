"""How many of an agent's input tokens were tool results: sums are exact, and resent results count apart."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from prompt_cases import PAGES
from vocabulary import real_tokens

from otel_callbacks import limits
from otel_callbacks.langchain import messages as langchain
from otel_callbacks.llama_index import messages as llama_index
from otel_callbacks.operations import PromptPart
from otel_callbacks.rag import prompt_weights
from otel_callbacks.rag.prompt_weights import PromptWeights, weight
from otel_callbacks.rag.token_estimate import estimate
from otel_callbacks.rag.tool_tokens import OTHERS, UNKNOWN, ToolTokens, ToolUse
from otel_callbacks.rag.weighed_prompt import WeighedMessage, WeighedPrompt

other = PromptPart("other", 50)
definition = PromptPart("definition", 10, "search")
call = PromptPart("call", 10, "search")
first = PromptPart("result", 30, "search", "first")
second = PromptPart("result", 100, "fetch", "second")


def prompt(*parts: PromptPart) -> WeighedPrompt:
    made = WeighedPrompt()
    made.define([part for part in parts if part.kind == "definition"])
    for part in parts:
        if part.kind != "definition":
            made.add(WeighedMessage(part, (part,)))
    return made


def test_sent_once_and_again() -> None:
    spent = ToolTokens()
    spent.add_model_call(prompt(definition, other), 60)
    spent.add_model_call(prompt(definition, other, call, first), 200)
    assert spent.add_model_call(prompt(definition, other, call, first, second), 400) == {
        ("search", "definition"): 20,
        ("search", "call"): 20,
        ("search", "result"): 60,
        ("fetch", "result"): 200,
    }
    assert spent.table() == {
        "fetch": ToolUse(calls=1, sent_once=200),
        "search": ToolUse(calls=1, sent_once=60, resent=60, definition=50, call=40),
    }
    assert (spent.tokens, spent.input_tokens, spent.share) == (320, 660, 320 / 660)


def test_the_cached_tokens_are_the_first_of_the_prompt() -> None:
    spent = ToolTokens()
    spent.add_model_call(prompt(other, first, second), 180, cache_read_tokens=90)
    assert spent.table()["search"] == ToolUse(calls=1, sent_once=30, cached=30)
    assert spent.table()["fetch"] == ToolUse(calls=1, sent_once=100, cached=10)


def test_results_with_the_same_id_are_distinguished_by_their_order() -> None:
    spent = ToolTokens()
    spent.add_model_call(prompt(first), 30)
    spent.add_model_call(prompt(first, first), 60)
    assert spent.table() == {"search": ToolUse(calls=2, sent_once=60, resent=30)}


def test_an_agent_includes_the_agents_below() -> None:
    above, below = ToolTokens(), ToolTokens()
    above.add_model_call(prompt(other, first), 80)
    below.add_model_call(prompt(other, first, second), 180)
    above.add_agent(below)
    assert above.table() == {
        "fetch": ToolUse(calls=1, sent_once=100),
        "search": ToolUse(calls=2, sent_once=60),
    }
    assert above.share == 160 / 260


def test_the_ten_most_expensive_tools_and_the_others() -> None:
    spent = ToolTokens()
    spent.add_model_call(prompt(*(PromptPart("result", 10 + at, f"t{at:02}", at) for at in range(12))), 186)
    told = json.loads(spent.to_json())
    assert list(told) == [f"t{at:02}" for at in range(11, 1, -1)] + [OTHERS]
    assert told[OTHERS]["sent_once"] == 10 + 11
    assert told["t11"] == {"calls": 1, "sent_once": 21, "resent": 0, "cached": 0, "definition": 0, "call": 0}


@given(st.lists(st.text(max_size=3) | st.just(OTHERS), max_size=14, unique=True))
def test_the_table_is_json(tools: list[str]) -> None:
    spent = ToolTokens(uses={tool: ToolUse(at, 2 * at, at, 0, 1, at) for at, tool in enumerate(tools)})
    rows: dict[str, ToolUse] = {}
    for tool, use in spent.table().items():
        rows.setdefault(tool if len(rows) < limits.TOOL_ROWS_RECORDED else OTHERS, ToolUse()).add(use)
    expected = {tool: dataclasses.asdict(use) for tool, use in rows.items()}
    assert spent.to_json() == json.dumps(expected, ensure_ascii=False)


def test_names_and_results_are_bounded() -> None:
    spent = ToolTokens()
    for at in range(400):
        results = (PromptPart("result", 1, f"t{at}", (at, each)) for each in range(50))
        spent.add_model_call(prompt(*results), 50)
    assert len(spent.table()) == 257
    assert spent.table()[OTHERS].calls == 144 * 50
    assert len(spent._sent_results) <= 10_000
    assert spent.tokens == spent.input_tokens


@pytest.mark.parametrize("parts", [[], [PromptPart("result", 0, "search", 1)]])
def test_a_prompt_that_weighs_nothing_gives_tools_no_tokens(parts: list[PromptPart]) -> None:
    spent = ToolTokens()
    assert spent.add_model_call(prompt(*parts), 100) == {}
    assert (spent.tokens, spent.share) == (0, 0.0)


parts_of_any_kind = st.lists(
    st.builds(
        PromptPart,
        kind=st.sampled_from(["other", "result", "definition", "call"]),
        weight=st.just(0.0) | st.floats(0.1, 1e9),  # one character is estimated at more
        tool=st.sampled_from(["search", "fetch", None]),
        key=st.integers(0, 5),
    )
)


@given(st.lists(st.tuples(parts_of_any_kind, st.integers(0, 10**7), st.integers(0, 10**7))))
def test_parts_add_up(calls: list[tuple[list[PromptPart], int, int]]) -> None:
    spent, whole = ToolTokens(), ToolTokens()
    for parts, tokens, cached in calls:
        results = (PromptPart("result", part.weight, "all", at) for at, part in enumerate(parts))
        whole.add_model_call(prompt(*results), tokens)
        found = spent.add_model_call(prompt(*parts), tokens, cached)
        assert all(each >= 0 for each in found.values())
        assert sum(found.values()) <= tokens
    weighed = sum(tokens for parts, tokens, _ in calls if sum(part.weight for part in parts))
    assert whole.tokens == weighed
    assert 0 <= spent.share <= 1
    assert all(0 <= use.cached <= use.results for use in spent.table().values())


# --- the frameworks' messages ------------------------------------------------------------------------------------


def langchain_prompt(
    chat: Sequence[BaseMessage], tools: Any = None, weights: PromptWeights | None = None
) -> WeighedPrompt:
    return (weights or PromptWeights()).weigh(chat, tools, langchain.FORM)


def llama_index_prompt(chat: Sequence[ChatMessage], tools: Any = None) -> WeighedPrompt:
    return PromptWeights().weigh(chat, tools, llama_index.FORM)


def kinds(weighed: WeighedPrompt) -> list[tuple[str, str | None]]:
    parts = [*weighed.definitions, *(part for each in weighed.weighed for part in each.parts)]
    return [(part.kind, part.tool) for part in parts]


TOOLS = [
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}},
    {"name": "fetch", "input_schema": {"type": "object"}},
    {"function_declarations": []},
]
DEFINITIONS = [("definition", "search"), ("definition", "fetch"), ("definition", None)]


def test_langchain() -> None:
    chat = [
        SystemMessage("Be brief."),
        HumanMessage(
            [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:;"}}]
        ),
        fakes.call("search", "c1", q="cats"),
        ToolMessage("three cats", tool_call_id="c1"),
        ToolMessage([{"type": "text", "text": "one dog"}], tool_call_id="c0", name="fetch"),
        ToolMessage("whose?", tool_call_id="gone"),
    ]
    assert kinds(langchain_prompt(chat, TOOLS)) == [
        *DEFINITIONS,
        ("other", None),
        ("other", None),
        ("other", None),
        ("call", "search"),
        ("result", "search"),
        ("result", "fetch"),
        ("result", None),
    ]


def test_llama_index() -> None:
    older = [{"id": "c2", "function": {"name": "fetch", "arguments": '{"url": "x"}'}}]
    chat = [
        ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), ImageBlock(url="http://x/y.png")]),
        ChatMessage(
            role="assistant",
            blocks=[ToolCallBlock(tool_call_id="c1", tool_name="search", tool_kwargs={"q": "cats"})],
        ),
        ChatMessage(role="tool", content="three cats", additional_kwargs={"tool_call_id": "c1"}),
        ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": older}),
        ChatMessage(role="tool", content="one dog", additional_kwargs={"tool_call_id": "c2"}),
    ]
    assert kinds(llama_index_prompt(chat, TOOLS)) == [
        *DEFINITIONS,
        ("other", None),
        ("other", None),
        ("call", "search"),
        ("result", "search"),
        ("call", "fetch"),
        ("result", "fetch"),
    ]


ALIKE = [("call", "search"), ("result", "search"), ("call", "fetch"), ("result", "fetch")]


def test_langchain_messages_with_the_same_text_are_distinguished() -> None:
    chat = [
        *(fakes.call("search", "c1"), ToolMessage("ok", tool_call_id="c1")),
        *(fakes.call("fetch", "c2"), ToolMessage("ok", tool_call_id="c2")),
    ]
    assert kinds(langchain_prompt(chat)) == ALIKE


def test_llama_index_messages_with_the_same_text_are_distinguished() -> None:
    chat: list[ChatMessage] = []
    for name, call_id in (("search", "c1"), ("fetch", "c2")):
        called = {"tool_calls": [{"id": call_id, "function": {"name": name, "arguments": "{}"}}]}
        chat.append(ChatMessage(role="assistant", content="", additional_kwargs=called))
        chat.append(ChatMessage(role="tool", content="ok", additional_kwargs={"tool_call_id": call_id}))
    assert kinds(llama_index_prompt(chat)) == ALIKE


def test_a_result_of_an_unknown_tool_is_counted() -> None:
    spent = ToolTokens()
    spent.add_model_call(prompt(PromptPart("result", 1, None, "k")), 10)
    assert spent.table() == {UNKNOWN: ToolUse(calls=1, sent_once=10)}


def test_a_value_weighs_what_its_json_does() -> None:
    arguments = {"query": "", "exact": True, "limit": None, "near": [False, 3, 0.5, {"a": None}]}
    assert weight(arguments) == estimate(json.dumps(arguments))


def test_definitions_are_weighed_anew_for_an_agent_with_other_definitions_of_the_same_name() -> None:
    def offered(description: object) -> list[float]:
        tool = {"name": "search", "description": description}
        return [part.weight for part in PromptWeights().definitions([tool])]

    short, long, odd = "Searches.", "Searches the library for a word.", Fraction(1, 3)
    seen = [offered(each) for each in (short, long, odd, short, long, odd)]
    assert seen == [[weight({"name": "search", "description": each})] for each in (short, long, odd)] * 2


def test_the_remembered_weights_of_definitions_are_bounded() -> None:
    for number in range(2_500):
        PromptWeights().definitions([{"name": "search", "description": str(number)}])
    assert len(prompt_weights._weighed_definitions) <= 1_000


def test_an_image_weighs_as_an_image_not_as_its_bytes() -> None:
    image = {"type": "image", "source_type": "base64", "data": "A" * 100_000, "mime_type": "image/png"}
    (message,) = langchain_prompt([ToolMessage([image], tool_call_id="c1", name="draw")]).weighed
    (part,) = message.parts
    assert 100 < part.weight < 2_000


def test_a_message_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[str] = []
    monkeypatch.setattr(
        "otel_callbacks.rag.prompt_weights.estimate", lambda text: weighed.append(text) or estimate(text)
    )
    weights = PromptWeights()
    for turn in range(1, 4):
        chat = [
            HumanMessage("What is this?"),
            *(ToolMessage(f"cat {at}", tool_call_id=f"c{at}") for at in range(turn)),
        ]
        langchain_prompt(chat, TOOLS[:1], weights)
    assert weighed[1:] == ["What is this?", "cat 0", "cat 1", "cat 2"]  # the first is the definition


def test_the_remembered_weights_of_messages_are_bounded() -> None:
    weights = PromptWeights()
    for start in range(0, 10_000, 100):
        langchain_prompt([HumanMessage(f"number {start + at}") for at in range(100)], None, weights)
    assert len(weights._weighed) <= 4_096
    assert len(weights._prompts) <= 8


# --- the story ---------------------------------------------------------------------------------------------------


def story() -> Iterator[list[BaseMessage]]:
    """Yields the prompts of an agent that looks up five pages and resends them at every turn."""
    chat: list[BaseMessage] = [SystemMessage(PAGES[0][:6_000]), HumanMessage("Which statement binds names?")]
    for at in range(5):
        yield list(chat)
        chat += [
            AIMessage(
                PAGES[3][at * 200 :][:200],
                tool_calls=[{"name": "read", "args": {"page": at}, "id": f"c{at}"}],
            ),
            ToolMessage(PAGES[10 + at][:1_900], tool_call_id=f"c{at}"),
        ]
    yield chat


def test_tool_results_took_forty_per_cent_of_the_input() -> None:
    """The provider's counts are real; only the weights of the parts are estimated."""
    spent, weights, results = ToolTokens(), PromptWeights(), 0
    for chat in story():
        spent.add_model_call(
            langchain_prompt(chat, None, weights), sum(real_tokens(str(each.content)) for each in chat)
        )
        results += sum(real_tokens(str(each.content)) for each in chat if isinstance(each, ToolMessage))
    assert results / spent.input_tokens == pytest.approx(0.40, abs=0.05)  # of Python's own pages
    assert spent.share == pytest.approx(results / spent.input_tokens, abs=0.03)
    (used,) = spent.table().values()
    assert used.calls == 5
    assert used.resent == pytest.approx(2 * used.sent_once, rel=0.1)  # 15 sendings, 5 of them the first


def test_large_definitions_are_weighed_but_not_remembered() -> None:
    before = dict(prompt_weights._weighed_definitions)
    large: list[Any] = [
        {"name": "text", "description": "a word " * 100_000},
        {"name": "wide", "parameters": {str(number): {} for number in range(10_000)}},
        {"name": "odd", "parameters": {1, 2}},
    ]
    for tool in large:
        (part,) = PromptWeights().definitions([tool])
        assert part.weight > 1
    assert prompt_weights._weighed_definitions == before


def test_a_bounded_number_of_a_prompts_parts_is_weighed() -> None:
    weights = PromptWeights()
    chat = [ToolMessage(f"result {number}", tool_call_id=str(number)) for number in range(3_000)]
    seen = [len(kinds(langchain_prompt(chat, None, weights))) for _ in range(8)]
    assert seen == sorted(seen)
    assert seen[0] == 400 and seen[-1] == 2_001
