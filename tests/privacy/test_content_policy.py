"""Which content a policy records, for a handler and in a scope, and how much of it."""

import asyncio
import contextvars
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_callbacks import ContentPolicy, OTelCallbackHandler, content
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.operations import Data, Media, Message, Text
from otel_callbacks.privacy.content_scope import find_content_scope
from otel_callbacks.privacy.policy import EVENT_VARIABLE, HASH_KEY_VARIABLE, KINDS
from otel_callbacks.recording.content_writer import ContentWriter
from otel_callbacks.testing import Captured

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
KEY = "0123456789abcdef"
# one text for each kind of content, recognisable wherever it is recorded
TEXTS = {kind: f"{kind}-said" for kind in KINDS}


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return TEXTS["tool_results"]


@tool
def broken(word: str) -> str:
    """Fails."""
    raise ValueError(TEXTS["exceptions"])


def record_every_kind(config: Any) -> None:
    """Runs a model call, a tool, a retrieval and a failure, with each kind of content in its place."""
    talk = [
        SystemMessage(TEXTS["instructions"]),
        HumanMessage(TEXTS["prompts"]),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": TEXTS["tool_arguments"]}, "id": "c1"}]),
        ToolMessage(TEXTS["tool_results"], tool_call_id="c1"),
    ]
    definition = {"type": "function", "function": {"name": "f", "description": TEXTS["tool_definitions"]}}
    ScriptedModel(script=[TEXTS["answers"]]).invoke(talk, config, tools=[definition])
    look_up.invoke({"word": TEXTS["tool_arguments"]}, config)
    ScriptedRetriever(documents=[Document(TEXTS["documents"])]).invoke(TEXTS["queries"], config)
    with pytest.raises(ValueError, match="said"):
        broken.invoke({"word": TEXTS["tool_arguments"]}, config)


def config_for(captured: Captured, policy: ContentPolicy | str) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=policy)]}


def everything(captured: Captured) -> str:
    events = [
        (span.status.description, [dict(e.attributes or {}) for e in span.events]) for span in captured.spans
    ]
    return repr(([dict(span.attributes or {}) for span in captured.spans], events))


def attribute(captured: Captured, name: str, span: str = "chat scripted-1") -> Any:
    return json.loads(str((captured.span(span).attributes or {})[name]))


# --- which kinds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kind_that_is_allowed(kind: Any, captured: Captured) -> None:
    record_every_kind(config_for(captured, ContentPolicy("spans", kinds=(kind,))))
    assert {other for other, text in TEXTS.items() if text in everything(captured)} == {kind}
    assert_conformant(captured.spans)


@pytest.mark.parametrize("kind", KINDS)
def test_all_but_one_kind(kind: Any, captured: Captured) -> None:
    kinds = tuple(other for other in KINDS if other != kind)
    record_every_kind(config_for(captured, ContentPolicy("spans", kinds=kinds)))
    assert {other for other, text in TEXTS.items() if text not in everything(captured)} == {kind}


