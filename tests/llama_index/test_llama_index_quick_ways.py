"""Tests that what is decided by class, or by a look at a payload, is what reading the whole payload would say."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from hostile_llama_index import EVENT_CLASSES
from hypothesis import given
from hypothesis import strategies as st
from llama_fakes import (  # noqa: F401 - fixtures
    DOCUMENTS,
    IGNORED,
    ScriptedModel,
    handler,
    index,
    no_faults,
    untouched_settings,
)
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.callbacks import TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.llm import LLMChatInProgressEvent, LLMCompletionInProgressEvent
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from otel_callbacks.limits import CHUNK_GAPS
from otel_callbacks.llama_index import OTelCallbackHandler, dispatcher_hooks, inference
from otel_callbacks.llama_index import handler as handler_module
from otel_callbacks.llama_index.dispatcher_reports import reports
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations import Inference, providers
from otel_callbacks.operations.payload import attribute, is_a, items, mapping, mapping_or_fields, text, word
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import DeliberateError, faults
from otel_callbacks.testing import Captured

pytestmark = IGNORED
dispatcher = get_dispatcher(__name__)


class Hostile:
    """A value that must not be asked anything, and has no fields."""

    __slots__ = ()

    def _fail(self, *_: Any) -> Any:
        raise AssertionError("asked")

    __bool__ = __len__ = __eq__ = __iter__ = __str__ = _fail  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Fields(dict[str, Any]):
    """A dict of the application's own class."""

    def __bool__(self) -> bool:
        raise AssertionError("asked")


class OwnChat(ChatResponse):
    """An answer of an integration's own class, one of whose fields cannot be read."""

    @property
    def additional_kwargs(self) -> Any:  # type: ignore[override]
        raise RuntimeError


class OwnCompletion(CompletionResponse):
    """A completion that has a message, too."""

    message: Any = None


hostile = st.builds(Hostile)
usage = st.sampled_from(
    [{"prompt_tokens": 3, "completion_tokens": 4}, {"input_tokens": 1, "output_tokens": 0}, {}]
)
reason = st.sampled_from(["stop", "length", "", None, 7]) | hostile
openai_choices = st.builds(
    lambda extra, reason: Choice.construct(index=0, delta=ChoiceDelta(content="a"), **extra, **reason),
    st.sampled_from([{}, {}, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}]),  # Moonshot's
    st.sampled_from([{"finish_reason": None}, {"finish_reason": "stop"}, {}]),
)
openai_chunks = st.builds(
    lambda choices, usage, extra: ChatCompletionChunk.construct(
        id="c1", model="m-1", object="chat.completion.chunk", created=1, choices=choices, usage=usage, **extra
    ),
    st.lists(openai_choices, max_size=2) | st.none() | st.just([{"index": 0, "finish_reason": None}]),
    st.sampled_from([None, None, CompletionUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)]),
    st.sampled_from([{}, {}, {"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}}]),
)
raw = (
    st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "choices": st.lists(
                st.fixed_dictionaries({}, optional={"finish_reason": reason, "usage": usage})
            ),
            "usage": usage | st.none() | hostile,
            "stop_reason": reason,
            "output": st.just([{"type": "message"}]) | hostile,
            "content": st.lists(st.just({"type": "text"})) | st.just(()),
            "response": st.fixed_dictionaries({"output": st.just([{"type": "web_search_call"}])}) | st.none(),
        },
    )
    | hostile
    | st.just([1])
    | openai_chunks
)
extras = st.just({}) | usage | st.none() | hostile | st.builds(Fields, usage) | st.builds(Fields)
message = (
    st.builds(lambda beside: ChatMessage.model_construct(additional_kwargs=beside), extras)
    | st.builds(lambda: ChatMessage.model_construct())
    | st.none()
    | hostile
)


