"""Why the provider's cache missed: what a span says of a prompt that was sent before, without any of its text."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import pytest
from fakes import ScriptedModel, call
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from llama_fakes import IGNORED, raw
from llama_fakes import ScriptedModel as LlamaModel
from llama_fakes import call as llama_call
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.core.llms.callbacks import llm_chat_callback
from long_conversations import Laps, handler, look_up
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from otel_callbacks import agent, attribution, limits
from otel_callbacks.langchain import OTelCallbackHandler as LangChainHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.operations.providers import prompt_cache
from otel_callbacks.rag import prompt_cache as compared
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import capture

LONG = "Answer from the handbook of the company, politely and in a few words. " * 200
Usages: TypeAlias = Sequence[tuple[int, int]]

START = 1_700_000_000 * 10**9
SECOND = 10**9


class Clock:
    """Stands in for the time, which starts at `START`."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time_ns", clock)
    return clock


class CachingModel(ScriptedModel):
    """Reports `usages`, each as input tokens and those read from the cache, in turn; None reports no cache."""

    usages: Sequence[tuple[int, int | None]] = ()
    provider: str = "openai"
    written_1h: int = 0

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": self.model, "ls_model_type": "chat"}

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        tokens, read = self.usages[min(self.turn, len(self.usages) - 1)]
        answer = self._next()
        usage: dict[str, Any] = {"input_tokens": tokens, "output_tokens": 5, "total_tokens": tokens + 5}
        if read is not None:
            usage["input_token_details"] = {"cache_read": read}
            if self.written_1h:
                usage["input_token_details"]["ephemeral_1h_input_tokens"] = self.written_1h
        details = {"model_name": self.model, "finish_reason": "stop"}
        update = {"usage_metadata": usage, "response_metadata": details}
        return ChatResult(generations=[ChatGeneration(message=answer.model_copy(update=update))])


Chat = Sequence[Any]


def said(*turns: str, system: str = LONG) -> Chat:
    kinds = (HumanMessage, AIMessage)
    return [SystemMessage(system), *(kinds[place % 2](text) for place, text in enumerate(turns))]


def talk(
    model: CachingModel | Sequence[CachingModel],
    *chats: Chat,
    clock: Clock | None = None,
    idle: float = 1.0,
    thread: str | None = "t-1",
    tools: Sequence[Any] = (None,),
) -> list[dict[str, Any]]:
    """Sends one chat after the other in a conversation; returns what each call says of the cache."""
    models = [model] * len(chats) if isinstance(model, CachingModel) else model
    with capture() as captured:
        config: Any = {
            "callbacks": [LangChainHandler(**captured.providers)],
            "metadata": {"thread_id": thread} if thread else {},
        }
        for number, chat in enumerate(chats):
            given = tools[min(number, len(tools) - 1)]
            models[number].invoke(chat, config, **({"tools": given} if given else {}))
            if clock is not None:
                clock.now += int(idle * SECOND)
    return [cache_of(span) for span in captured.spans if span.name.startswith("chat")]


def cache_of(span: Any) -> dict[str, Any]:
    prefix = "otel_callbacks.cache."
    return {
        name.removeprefix(prefix): value for name, value in span.attributes.items() if name.startswith(prefix)
    }


HIT = {"reusable_tokens_estimated": 1997, "idle_seconds": 1.0}
ROLES = {SystemMessage: "system", HumanMessage: "user", AIMessage: "assistant"}
TURNS = [f"{number}: {LONG}" for number in range(4)]
ONE, TWO = said("hi"), said("hi", "Hello!", "and now?")
TOOL = {"type": "function", "function": {"name": "search", "description": "Finds pages. As of 2026-01-01."}}
OTHER_TOOL = {
    "type": "function",
    "function": {"name": "search", "description": "Finds pages. As of 2026-01-02."},
}


def model(*usages: tuple[int, int | None], **fields: Any) -> CachingModel:
    return CachingModel(model=fields.pop("name", "gpt-4o"), usages=usages, **fields)


def test_a_hit_says_how_much_could_be_read(clock: Clock) -> None:
    assert talk(model((1990, 0), (2000, 1920)), ONE, TWO, clock=clock) == [{}, HIT]


def test_nothing_is_said_without_figures_of_the_cache_or_a_conversation(clock: Clock) -> None:
    assert talk(model((1990, None), (2000, None)), ONE, TWO, clock=clock) == [{}, {}]
    assert talk(model((1990, 0), (2000, 0)), ONE, TWO, clock=clock, thread=None) == [{}, {}]


