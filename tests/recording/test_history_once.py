"""`ContentPolicy(history="new")`: a message is recorded in full once in a trace, and a hash stands for it afterwards.

Whoever looks at the trace with us sees the conversation whole.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import llama_fakes
import pytest
from click.testing import CliRunner
from ends import content, run, told
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager

from otel_callbacks import ContentPolicy, inference, limits, workflow
from otel_callbacks import content as content_scope
from otel_callbacks.cli import main
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.explore import JsonLinesSpanExporter, SpanRecord, Trace, Traces, page, render_html
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.spans.content import input_messages
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.runs.recorded_messages import RecordedMessages
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED

INPUT = "gen_ai.input.messages"
TURNS = 20
LONG = "and so on " * 400


def policy(where: Any = "spans", history: Any = "new", **more: Any) -> Any:
    return ContentPolicy(where, history=history, cap=None, span_cap=None, max_messages=None, **more)


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return f"result {word} {LONG}"


def look_up_too(word: str) -> str:
    """Looks up."""
    return f"result {word} {LONG}"


def agent_of_langchain(turns: int = TURNS) -> Any:
    script = [fakes.call("look_up", f"c{n}", word=f"w{n}") for n in range(turns)]
    return create_agent(
        fakes.ScriptedModel(script=[*script, "done"]), [look_up], system_prompt="Be kind.", name="boss"
    ).with_config(recursion_limit=1_000)


async def langchain(captured: Captured, given: Any, mode: str = "ainvoke") -> None:
    handler = OTelCallbackHandler(**captured.providers, content=given)
    await run(agent_of_langchain(), {"messages": [("user", "question")]}, {"callbacks": [handler]}, mode)


async def llama_index(captured: Captured, given: Any) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers, content=given)])
    script = [llama_fakes.call("look_up_too", f"c{n}", word=f"w{n}") for n in range(TURNS)]
    model = llama_fakes.ScriptedModel(script=[*script, "done"])
    made = FunctionAgent(
        name="boss", tools=[look_up_too], llm=model, streaming=False, system_prompt="Be kind."
    )
    await made.run("question", max_iterations=1_000)
    Settings._callback_manager = None


JOBS: dict[str, Callable[[Captured, Any], Any]] = {"LangChain": langchain, "LlamaIndex": llama_index}


def recorded(captured: Captured) -> str:
    """All content of a trace."""
    names = ("gen_ai.input.messages", "gen_ai.output.messages")
    return "\n".join(str(told(span).get(name, "")) for span in captured.spans for name in names)


def asked(captured: Captured) -> list[Any]:
    """What models were asked: the input messages of every model call."""
    calls = [span for span in captured.spans if span.name.startswith("chat")]
    return [content(span, "input.messages") for span in calls]


def references(messages: Any) -> list[str]:
    return [part["hash"] for message in messages for part in message["parts"] if part["type"] == "reference"]


def in_full(messages: Any) -> list[Any]:
    return [message for message in messages if "reference" not in [part["type"] for part in message["parts"]]]


# --- what is recorded --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", JOBS)
async def test_each_message_is_there_in_full_once(framework: str, captured: Captured) -> None:
    await JOBS[framework](captured, policy())
    found = Counter(
        re.findall(r"result w\d+", " ".join(str(told(span).get(INPUT)) for span in captured.spans))
    )
    assert found == Counter({f"result w{n}": 1 for n in range(TURNS)})
    given = " ".join(str(told(span).get(INPUT)) for span in captured.spans)
    assert given.count("question") == 1
    assert given.count("Be kind.") <= 1


@pytest.mark.parametrize("framework", JOBS)
async def test_no_reference_leads_nowhere(framework: str, captured: Captured) -> None:
    await JOBS[framework](captured, policy())
    spans = [content(span, name) for span in captured.spans for name in ("input.messages", "output.messages")]
    messages = [message for each in spans if each for message in each]
    known = {message["hash"] for message in in_full(messages)}
    assert references(messages)
    assert set(references(messages)) <= known


@pytest.mark.parametrize("framework", JOBS)
async def test_the_order_and_number_of_messages_stay(framework: str) -> None:
    lists = []
    for history in ("whole", "new"):
        with capture() as captured:
            await JOBS[framework](captured, policy(history=history))
            lists.append([[message["role"] for message in messages] for messages in asked(captured)])
    assert lists[0] == lists[1]
    assert len(lists[1][-1]) >= 2 * TURNS


@pytest.mark.parametrize("framework", JOBS)
async def test_it_grows_with_the_conversation_and_not_with_its_square(framework: str) -> None:
    sizes = []
    for history in ("whole", "new"):
        with capture() as captured:
            await JOBS[framework](captured, policy(history=history))
            sizes.append(len(recorded(captured)))
    assert sizes[1] < sizes[0] / 5


def test_the_default_is_whole_messages(captured: Captured) -> None:
    assert ContentPolicy("spans").history == "whole"
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke("q")) | (
        lambda _: fakes.ScriptedModel().invoke("q")
    )
    chain.invoke("x", {"callbacks": [handler]})
    expected = [{"role": "user", "parts": [{"type": "text", "content": "q"}]}]
    assert asked(captured) == [expected, expected]


@pytest.mark.parametrize("wrong", ["old", None, True, 3])
def test_another_word_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="history"):
        ContentPolicy("spans", history=wrong)


def test_what_a_reference_looks_like(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    said = [SystemMessage("Be kind."), HumanMessage("one", name="ann")]
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke(said)) | RunnableLambda(
        lambda answer: fakes.ScriptedModel().invoke([*said, answer, HumanMessage("two")])
    )
    chain.invoke("x", {"callbacks": [handler]})
    first, second = asked(captured)
    assert [message["parts"] for message in first] == [
        [{"type": "text", "content": "Be kind."}],
        [{"type": "text", "content": "one"}],
    ]
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    assert references(second)[:2] == [message["hash"] for message in first]
    assert re.fullmatch(r"sha256:[0-9a-f]{16,64}", first[0]["hash"])
    assert second[3]["parts"] == [{"type": "text", "content": "two"}]


# --- where it begins anew ----------------------------------------------------------------------------------------


def test_another_trace_is_complete_in_itself(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    for _ in range(3):
        fakes.ScriptedModel().invoke("the same", {"callbacks": [handler]})
    assert all(references(messages) == [] for messages in asked(captured))


def test_equal_words_of_others_are_another_message(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    said = [HumanMessage("yes"), AIMessage("yes"), HumanMessage("yes", name="ann")]
    RunnableLambda(lambda _: fakes.ScriptedModel().invoke(said)).invoke("x", {"callbacks": [handler]})
    assert len({message["hash"] for message in in_full(asked(captured)[0])}) == 3


def test_what_was_kept_out_is_no_first_time(captured: Captured) -> None:
    """A message of a call whose content is not recorded is recorded when it is sent again."""
    handler = OTelCallbackHandler(**captured.providers, content=policy())

    def work(_: Any) -> Any:
        with content_scope("none"):
            fakes.ScriptedModel().invoke("the same")
        return fakes.ScriptedModel().invoke("the same")

    RunnableLambda(work).invoke("x", {"callbacks": [handler]})
    first, second = asked(captured)
    assert first is None
    assert second[0]["parts"] == [{"type": "text", "content": "the same"}]


@pytest.mark.parametrize("how", ["threads", "gather", "batch"])
async def test_at_the_same_time(how: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    model = fakes.ScriptedModel()

    async def work(_: Any) -> None:
        match how:
            case "threads":
                with ThreadPoolExecutor(4) as pool:
                    for each in [
                        pool.submit(copy_context().run, model.invoke, "the same") for _ in range(20)
                    ]:
                        each.result()
            case "gather":
                await asyncio.gather(*(model.ainvoke("the same") for _ in range(20)))
            case "batch":
                model.batch(["the same"] * 20)

    await RunnableLambda(work).ainvoke("x", {"callbacks": [handler]})
    messages = [message for each in asked(captured) for message in each]
    assert len(in_full(messages)) == 1
    assert set(references(messages)) == {in_full(messages)[0]["hash"]}


def test_events_are_complete_in_themselves(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy("both"))
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke("q")) | (
        lambda _: fakes.ScriptedModel().invoke("q")
    )
    chain.invoke("x", {"callbacks": [handler]})
    events = [each for each in captured.events if "operation.details" in (each.event_name or "")]
    of_events = [json.loads(json.dumps(each.attributes[INPUT], default=list)) for each in events]
    assert of_events == asked(captured)
    assert len(in_full([message for each in of_events for message in each])) == 1


def test_by_hand(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())

    @workflow
    def work() -> None:
        for said in (["one"], ["one", "two"]):
            with inference("scripted-1", provider="openai") as span:
                span.messages(input=[{"role": "user", "content": each} for each in said], output="x")

    RunnableLambda(lambda _: work()).invoke("x", {"callbacks": [handler]})
    assert [len(references(messages)) for messages in asked(captured)] == [0, 1]


# --- privacy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", JOBS)
async def test_redacted_and_hashed(framework: str, captured: Captured) -> None:
    given = policy(redact=(re.compile("question"),), hashed=True, hash_key="a key of sixteen or more")
    await JOBS[framework](captured, given)
    assert "question" not in recorded(captured)
    assert "result w1" not in recorded(captured)
    assert references([message for each in asked(captured) for message in each])


def test_a_hash_does_not_tell_what_was_removed(captured: Captured) -> None:
    """It is that of what is recorded: two texts that are alike once redacted have one hash."""
    handler = OTelCallbackHandler(**captured.providers, content=policy(redact=("emails",)))
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke("from ann@example.com")) | (
        lambda _: fakes.ScriptedModel().invoke("from bob@example.com")
    )
    chain.invoke("x", {"callbacks": [handler]})
    first, second = asked(captured)
    assert references(second) == [first[0]["hash"]]


# --- who looks at it ---------------------------------------------------------------------------------------------


async def both(framework: str) -> list[Trace]:
    """The same work recorded whole and new, at the same times."""
    found = []
    for history in ("whole", "new"):
        with capture() as captured:
            await JOBS[framework](captured, policy(history=history))
            records = [SpanRecord.from_readable(span) for span in captured.spans]
        found.append(
            Trace.of(
                [replace(each, start_ns=n * 1_000, end_ns=n * 1_000 + 500) for n, each in enumerate(records)]
            )
        )
    return found


@pytest.mark.parametrize("framework", JOBS)
@pytest.mark.parametrize("render", [page, render_html, str])
async def test_a_picture_shows_the_same(framework: str, render: Callable[[Trace], str]) -> None:
    whole, new = await both(framework)
    assert render(new) == render(whole)


@pytest.mark.parametrize("framework", JOBS)
async def test_a_comparison_finds_no_difference(framework: str) -> None:
    whole, new = await both(framework)
    assert str(whole.diff(new)) == str(whole.diff(whole))


async def test_the_command_shows_it_whole(tmp_path: Path, captured: Captured) -> None:
    exporter = JsonLinesSpanExporter(tmp_path / "traces.jsonl")
    await langchain(captured, policy())
    exporter.export(captured.spans)
    exporter.shutdown()
    shown = CliRunner().invoke(main, ["view", str(tmp_path), "--html", str(tmp_path / "page.html")])
    assert shown.exit_code == 0, shown.output
    text = (tmp_path / "page.html").read_text()
    whole, _ = await both("LangChain")
    assert "reference" not in text
    assert text.count("result w1 ") == page(whole).count("result w1 ") > 0


async def test_frames_have_the_question_and_the_answer(tmp_path: Path, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    retriever = fakes.ScriptedRetriever()

    def work(question: str) -> str:
        found = retriever.invoke(question)
        fakes.ScriptedModel().invoke([HumanMessage(question)])
        return str(fakes.ScriptedModel().invoke([HumanMessage(question), HumanMessage(str(found))]).content)

    RunnableLambda(work).invoke("question", {"callbacks": [handler]})
    exporter = JsonLinesSpanExporter(tmp_path / "traces.jsonl")
    exporter.export(captured.spans)
    exporter.shutdown()
    frame = Traces.open(tmp_path).rag_frame()
    assert list(frame["question"]) == ["question"]
    assert list(frame["answer"]) == ["hello world"]


# --- where else the first time may be ----------------------------------------------------------------------------


def test_below_a_span_of_the_application(captured: Captured) -> None:
    """Two calls that no run of ours encloses are in one trace."""
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    with captured.tracer_provider.get_tracer("app").start_as_current_span("request"):
        for _ in range(2):
            fakes.ScriptedModel().invoke("the same", {"callbacks": [handler]})
    first, second = asked(captured)
    assert references(second) == [first[0]["hash"]]


@pytest.mark.parametrize(("one", "other"), [("spans", "events"), ("events", "spans"), ("events", "both")])
def test_who_has_only_spans_or_only_events_has_all(one: str, other: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())

    def work(_: Any) -> None:
        for where in (one, other):
            with content_scope(where):
                fakes.ScriptedModel().invoke("the same")

    RunnableLambda(work).invoke("x", {"callbacks": [handler]})
    spans = [message for messages in asked(captured) if messages for message in messages]
    events = [message for each in captured.events for message in each.attributes.get(INPUT, ())]
    assert not references(spans)
    assert len(spans) + len(events) == (3 if other == "both" else 2)
    assert "reference" not in str(events)


def test_references_leave_room_for_what_is_new() -> None:
    """Under the default caps a conversation that is recorded already does not push out anything."""
    said = [HumanMessage(f"{n} {LONG}") for n in range(20)]  # 80,000 characters
    sizes = {}
    for history in ("whole", "new"):
        with capture() as captured:
            handler = OTelCallbackHandler(
                **captured.providers, content=ContentPolicy("spans", history=history)
            )
            parts = [said[:10], said[:20]]
            RunnableLambda(
                lambda _, parts=parts: [fakes.ScriptedModel().invoke(part) for part in parts]
            ).invoke("x", {"callbacks": [handler]})
            last = [span for span in captured.spans if span.name.startswith("chat")][-1]
            sizes[history] = len(content(last, "input.messages")), "otel_callbacks.content.cut" in told(last)
            assert len(str(told(last)[INPUT])) <= 49_152
    assert sizes == {"whole": (13, True), "new": (20, False)}


@pytest.mark.parametrize("result", ["text", "answer with a call"])
def test_what_the_caps_cut_is_there_once(result: str, captured: Captured) -> None:
    """A result that is longer than the caps is cut at another place in each call."""
    handler = OTelCallbackHandler(**captured.providers, content=ContentPolicy("spans", history="new"))
    long = "and so on " * 10_000
    call = [{"name": "look_up", "args": {}, "id": "1"}]
    said: list[Any] = [
        HumanMessage("q"),
        HumanMessage(long) if result == "text" else AIMessage(long, tool_calls=call),
    ]
    said += [HumanMessage(f"message {n} " * 10) for n in range(10)]

    def work(_: Any) -> None:
        for count in range(2, len(said)):
            fakes.ScriptedModel().invoke(said[:count])

    RunnableLambda(work).invoke("x", {"callbacks": [handler]})
    [cut] = [message for each in asked(captured) for message in in_full(each) if "and so on" in str(message)]
    assert all(cut["hash"] in references(messages) for messages in asked(captured)[1:])
    calls = [span for span in captured.spans if span.name.startswith("chat")]
    assert {told(span)["otel_callbacks.content.cut"] for span in calls} == {(INPUT,)}


def test_a_trace_in_pieces(captured: Captured) -> None:
    """Spans of a trace arrive in several batches; whoever reads them later has the conversation whole."""
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke("q")) | (
        lambda _: fakes.ScriptedModel().invoke("q")
    )
    chain.invoke("x", {"callbacks": [handler]})
    index = Index()
    for span in captured.spans:
        index.add([SpanRecord.from_readable(span)])
    [trace] = Traces(lambda: index)
    assert [each.text for span in trace.model_calls for each in input_messages(span)] == ["q", "q"]


def test_a_message_on_a_span_that_is_missing(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content=policy())
    chain = RunnableLambda(lambda _: fakes.ScriptedModel().invoke("q")) | (
        lambda _: fakes.ScriptedModel().invoke("q")
    )
    chain.invoke("x", {"callbacks": [handler]})
    first, second = [span for span in captured.spans if span.name.startswith("chat")]
    [message] = input_messages(Trace.of([SpanRecord.from_readable(second)]).spans[0])
    assert (message.role, message.text) == (
        "user",
        f"[a message that is not in this trace: {content(first, 'input.messages')[0]['hash']}]",
    )


@pytest.mark.parametrize("framework", JOBS)
async def test_it_keeps_to_the_conventions(framework: str, captured: Captured) -> None:
    await JOBS[framework](captured, policy("both"))
    assert_conformant(captured.spans)


def test_what_is_remembered_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """What was sent least recently is recorded in full once more."""
    recorded, place = RecordedMessages(), (1, 1, "spans")
    assert all(recorded.add(place, str(n)) for n in range(limits.RECORDED_MESSAGES))
    assert recorded.has(place, "0")  # it is sent again
    assert recorded.add(place, "one more")
    assert recorded.has(place, "0")
    assert recorded.add(place, "1")
    assert not recorded.add(place, "3")
    assert "RECORDED_MESSAGES" in caplog.text