@st.composite
def answers(draw: Callable[..., Any]) -> Any:
    kind = draw(st.sampled_from([ChatResponse, CompletionResponse, OwnChat, OwnCompletion, Hostile]))
    if kind is Hostile:
        return Hostile()
    answer = kind.model_construct()
    answer.__dict__.clear()
    of_chats = {} if kind is CompletionResponse else {"message": message}
    answer.__dict__.update(
        draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "raw": raw,
                    "additional_kwargs": extras,
                    **of_chats,
                    "delta": st.sampled_from(["a", "", None]),
                },
            )
        )
    )
    return answer


class ReadInFull:
    """Reads each chunk in full."""

    def __init__(self) -> None:
        self.last: Any = None
        self.pieces: list[str] = []
        self.finish_reasons: Any = None
        self.counts: Any = None
        self.chunks_with_counts = 0

    def add(self, response: Any) -> None:
        if not is_a(response, ChatResponse) and not is_a(response, CompletionResponse):
            return
        is_new = response is not self.last
        if is_new and (delta := text(attribute(response, "delta"))):
            self.pieces.append(delta)
        self.last = response
        said = attribute(response, "message")
        beside = [attribute(response, "additional_kwargs")]
        beside += [attribute(said, "additional_kwargs")] if is_a(said, ChatMessage) else []
        payloads = [attribute(response, "raw"), *(each for each in beside if mapping(each))]
        found = [providers.layers(payload, None) for payload in payloads]
        reasons = next((said for each in found if any(said := providers.finish_reasons_in(each))), None)
        if reasons is not None:
            self.finish_reasons = reasons
        if any(map(providers.usage_reports_in, found)):
            self.counts = response
            self.chunks_with_counts += is_new


@given(st.lists(answers() | st.shared(answers()), max_size=4))
def test_a_chunk_of_text_alone_need_not_be_read(chunks: list[Any]) -> None:
    received, in_full = inference.ReceivedAnswer(None, with_content=True), ReadInFull()
    for chunk in chunks:
        received.add(chunk)
        in_full.add(chunk)
    assert received.last is in_full.last and received.counts is in_full.counts
    assert received.finish_reasons == (in_full.finish_reasons or (None,))
    assert (received.pieces, received.chunks_with_counts) == (in_full.pieces, in_full.chunks_with_counts)


def after_events(chunks: list[Any], *, with_content: bool) -> tuple[Any, ...]:
    """Returns what is known of a stream after events with these chunks; None stands for an event without one."""
    reported = ReportedRun("a", None, Run("a", Inference(), None, {}))
    received = reported.received = inference.ReceivedAnswer(None, with_content=with_content)
    reports.open.update(dict.fromkeys(("a", "base class"), reported))
    for chunk in chunks:
        fields = {} if chunk is None else {"response": chunk}
        for report in ("a", "base class"):  # both report a chunk, and the first one counts
            event = LLMChatInProgressEvent.model_construct(span_id=report, **fields)
            dispatcher_hooks._event_handler.handle(event)
    del reports.open["a"], reports.open["base class"]
    assert (reported.text_source is None) is (with_content or not chunks)
    known = received.pieces, received.finish_reasons, received.chunks_with_counts
    return len(reported.run.chunk_times or ()), id(received.last), id(received.counts), *known


plain = st.builds(
    lambda: ChatResponse.model_construct(
        raw=None, additional_kwargs={}, message=ChatMessage(role="assistant"), delta="a"
    )
)


@given(st.lists(plain | answers() | st.shared(answers()) | st.none(), max_size=4), st.booleans())
def test_the_event_of_a_chunk_of_text_alone_only_tells_the_time(
    chunks: list[Any], with_content: bool
) -> None:
    quick = after_events(chunks, with_content=with_content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher_hooks, "_CHUNK_READERS", {})
        assert after_events(chunks, with_content=with_content) == quick
    assert quick[0] == len(chunks)


def test_the_times_of_the_first_chunks_are_kept_only() -> None:
    chunk = ChatResponse(message=ChatMessage(role="assistant"), delta="a")
    times, *_ = after_events([chunk] * (CHUNK_GAPS + 3), with_content=False)
    assert times == CHUNK_GAPS + 1


