"""What a framework does around a call: caches, failures, streams that end early, several prompts at once."""

from typing import Any

from doings import failing_call, generate, left_after_one, twice
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from openai_wire import chat, completion, responses, tokens
from other_wire import anthropic, claude_tokens, gemini, gemini_tokens
from table import Expect, Row, book, calls, used
from wire import failing

GPT4O = book("gpt-4o*", input="2.5", cache_read="1.25", output="10")
SONNET = book("claude-sonnet-4-5*", input="3", output="15", cache_read="0.3", cache_write="3.75")
FLASH = book("gemini-2.5-flash", input="0.3", output="2.5")
PLAIN = "1000*2.5/1e6 + 200*10/1e6"


def _cached() -> list[Row]:
    def rows(client: str, modes: str, **more: object) -> list[Row]:
        # a cache of its own for each, or one row would answer the other's call
        return [
            row
            for mode in modes.split()
            for row in calls(
                "asked twice", client, mode, options={"cache": InMemoryCache()}, do=twice, **more
            )
        ]

    cached = Expect(status="cached", cost="0")
    return [
        *rows(
            "lc.openai",
            "invoke ainvoke",
            model="gpt-4o",
            answer=chat(tokens(1000, 200)),
            prices=GPT4O,
            expect=(Expect(cost=PLAIN), cached),
        ),
        *rows(
            "lc.anthropic",
            "invoke",
            model="claude-sonnet-4-5",
            answer=anthropic(claude_tokens(1000, 200)),
            prices=SONNET,
            expect=(Expect(cost="1000*3/1e6 + 200*15/1e6"), cached),
        ),
        *rows(  # LangChain tells nothing of the second
            "lc.openai_text",
            "invoke",
            model="gpt-3.5-turbo-instruct",
            answer=completion(tokens(1000, 200)),
            prices=book("gpt-3.5-turbo-instruct", input="1.5", output="2"),
            expect=(Expect(cost="1000*1.5/1e6 + 200*2/1e6"), Expect(status=None)),
        ),
        *rows(  # a reported cost was paid the first time only
            "lc.openrouter_as_openai",
            "invoke",
            model="openai/gpt-4o",
            answer=chat(tokens(1000, 200, cost=0.0125), model="openai/gpt-4o"),
            expect=(Expect(status="reported", cost="0.0125"), cached),
        ),
    ]