@pytest.mark.parametrize(("where", "on_spans", "in_logs"), [("events", False, True), ("spans", True, False)])
def test_exceptions_go_where_content_goes(
    where: Any, on_spans: bool, in_logs: bool, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
    record_every_kind(config_for(captured, where))
    assert (TEXTS["exceptions"] in everything(captured)) == on_spans
    assert (TEXTS["exceptions"] in str([event.attributes for event in captured.events])) == in_logs


def test_a_stack_has_no_lines_of_code(captured: Captured) -> None:
    record_every_kind(config_for(captured, "spans"))
    (event,) = captured.span("execute_tool broken").events
    stack = str((event.attributes or {})["exception.stacktrace"])
    assert "in broken\n" in stack
    assert "raise" not in stack


# --- redaction -----------------------------------------------------------------------------------------------------


def test_redactors_work_everywhere(captured: Captured) -> None:
    policy = ContentPolicy("both", redact=(lambda text: text.replace("said", "***"),), redact_keys=("word",))
    record_every_kind(config_for(captured, policy))
    assert "said" not in everything(captured) + str([event.attributes for event in captured.events])
    assert attribute(captured, "gen_ai.tool.call.arguments", "execute_tool look_up") == {"word": "[redacted]"}


def test_a_streamed_text_is_cleaned_as_a_whole(captured: Captured) -> None:
    config = config_for(captured, ContentPolicy("spans", redact=("phones",)))
    list(ScriptedModel(script=["call +49 30 90 18 20 now"]).stream("q", config))
    assert attribute(captured, OUTPUT)[0]["parts"][0]["content"] == "call [redacted:phone] now"


def test_a_redactor_that_fails_keeps_the_span(captured: Captured) -> None:
    def fails(text: str) -> str:
        raise ValueError(text)

    ScriptedModel(script=["yes"]).invoke("no?", config_for(captured, ContentPolicy("spans", redact=(fails,))))
    assert attribute(captured, OUTPUT)[0]["parts"][0]["content"] == "[dropped: a redactor failed]"
    assert (captured.span("chat scripted-1").attributes or {})["gen_ai.usage.input_tokens"] == 100


def test_labels_are_cleaned_as_well() -> None:
    assert ContentPolicy("none", redact=("emails",)).label("ann@example.com") == "[redacted:email]"


# --- hashes --------------------------------------------------------------------------------------------------------


def test_equal_texts_have_equal_hashes_and_nothing_is_read(captured: Captured) -> None:
    config = config_for(captured, ContentPolicy("spans", hashed=True, hash_key=KEY))
    record_every_kind(config)
    assert {kind for kind, text in TEXTS.items() if text in everything(captured)} == {"tool_definitions"}
    assert_conformant(captured.spans)
    captured.clear()
    for question in ("a", "b", "a"):
        ScriptedModel().invoke(question, config)
    hashes = [
        json.loads(str((span.attributes or {})[INPUT]))[0]["parts"][0]["content"] for span in captured.spans
    ]
    assert hashes[0] == hashes[2] != hashes[1]
    assert hashes[0].startswith("hmac-sha256:")
    assert hashes[0].endswith(" (1 characters)")


def test_another_key_gives_other_hashes(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for key in (KEY, KEY[::-1]):
        monkeypatch.setenv(HASH_KEY_VARIABLE, key)
        ScriptedModel().invoke("a", config_for(captured, ContentPolicy("spans", hashed=True)))
        seen.add(str((captured.spans[-1].attributes or {})[INPUT]))
    assert len(seen) == 2


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(ContentPolicy("spans", hashed=True, hash_key=KEY))


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_long_chat_keeps_its_beginning_and_its_end(captured: Captured) -> None:
    talk = [SystemMessage("rules"), *(HumanMessage(f"turn {number}") for number in range(200))]
    ScriptedModel().invoke(talk, config_for(captured, ContentPolicy("spans", max_messages=10)))
    texts = [message["parts"][0]["content"] for message in attribute(captured, INPUT)]
    assert texts == ["rules", *(f"turn {number}" for number in range(191, 200))]
    attributes = captured.spans[0].attributes or {}
    assert attributes["otel_callbacks.content.messages_left_out"] == 191
    assert attributes["otel_callbacks.content.cut"] == (INPUT,)
    assert_conformant(captured.spans)


def test_a_span_stays_within_its_caps(captured: Captured) -> None:
    talk = [SystemMessage("s" * 200_000), *(HumanMessage('"quoted"\n' * 3_000) for _ in range(200))]
    ScriptedModel(script=["a" * 20_000_000]).invoke(talk, config_for(captured, "both"))
    attributes = dict(captured.span("chat scripted-1").attributes or {})
    assert len(str(attributes[INPUT])) <= 66_000
    assert len(str(attributes[OUTPUT])) <= 66_000
    assert [message["role"] for message in attribute(captured, INPUT)][:2] == ["system", "user"]
    assert "characters]" in str(attributes[OUTPUT])
    assert attributes["otel_callbacks.content.cut"] == (OUTPUT, INPUT)
    assert_conformant(captured.spans)
    assert encode_spans(captured.spans).ByteSize() < 300_000


def test_a_hundred_documents_are_all_recorded(captured: Captured) -> None:
    documents = [Document("ab " * 3_333 + "c", id=f"d{number}") for number in range(100)]
    ScriptedRetriever(documents=documents).invoke("q", config_for(captured, "spans"))
    shown = attribute(captured, "gen_ai.retrieval.documents", "retrieval")
    assert [document["id"] for document in shown] == [f"d{number}" for number in range(100)]
    assert min(len(document["content"]) for document in shown) > 200
    assert len(shown[0]["content"]) == 10_000
    assert (captured.spans[0].attributes or {})["rag.results_count"] == 100


def test_very_many_findings_use_up_the_steps_of_a_span(captured: Captured) -> None:
    talk = [HumanMessage(" ".join(f"person{row}.{n}@example.com" for n in range(20))) for row in range(90)]
    ScriptedModel(script=["yes"]).invoke(
        talk, config_for(captured, ContentPolicy("spans", redact=("emails",)))
    )
    shown = str(attribute(captured, INPUT))
    assert 400 < shown.count("[redacted:email]") < 900
    assert "person" not in shown
    assert INPUT in (captured.spans[0].attributes or {})["otel_callbacks.content.cut"]  # type: ignore[operator]


def test_what_only_looks_like_findings_is_written_whole(captured: Captured) -> None:
    text = '{"action": "pressed", "order_id": "4111111111111112", "a-b_c.d": "x@y", "token": null}\n' * 400
    ScriptedModel(script=["yes"]).invoke(
        text, config_for(captured, ContentPolicy("spans", redact=("personal",)))
    )
    assert attribute(captured, INPUT)[0]["parts"][0]["content"] == text


def test_the_fields_of_a_span_share_its_steps(captured: Captured) -> None:
    @tool
    def repeat(words: dict[str, str]) -> Any:
        """Answers with its arguments."""
        return words

    words = {f"key{number}": "value" for number in range(480)}
    repeat.invoke({"words": words}, config_for(captured, "spans"))
    attributes = captured.span("execute_tool repeat").attributes or {}
    names = ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
    arguments, result = (str(attributes[name]) for name in names)
    assert arguments.count("value") == 480
    assert 100 < result.count("value") < 200
    assert attributes["otel_callbacks.content.cut"] == ("gen_ai.tool.call.result",)


def test_an_exception_with_a_large_argument_is_recorded_like_other_content(captured: Captured) -> None:
    @tool
    def broken(word: str) -> Any:
        """Fails."""
        raise ValueError({"password": "hunter22", "rows": list(range(10))})

    with pytest.raises(ValueError):
        broken.invoke({"word": "x"}, config_for(captured, "spans"))
    (event,) = captured.span("execute_tool broken").events
    message = json.loads(str((event.attributes or {})["exception.message"]))
    assert message == {"password": "[redacted]", "rows": list(range(10))}


def test_identity_usage_and_output_survive_the_limit_of_attributes(captured: Captured) -> None:
    talk = [HumanMessage(f"turn {number}") for number in range(200)]
    ScriptedModel(script=["yes"]).invoke(talk, config_for(captured, "spans"))
    (span,) = captured.spans
    assert span.dropped_attributes == 0
    assert {"gen_ai.request.model", "gen_ai.usage.input_tokens", OUTPUT, INPUT} <= set(span.attributes or {})


def test_all_content_of_a_span_shares_its_cap(captured: Captured) -> None:
    policy = ContentPolicy("spans", cap=None, span_cap=1_000)
    ScriptedModel(script=["a" * 800]).invoke("q" * 800, config_for(captured, policy))
    attributes = captured.spans[0].attributes or {}
    written = [str(attributes[name]) for name in (INPUT, OUTPUT)]
    assert 800 < sum(map(len, written)) < 1_200  # includes the JSON around the texts
    assert sorted("[cut, 800 characters]" in text for text in written) == [False, True]


def test_without_caps_everything_is_written(captured: Captured) -> None:
    text = "Retrieval augmented generation. " * 5_000
    config = config_for(captured, ContentPolicy("spans", cap=None, span_cap=None, max_messages=None))
    ScriptedModel(script=[text]).invoke([SystemMessage(text), *[HumanMessage(text)] * 150], config)
    assert [message["parts"][0]["content"] for message in attribute(captured, INPUT)] == [text] * 151
    assert attribute(captured, OUTPUT)[0]["parts"][0]["content"] == text
    ScriptedRetriever(documents=[Document(text)] * 3).invoke("q", config)
    documents = attribute(captured, "gen_ai.retrieval.documents", "retrieval")
    assert [document["content"] for document in documents] == [text] * 3


def test_odd_texts_can_be_exported(captured: Captured) -> None:
    @tool
    def odd(word: str) -> Any:
        """Answers oddly."""
        return {"surrogate": "\ud800", "nan": float("nan"), "large": 2**80, "bytes": b"\xff"}

    odd.invoke({"word": "\udfff"}, config_for(captured, "both"))
    ScriptedModel(script=["\ud83d!"]).invoke("\ud800", config_for(captured, "both"))
    assert encode_spans(captured.spans).ByteSize() > 0
    assert encode_logs(captured._logs.get_finished_logs()).ByteSize() > 0


# --- scopes --------------------------------------------------------------------------------------------------------


def records_prompts(captured: Captured) -> list[bool]:
    """Tells for each model call whether its prompt is recorded."""
    return [INPUT in (span.attributes or {}) for span in captured.spans if span.name.startswith("chat")]


def test_a_scope_holds_for_its_calls_and_nests(captured: Captured) -> None:
    config = config_for(captured, "spans")
    model = ScriptedModel()
    with content("none"):
        model.invoke("a", config)
        with content("both"):
            model.invoke("b", config)
        model.invoke("c", config)
    model.invoke("d", config)
    assert records_prompts(captured) == [False, True, False, True]
    assert len(captured.events) == 1


def test_a_word_redirects_the_handlers_own_policy(captured: Captured) -> None:
    policy = ContentPolicy("none", kinds=("prompts",), redact=("emails",))
    with content("spans"):
        ScriptedModel(script=["yes"]).invoke("ann@example.com", config_for(captured, policy))
    assert attribute(captured, INPUT)[0]["parts"][0]["content"] == "[redacted:email]"
    assert OUTPUT not in (captured.spans[0].attributes or {})


def test_a_policy_replaces_the_handlers(captured: Captured) -> None:
    with content(ContentPolicy("spans", kinds=("answers",))):
        ScriptedModel().invoke("a", config_for(captured, "none"))
    assert records_prompts(captured) == [False]
    assert OUTPUT in (captured.spans[0].attributes or {})


def test_the_whole_tree_keeps_the_scope_it_was_started_in(captured: Captured) -> None:
    config = config_for(captured, "spans")
    chain = RunnableLambda(str.upper) | ScriptedModel(script=["a b c"])
    with content("spans"):
        with content("none"):
            stream = chain.stream("q", config)
            next(stream)
        list(stream)
    agent = create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up])
    with content("none"):
        agent.invoke({"messages": [("user", "q")]}, config)
    assert len(captured.spans) > 6
    assert "gen_ai." in everything(captured)
    assert not any(
        "messages" in name or "tool.call.r" in name for s in captured.spans for name in s.attributes or {}
    )