@given(openai_chunks)
def test_a_chunk_that_goes_on_reports_nothing(chunk: Any) -> None:
    goes_on = False
    with suppress(TypeError, AttributeError):  # it is not as OpenAI's client makes it
        goes_on = providers.goes_on(chunk)
    found = providers.layers(chunk, None)
    reports = any(providers.finish_reasons_in(found)) or bool(providers.usage_reports_in(found))
    assert not (goes_on and reports)
    is_plain = chunk.choices and len(chunk.choices) == 1 and hasattr(chunk.choices[0], "finish_reason")
    assert goes_on or reports or not is_plain


@given(answers())
def test_an_answer_that_came_whole_need_not_be_read_twice(answer: Any) -> None:
    operations = [Inference(provider="openai") for _ in range(2)]
    for operation, is_whole in zip(operations, (True, False), strict=True):
        received = inference.ReceivedAnswer("openai", with_content=True)
        received.add(answer, is_whole=is_whole)
        inference.finish_inference(operation, received, with_content=False, cut=False)
    assert operations[0].__dict__ == operations[1].__dict__


def chat(messages: Any, **kwargs: Any) -> None: ...
def complete(prompt: Any, formatted: bool = False, **kwargs: Any) -> None: ...
def by_name(*, prompt: Any = None, messages: Any = None, tools: Any = None) -> None: ...
def gathering(*args: Any, **kwargs: Any) -> None: ...
def late(system: Any = None, messages: Any = None, temperature: Any = None) -> None: ...


value = st.sampled_from(["text", ["m"], ("m",), {"a": 1}, None, 0.5, [], ""])


@given(
    st.sampled_from([chat, complete, by_name, gathering, late]),
    st.lists(value, max_size=2),
    st.dictionaries(st.sampled_from(["prompt", "messages", "tools", "temperature"]), value, max_size=2),
)
def test_arguments_are_found_as_the_signature_says(function: Any, positional: Any, named: Any) -> None:
    try:
        bound = inspect.signature(function).bind(*positional, **named)
    except TypeError:
        return
    args, kwargs = bound.args, bound.kwargs
    given_to, keywords = inference.split(bound)
    sent = args[0] if args else kwargs.get("prompt", kwargs.get("messages"))
    only = list(bound.arguments)
    if only not in (["tools"], ["temperature"]):  # nothing is sent then, and no model takes only these
        assert inference._sent(given_to, keywords) == sent
        for name in ("tools", "temperature"):
            assert keywords.get(name) == kwargs.get(name)
    first = next(iter(args or kwargs.values()), None)
    assert next(iter(given_to or keywords.values()), None) == first


@given(
    st.dictionaries(
        st.sampled_from([*inference._MODEL_KEYS, "other"]), st.sampled_from(["m", "", None, 7]) | hostile
    )
)
def test_the_first_word_counts(fields: Mapping[str, Any]) -> None:
    found = next((found for key in inference._MODEL_KEYS if (found := word(fields.get(key)))), None)
    assert inference._first_word(fields, inference._MODEL_KEYS) == found


@given(raw)
def test_blocks_of_tools_are_where_they_were(payload: Any) -> None:
    fields = mapping_or_fields(payload)
    own = items(fields.get("output")) or items(fields.get("content"))
    expected = own or items(mapping_or_fields(fields.get("response")).get("output"))
    found = inference._tool_blocks(ChatResponse.model_construct(raw=payload))
    assert list(found) == list(expected)


@pytest.mark.parametrize("kind", EVENT_CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_events_is_known(kind: type) -> None:
    found = [act for base, act in dispatcher_hooks._ACTS if issubclass(kind, base)]
    act = dispatcher_hooks._act_of(kind)
    assert [act] == found or (found == [] and act is None)
    is_chunk = issubclass(kind, LLMChatInProgressEvent | LLMCompletionInProgressEvent)
    assert is_chunk is (act is dispatcher_hooks._chunk)


def test_a_report_outside_every_run_is_forgotten_when_it_ends(handler: OTelCallbackHandler) -> None:  # noqa: F811
    nodes = [NodeWithScore(node=document, score=0.5) for document in DOCUMENTS]
    assert SimilarityPostprocessor(similarity_cutoff=0.9).postprocess_nodes(nodes) == []
    assert reports._searches == set()


class NoHash(type):
    """The class of classes that cannot be looked up."""

    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=NoHash):
    """A result of a class without a hash."""