# "error" is the conventions' word where a reason never came
OWES_NOTHING: dict[str, Any] = {"status": None, "usage": used(), "finish": "error|"}
FAILED = [
    *calls(
        "refused",
        "lc.openai li.openai",
        "invoke stream ainvoke",
        model="gpt-4o",
        answer=failing(401),
        prices=GPT4O,
        do=failing_call,
        **OWES_NOTHING,
    ),
    *calls(
        "refused",
        "lc.anthropic li.anthropic",
        "invoke stream",
        model="claude-sonnet-4-5",
        answer=failing(400),
        do=failing_call,
        **OWES_NOTHING,
    ),
    *calls(
        "refused",
        "lc.gemini li.gemini",
        "invoke",
        model="gemini-2.5-flash",
        answer=failing(400),
        do=failing_call,
        **OWES_NOTHING,
    ),
    *calls(  # the input was read and part of the answer written: billed, and nobody says how much
        "failed in the middle",
        "li.anthropic",
        "stream",
        model="claude-sonnet-4-5",
        answer=anthropic(claude_tokens(1000, 200), fail=True),
        prices=SONNET,
        do=failing_call,
        status=("partial", "unpriced"),
        cost="1000*3/1e6 + 2*15/1e6",
        finish="error|",
    ),
    *calls(  # langchain-anthropic tells of usage only at the end
        "failed in the middle",
        "lc.anthropic",
        "stream",
        model="claude-sonnet-4-5",
        answer=anthropic(claude_tokens(1000, 200), fail=True),
        prices=SONNET,
        do=failing_call,
        status=(None, "partial", "unpriced"),
        cost="1000*3/1e6 + 2*15/1e6",
        finish="error|",
    ),
]
LEFT = [
    *calls(
        "left after one chunk",
        "lc.openai li.openai",
        "stream astream",
        model="gpt-4o",
        answer=chat(tokens(1000, 200)),
        prices=GPT4O,
        do=left_after_one,
        status=("unpriced", "partial"),
        cost=PLAIN,
        finish="error|",
    ),
    *calls(
        "left after one chunk",
        "lc.anthropic li.anthropic",
        "stream astream",
        model="claude-sonnet-4-5",
        answer=anthropic(claude_tokens(1000, 200)),
        prices=SONNET,
        do=left_after_one,
        status=("unpriced", "partial"),
        cost="1000*3/1e6 + 200*15/1e6",
        finish="error|",
    ),
    *calls(  # the count so far is in the chunk that was read; the answer went on for a while
        "left after one chunk",
        "lc.gemini li.gemini",
        "stream",
        model="gemini-2.5-flash",
        answer=gemini(gemini_tokens(1000, 200)),
        prices=FLASH,
        do=left_after_one,
        status=("unpriced", "partial"),
        cost="1000*0.3/1e6 + 200*2.5/1e6",
        finish="error|",
    ),
    *calls(
        "left after one chunk",
        "lc.responses li.responses",
        "stream",
        model="gpt-4o",
        answer=responses({"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}),
        prices=GPT4O,
        do=left_after_one,
        status=("unpriced", "partial"),
        cost=PLAIN,
        finish="error|",
    ),
    *calls(  # the connection broke: what the stream would have ended with never came
        "broken off",
        "lc.openai li.openai",
        "stream",
        model="gpt-4o",
        answer=chat(tokens(1000, 200), cut=True),
        prices=GPT4O,
        status=("unpriced", "partial"),
        cost=PLAIN,
        finish="error|",
    ),
    *calls(
        "broken off",
        "lc.anthropic li.anthropic",
        "stream",
        model="claude-sonnet-4-5",
        answer=anthropic(claude_tokens(1000, 200), cut=True),
        prices=SONNET,
        status=("unpriced", "partial"),
        cost="1000*3/1e6 + 200*15/1e6",
        finish="error|",
    ),
    *calls(
        "broken off",
        "lc.gemini li.gemini",
        "stream",
        model="gemini-2.5-flash",
        answer=gemini(gemini_tokens(1000, 200), cut=True),
        prices=FLASH,
        status=("unpriced", "partial"),
        cost="1000*0.3/1e6 + 200*2.5/1e6",
        finish="error|",
    ),
]
SEVERAL = [
    *calls(  # one request and one usage, which the first span has
        "two prompts in one request",
        "lc.openai_text",
        "invoke ainvoke",
        model="gpt-3.5-turbo-instruct",
        answer=completion(tokens(1000, 400), prompts=2),
        prices=book("gpt-3.5-turbo-instruct", input="1.5", output="2"),
        do=generate("a", "b"),
        expect=(Expect(cost="1000*1.5/1e6 + 400*2/1e6"), Expect(status=None)),
    ),
    *calls(
        "two conversations, two requests",
        "lc.openai",
        "invoke ainvoke",
        model="gpt-4o",
        answer=chat(tokens(1000, 200)),
        prices=GPT4O,
        do=generate([HumanMessage("a")], [HumanMessage("b")]),
        expect=(Expect(cost=PLAIN), Expect(cost=PLAIN)),
    ),
    *calls(
        "tools called",
        "lc.openai li.openai",
        "invoke stream",
        model="gpt-4o",
        answer=chat(tokens(1000, 200), finish="tool_calls"),
        prices=GPT4O,
        cost=PLAIN,
        finish="tool_calls",
    ),
]
ROWS = [*_cached(), *FAILED, *LEFT, *SEVERAL]