def test_a_scope_within_a_tree_holds_below(captured: Captured) -> None:
    config = config_for(captured, "spans")

    def private(text: str) -> Any:
        with content("none"):
            return ScriptedModel().invoke(text)

    (RunnableLambda(private) | str | ScriptedModel()).invoke("q", config)
    assert records_prompts(captured) == [False, True]
    assert INPUT in (captured.span("invoke_workflow").attributes or {})


async def test_scopes_follow_the_context(captured: Captured) -> None:
    config, model = config_for(captured, "spans"), ScriptedModel()
    with content("none"):
        task = asyncio.create_task(model.ainvoke("a", config))
        carried = contextvars.copy_context()
    thread = threading.Thread(target=carried.run, args=(model.invoke, "b", config))
    thread.start()
    thread.join()
    await task
    await model.ainvoke("c", config)
    assert records_prompts(captured) == [False, False, True]


def test_a_decorated_function(captured: Captured) -> None:
    config = config_for(captured, "spans")

    @content("none")
    def ask(question: str) -> Any:
        """Asks."""
        return ScriptedModel().invoke(question, config)

    @content("none")
    async def ask_later(question: str) -> Any:
        return await ScriptedModel().ainvoke(question, config)

    ask("a")
    asyncio.run(ask_later("b"))
    assert records_prompts(captured) == [False, False]
    assert ask.__doc__ == "Asks."