def test_a_result_of_a_class_without_a_hash(captured: Captured, handler: OTelCallbackHandler) -> None:  # noqa: F811
    class Model(ScriptedModel):
        @llm_chat_callback()
        def chat(self, messages: Any, **kwargs: Any) -> Any:
            dispatcher.event(LLMChatInProgressEvent.model_construct(messages=[], response=Odd()))
            return Odd()

    with suppress(Exception):  # of LlamaIndex's event for the end
        Model().chat([ChatMessage(role="user", content="hi")])
    Engine(body=Odd).query("q")
    assert {span.name for span in captured.spans} == {"chat scripted-1", "invoke_workflow Engine"}


class Engine(CustomQueryEngine):
    """Answers by what a function of the application's returns."""

    body: Callable[[], Any]

    @dispatcher.span
    def query(self, query: Any) -> Any:
        return self.body()

    def custom_query(self, query_str: str) -> Any: ...


class OwnHandler(OTelCallbackHandler):
    """A handler of the application's that is one of ours."""


class Pretending:
    """Says that it is of another class, as a mock or a proxy does."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self._kind()


def _no_class() -> Any:
    raise AttributeError


@pytest.mark.parametrize(
    "make",
    [
        OTelCallbackHandler,
        OwnHandler,
        lambda: OTelCallbackHandler,
        TokenCountingHandler,
        Hostile,
        object,
        lambda: None,
        lambda: Pretending(lambda: OwnHandler),
    ],
)
def test_a_handler_of_ours_is_what_isinstance_says(make: Callable[[], Any]) -> None:
    made = make()
    assert handler_module._is_ours(made) is isinstance(made, OTelCallbackHandler)


@pytest.mark.parametrize("kind", [lambda: 7, _no_class])
def test_a_handler_of_no_class_is_not_ours(kind: Callable[[], Any]) -> None:
    """`isinstance` raises here, for it asks the ABC."""
    assert handler_module._is_ours(Pretending(kind)) is False


class WithFields:
    """A component whose fields are what a function returns."""

    def __init__(self, fields: Callable[[], Any]) -> None:
        object.__setattr__(self, "_fields", fields)

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "__dict__")["_fields"]()


def _fails() -> Any:
    raise RuntimeError


@pytest.mark.parametrize(
    "fields",
    [
        dict,
        lambda: {"a": 1},
        lambda: MappingProxyType({"a": 1}),
        lambda: Fields(a=1),
        list,
        Hostile,
        _fails,
        _no_class,
    ],
)
def test_the_fields_of_a_component(fields: Callable[[], Any]) -> None:
    component = WithFields(fields)
    assert inference.fields_of(component) == mapping(attribute(component, "__dict__"))


@pytest.mark.parametrize("hook", ["enter", "exit"])
def test_a_fault_in_a_hook_is_treated_as_in_any_other(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`guarded` is not around the two that every method of LlamaIndex's passes through, and they do what it does."""
    said: list[tuple[str, Exception]] = []
    monkeypatch.setattr(faults, "report", lambda where, error: said.append((where, error)))
    monkeypatch.setattr(faults, "strict", False)
    monkeypatch.setattr(reports, "open", None)
    call = getattr(reports, hook)
    assert call("Model.chat-" + "0" * 36, None) is None
    [(where, error)] = said
    assert where == f"DispatcherReports.{hook}" and type(error) is AttributeError
    monkeypatch.setattr(faults, "strict", True)
    with pytest.raises(AttributeError):
        call("Model.chat-" + "0" * 36, None)
    monkeypatch.setattr(reports, "open", Refusing())
    with pytest.raises(DeliberateError):
        call("Model.chat-" + "0" * 36, None)
    assert len(said) == 2


class Refusing:
    def get(self, key: Any) -> Any:
        raise DeliberateError