MISSES: dict[str, tuple[Callable[[Clock], list[dict[str, Any]]], dict[str, Any]]] = {
    "the system prompt has the time in it": (
        lambda clock: talk(
            model((2990, 0), (3000, 0)),
            said("hi", "x " * 1500, system="It is 12:00."),
            said("hi", "x " * 1500, "and now?", system="It is 12:01."),
            clock=clock,
        ),
        {"miss_reason": "prefix_changed", "first_changed": "system", "first_changed_message": 0},
    ),
    "the history is cut": (
        lambda clock: talk(
            model((6000, 0), (4000, 0)),
            said(*TURNS, system="Be brief."),
            [SystemMessage("Be brief."), *said(*TURNS, "and now?")[3:]],
            clock=clock,
        ),
        {"miss_reason": "prefix_changed", "first_changed": "user", "first_changed_message": 1},
    ),
    "a definition of a tool": (
        lambda clock: talk(model((1990, 0), (2000, 0)), ONE, TWO, clock=clock, tools=([TOOL], [OTHER_TOOL])),
        {"miss_reason": "tools_changed", "first_changed": "tools"},
    ),
    "the order of tools": (
        lambda clock: talk(
            model((1990, 0), (2000, 0)), ONE, TWO, clock=clock,
            tools=([TOOL, {"name": "b"}], [{"name": "b"}, TOOL]),
        ),
        {"miss_reason": "tools_changed", "first_changed": "tools"},
    ),
    "another model": (
        lambda clock: talk([model((1990, 0)), model((2000, 0), name="gpt-4o-mini")], ONE, TWO, clock=clock),
        {"miss_reason": "model_changed"},
    ),
    "a long break": (
        lambda clock: talk(model((1990, 0), (2000, 0)), ONE, TWO, clock=clock, idle=700),
        {"miss_reason": "too_old", "idle_seconds": 700.0},
    ),
    "a break that extended retention outlasts": (
        lambda clock: talk(model((1990, 0), (2000, 0), name="gpt-5"), ONE, TWO, clock=clock, idle=700),
        {"miss_reason": "unknown", "idle_seconds": 700.0},
    ),
    "a break of Anthropic's five minutes": (
        lambda clock: talk(
            model((1990, 0), (2000, 0), name="claude-sonnet-4-5", provider="anthropic"), ONE, TWO, clock=clock, idle=301
        ),
        {"miss_reason": "too_old", "idle_seconds": 301.0},
    ),
    "a break within the hour that was asked for": (
        lambda clock: talk(
            model((1990, 0), (2000, 0), name="claude-sonnet-4-5", provider="anthropic", written_1h=1900),
            ONE, TWO, clock=clock, idle=301,
        ),
        {"miss_reason": "unknown", "idle_seconds": 301.0},
    ),
    "a short prompt": (
        lambda clock: talk(model((600, 0), (610, 0)), ONE, TWO, clock=clock),
        {"miss_reason": "below_minimum"},
    ),
    "a prompt below Haiku's minimum": (
        lambda clock: talk(
            model((1990, 0), (2000, 0), name="claude-haiku-4-5", provider="anthropic"), ONE, TWO, clock=clock
        ),
        {"miss_reason": "below_minimum"},
    ),
    "a provider we know nothing of": (
        lambda clock: talk(
            model((1990, 0), (2000, 0), provider="acme"), ONE, said("hi", "Hello!", "and?", system="new"), clock=clock
        ),
        {"miss_reason": "unknown", "first_changed": "system", "first_changed_message": 0},
    ),
    "no cause that can be seen": (
        lambda clock: talk(model((1990, 0), (2000, 0)), ONE, TWO, clock=clock),
        {"miss_reason": "unknown"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSES)
def test_a_miss_says_why(clock: Clock, case: str) -> None:
    run, expected = MISSES[case]
    first, second = run(clock)
    reusable, missed = (second.pop(f"{name}_tokens_estimated") for name in ("reusable", "missed"))
    assert first == {}
    assert second == {"idle_seconds": 1.0, **expected}
    assert missed == reusable > 0 or case == "a provider we know nothing of"


def test_what_could_be_read_is_what_was_sent_before(clock: Clock) -> None:
    """The estimate shares out the provider's own count, so it is never more than the prompt has."""
    half = said(LONG, "short", LONG)
    _, second = talk(model((4000, 0), (6000, 0)), half[:2], half, clock=clock)
    assert 3990 < second["reusable_tokens_estimated"] < 4010


def test_branches_of_a_conversation_are_compared_with_what_they_go_on_from(clock: Clock) -> None:
    """A conversation goes back to an earlier turn: its prompt is still known."""
    other = said("hi", "Hello!", "something else", "Yes?", LONG)
    found = talk(
        model((1990, 0), (2000, 1920), (4000, 1920), (2000, 1920)), ONE, TWO, other, TWO, clock=clock
    )
    assert found[1] == HIT
    assert found[3] == {**found[3], "idle_seconds": 3.0 - 1.0} and "miss_reason" not in found[3]


def test_calls_in_parallel_are_not_compared(clock: Clock) -> None:
    """Each starts before the other has ended, so the provider cannot have cached the other's prompt."""
    both = threading.Barrier(2, timeout=10)

    def wait_for_the_other() -> None:
        both.wait()
        clock.now = START + SECOND

    with capture() as captured:
        config: Any = {
            "callbacks": [LangChainHandler(**captured.providers)],
            "metadata": {"thread_id": "t-1"},
        }
        model((1990, 0), body=wait_for_the_other).batch([ONE, TWO], config)
    assert [cache_of(span) for span in captured.spans] == [{}, {}]


def test_each_step_of_a_conversation_has_its_own_prompts(clock: Clock) -> None:
    """A router and a writer take turns; neither changes the other's prompt."""
    router, writer = model((1990, 0), (2000, 1920)), model((2990, 0), (3000, 2900))
    with capture() as captured:
        config: Any = {
            "callbacks": [LangChainHandler(**captured.providers)],
            "metadata": {"thread_id": "t-1"},
        }

        def answer(_: Any, config: Any) -> None:
            for name, each, chat in (
                ("route", router, said("route")),
                ("write", writer, said("write", system="Write. " * 900)),
            ):
                RunnableLambda(lambda sent, config, each=each: each.invoke(sent, config)).with_config(
                    run_name=name
                ).invoke(chat, config)

        for _ in range(2):
            RunnableLambda(answer).with_config(run_name="app").invoke("", config)
            clock.now += SECOND
    said_of = [cache_of(span) for span in captured.spans if span.name.startswith("chat")]
    assert [found.get("miss_reason") for found in said_of] == [None] * 4
    assert [bool(found) for found in said_of] == [False, False, True, True]


def test_calls_that_the_sampler_drops_are_no_gap_in_a_conversation(clock: Clock) -> None:
    """With metrics they are looked at, too. Without any, nothing is said rather than a wrong gap."""
    sampler = TraceIdRatioBased(0.0)
    with capture(sampler) as captured:
        handler = LangChainHandler(tracer_provider=captured.providers["tracer_provider"])
        caches = handler._recorder.prompt_caches
        config: Any = {"callbacks": [handler], "metadata": {"thread_id": "t-1"}}
        model((1990, 0)).invoke(ONE, config)
        assert (caches.unseen, len(caches._sent)) == (1, 0)
        counting = LangChainHandler(**captured.providers)
        model((1990, 0)).invoke(ONE, {**config, "callbacks": [counting]})
        caches = counting._recorder.prompt_caches
        assert (caches.unseen, len(caches._sent)) == (0, 1)


def test_nothing_is_said_of_a_conversation_after_a_call_that_was_not_seen(clock: Clock) -> None:
    chat = model((1990, 0), (2000, 1920), (2000, 1920))
    with capture() as captured:
        handler = LangChainHandler(**captured.providers)
        config: Any = {"callbacks": [handler], "metadata": {"thread_id": "t-1"}}
        chat.invoke(ONE, config)
        handler._recorder.prompt_caches.unseen += 1
        chat.invoke(TWO, config)
        clock.now += SECOND
        chat.invoke(TWO, config)
    assert [cache_of(span) for span in captured.spans] == [{}, {}, {**HIT, "reusable_tokens_estimated": 2000}]


class CachingLlama(LlamaModel):
    """Reports `usages` as OpenAI does, each as input tokens and those read from the cache, in turn."""

    usages: Sequence[tuple[int, int]] = ()

    @classmethod
    def class_name(cls) -> str:
        return "openai_llm"

    def _raw(self, turn: int, reason: str | None) -> dict[str, Any]:
        tokens, read = self.usages[min(turn, len(self.usages) - 1)]
        counts = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
        usage = {**counts, "prompt_tokens_details": {"cached_tokens": read}}
        return {**raw(usage, reason), "model": self.model}

    def _chunks(self) -> Iterator[ChatResponse]:
        turn = self.turn
        for chunk in super()._chunks():
            is_last = bool(chunk.raw["usage"])  # which alone has the usage, as OpenAI sends it
            chunk.raw = self._raw(turn, None) if is_last else {**chunk.raw, "model": self.model}
            yield chunk

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        turn = self.turn
        return ChatResponse(message=self._next(), raw=self._raw(turn, "stop"))

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        turn = self.turn
        return ChatResponse(message=self._next(), raw=self._raw(turn, "stop"))


async def read_whole(stream: Any) -> None:
    async for _ in await stream:
        pass


SENT: dict[str, Callable[[CachingLlama, Any], Any]] = {
    "call": lambda llm, chat: llm.chat(chat),
    "stream": lambda llm, chat: list(llm.stream_chat(chat)),
    "async call": lambda llm, chat: asyncio.run(llm.achat(chat)),
    "async stream": lambda llm, chat: asyncio.run(read_whole(llm.astream_chat(chat))),
}


@pytest.mark.parametrize("way", SENT)
def test_llama_index_says_the_same(clock: Clock, way: str) -> None:
    """A conversation in a session, without an agent: hits, then a system prompt that changes."""
    llm = CachingLlama(model="gpt-4o", usages=((1990, 0), (2000, 1920), (2010, 0)))
    with capture() as captured, attribution(session="s-1"):
        llm.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
        for chat in (ONE, TWO, said("hi", "Hello!", "and now?", "Well.", system=f"At noon. {LONG}")):
            SENT[way](llm, [ChatMessage(role=ROLES[type(each)], content=each.content) for each in chat])
            clock.now += SECOND
    first, second, third = (cache_of(span) for span in captured.spans)
    assert (first, second) == ({}, HIT)
    assert third == {
        "reusable_tokens_estimated": third["missed_tokens_estimated"],
        "missed_tokens_estimated": third["reusable_tokens_estimated"],
        "idle_seconds": 1.0,
        "first_changed": "system",
        "first_changed_message": 0,
        "miss_reason": "prefix_changed",
    }


def search(q: str = "") -> str:
    """Finds pages."""
    return "Paris"


def ask_langchain(systems: Sequence[str], script: Sequence[Any], usages: Usages) -> list[dict[str, Any]]:
    """Asks an agent of LangChain once with each system prompt; returns what its calls say of the cache."""
    chat = model(*usages, script=tuple(call(*each) if isinstance(each, tuple) else each for each in script))
    with capture() as captured, attribution(session="s-1"):
        config: Any = {"callbacks": [LangChainHandler(**captured.providers)]}
        for system in systems:
            agent = create_agent(chat, [search], system_prompt=system)
            agent.invoke({"messages": [("user", "hi")]}, config)
    return [cache_of(span) for span in captured.spans if span.name.startswith("chat")]


def ask_llama_index(
    systems: Sequence[str], script: Sequence[Any], usages: Usages, *, streaming: bool
) -> list[dict[str, Any]]:
    """Does the same with an agent of LlamaIndex."""
    answers = tuple(llama_call(*each) if isinstance(each, tuple) else each for each in script)
    llm = CachingLlama(model="gpt-4o", usages=usages, script=answers)

    async def ask(system: str) -> None:
        await FunctionAgent(tools=[search], llm=llm, system_prompt=system, streaming=streaming).run("hi")

    with capture() as captured, attribution(session="s-1"):
        llm.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
        for system in systems:
            asyncio.run(ask(system))
    return [cache_of(span) for span in captured.spans if span.name.startswith("chat")]


AGENTS: dict[str, Callable[[Sequence[str], Sequence[Any], Usages], list[dict[str, Any]]]] = {
    "LangChain": ask_langchain,
    "LlamaIndex": partial(ask_llama_index, streaming=False),
    "LlamaIndex, streaming": partial(ask_llama_index, streaming=True),
}
CALLS_A_TOOL = (("search", "call_1"), "done")


@IGNORED
@pytest.mark.parametrize("agent", AGENTS)
def test_agents_of_both_frameworks_say_the_same(clock: Clock, agent: str) -> None:
    """The second call of an agent has the prompt of the first in front; the provider reads it, or none of it."""
    first, second = AGENTS[agent]([LONG], CALLS_A_TOOL, ((1990, 0), (2000, 1920)))
    assert (first, second.keys(), second["reusable_tokens_estimated"] > 1900) == ({}, HIT.keys(), True)
    first, second = AGENTS[agent]([LONG], CALLS_A_TOOL, ((1990, 0), (2000, 0)))
    assert (first, second["miss_reason"], "first_changed" in second) == ({}, "unknown", False)
    assert second["reusable_tokens_estimated"] == second["missed_tokens_estimated"] > 1900


@IGNORED
@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_whose_system_prompt_has_the_time_misses(clock: Clock, agent: str) -> None:
    """Hashes cannot tell how much of the prompt is the same, so no tokens are said to be lost, but the cause is."""
    systems = [f"It is {hour} o'clock. {LONG}" for hour in (9, 10)]
    first, second = AGENTS[agent](systems, ("Hello!",), ((1990, 0), (1990, 0)))
    assert first == {}
    assert second.pop("reusable_tokens_estimated") == second.pop("missed_tokens_estimated") < 200
    assert second == {
        "idle_seconds": 0.0,
        "first_changed": "system",
        "first_changed_message": 0,
        "miss_reason": "prefix_changed",
    }
    first, second = AGENTS[agent](systems, ("Hello!",), ((1990, 0), (1990, 1920)))
    assert (first, second.keys()) == ({}, HIT.keys())


def test_what_is_kept_is_bounded_and_has_no_text(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CACHED_PROMPT_HASHES", 10)
    caches = compared.PromptCaches()
    with capture() as captured:
        handler = LangChainHandler(**captured.providers)
        monkeypatch.setattr(handler._recorder, "prompt_caches", caches)
        for number in range(20):
            config: Any = {"callbacks": [handler], "metadata": {"thread_id": f"t-{number}"}}
            model((1990, 0)).invoke(said(f"hi {number}", "c4n4ry"), config)
    kept = list(caches._sent.values())
    assert (len(kept), caches._hashes) == (3, 9)
    assert "c4n4ry" not in repr(kept) and "handbook" not in repr(kept)
    for _ in range(limits.CACHED_PROMPTS + 3):  # of one conversation that never goes on
        caches._keep("t", kept[0][0], None)
    assert len(caches._sent["t"]) == limits.CACHED_PROMPTS
    assert caches._hashes == sum(len(each.keys) for sent in caches._sent.values() for each in sent)


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("openai", "gpt-4o-2024-08-06", (1024, 600.0)),
        ("openai", "gpt-4.1-mini", (1024, 86400.0)),
        ("azure.ai.openai", "o3", (1024, 600.0)),
        ("openai", "llama-3.3-70b", None),
        ("anthropic", "claude-opus-4-20250514", (1024, 300.0)),
        ("anthropic", "claude-opus-4-5-20251101", (4096, 300.0)),
        ("anthropic", "claude-opus-5", (512, 300.0)),
        ("anthropic", "claude-3-5-haiku-latest", (2048, 300.0)),
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", (1024, 300.0)),
        ("aws.bedrock", "amazon.nova-pro-v1:0", (1000, 300.0)),
        ("gcp.gemini", "gemini-2.5-flash", (1024, None)),
        ("gcp.gemini", "gemini-3.1-pro-preview", (4096, None)),
        ("deepseek", "deepseek-chat", (64, None)),
        ("x_ai", "grok-4", (None, None)),
        ("acme", "gpt-4o", None),
        (None, "gpt-4o", None),
    ],
)
def test_what_providers_say_of_their_caches(provider: str | None, name: str, expected: Any) -> None:
    assert prompt_cache(provider, name) == expected


def agent_laps(turns: int, *usages: tuple[int, int | None]) -> Laps:
    """Counts the bytecodes of each turn of an agent, whose provider reports these usages."""
    laps = Laps()
    script = [call("look_up", f"call_{turn}", word=f"word {turn}") for turn in range(turns)]
    chat = model(*usages, script=[*script, "done"], body=laps.note)
    agent = create_agent(chat, [look_up], system_prompt="Be brief.")
    config: Any = {"callbacks": [handler()], "recursion_limit": 10 * turns}
    laps.run(lambda: agent.invoke({"messages": [("user", "go")]}, config))
    return laps


def test_the_comparison_costs_no_more_late_in_a_conversation_and_nothing_without_figures() -> None:
    """Turn 100 of an agent has 200 messages more than turn 10; all that were compared before are compared in C."""
    reported, silent = agent_laps(101, (9000, 8000)), agent_laps(12, (9000, None))
    assert reported[100] <= 1.05 * reported[10]
    assert reported[10] <= silent[10] + 2_200  # 500 of them read the details of the usage


def test_definitions_that_fail_cost_a_call_only_what_it_says_of_the_cache(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison with the definitions sent before raises; the call's other attributes are there."""
    monkeypatch.setattr(faults, "strict", False)
    before = faults.count

    class Failing(dict[str, Any]):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]

    with capture() as captured, agent("librarian"):
        handler = LangChainHandler(**captured.providers)
        for tool in ({"name": "search"}, Failing(name="search")):
            model((1990, 0)).invoke(ONE, {"callbacks": [handler]}, tools=[tool])
    first, second = (span.attributes for span in captured.spans if span.name.startswith("chat"))
    assert faults.count == before + 1
    assert second == first and "gen_ai.usage.cost_usd" in second