def test_a_scope_in_llama_index(captured: Captured) -> None:
    import llama_fakes

    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])
    model = llama_fakes.ScriptedModel()
    with content("none"):
        model.complete("a")
    model.complete("b")
    assert records_prompts(captured) == [False, True]


# --- arguments -----------------------------------------------------------------------------------------------------

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ContentPolicy("span"), ValueError, "'span'.*'spans'"),  # type: ignore[arg-type]
    (lambda: ContentPolicy(kinds=("prompt",)), ValueError, "'prompt'.*'prompts'"),  # type: ignore[arg-type]
    (lambda: ContentPolicy(kinds="prompts"), TypeError, "kinds must be a list or a tuple"),  # type: ignore[arg-type]
    (lambda: ContentPolicy(redact="emails"), TypeError, "redact must be a list"),
    (lambda: ContentPolicy(redact=("mails",)), ValueError, "'mails'.*'emails'"),
    (lambda: ContentPolicy(redact=(3,)), TypeError, "redact must hold.*int"),  # type: ignore[arg-type]
    (lambda: ContentPolicy(redact_keys="ssn"), TypeError, "redact_keys must be a list"),
    (lambda: ContentPolicy(cap=10), ValueError, "cap must be None or.*256.*10"),
    (lambda: ContentPolicy(span_cap=True), ValueError, "span_cap"),
    (lambda: ContentPolicy(max_messages=0), ValueError, "max_messages"),
    (lambda: ContentPolicy(hashed=True), ValueError, HASH_KEY_VARIABLE),
    (lambda: ContentPolicy(hashed=True, hash_key="short"), ValueError, "at least 16"),
    (lambda: content("some"), ValueError, "'some'"),
    (lambda: content(None), TypeError, "needs a policy"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "kind", "message"), WRONG)
def test_wrong_arguments(
    make: Callable[[], Any], kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HASH_KEY_VARIABLE, raising=False)
    with pytest.raises(kind, match=message):
        make()


def test_the_steps_of_a_generator_are_in_the_scope_and_its_consumer_is_not() -> None:
    @content("none")
    def stream() -> Any:
        yield find_content_scope(get_current())

    (within,) = stream()
    assert within is not None
    assert find_content_scope(get_current()) is None


@pytest.mark.parametrize(
    ("emit", "where"), [("", "both"), ("true", "both"), ("FALSE", "spans"), ("no", "both")]
)
def test_the_environment_can_switch_events_off(
    emit: str, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_AND_EVENT")
    monkeypatch.setenv(EVENT_VARIABLE, emit)
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        assert ContentPolicy.from_environment().where == where
    assert (EVENT_VARIABLE in caplog.text) == (emit == "no")


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        (ContentPolicy("spans", hashed=True, hash_key=KEY), Text("a" * 1_000_000)),
        (ContentPolicy("spans", hashed=True, hash_key=KEY), Data({"a": ["b" * 1_000] * 1_000})),
        (ContentPolicy("spans"), Media("image", content="aB3/" * 140_000)),
    ],
)
def test_how_much_of_a_span_is_hashed_is_bounded(policy: ContentPolicy, part: Any) -> None:
    shown = ContentWriter(policy).messages(INPUT, [Message("user", (part,))] * 100)
    assert shown is not None and len(shown) == 100
    assert shown[-1] != shown[0]  # the newest is hashed first, and the oldest is beyond the bound
