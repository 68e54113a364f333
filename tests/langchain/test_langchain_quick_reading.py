"""What is read quickly, because nearly all payloads are plain, is what the long way reads of any payload."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4

import hostile
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langchain_core.retrievers import BaseRetriever
from pydantic import BaseModel, ConfigDict, PrivateAttr

from otel_callbacks import operations
from otel_callbacks.langchain import OTelCallbackHandler, messages, retrieval, streamed_answer, tools
from otel_callbacks.operations import providers
from otel_callbacks.operations.payload import attribute, is_a, mapping, name, word
from otel_callbacks.testing import Captured, capture

ODD = (
    hostile.Failing(),
    hostile.Lying(),
    hostile.FailingDict(a=1),
    hostile.FailingText("text"),
    b"",
    None,
    7,
)
CALLS = (
    {"name": "search", "args": {"query": "cats"}, "id": "c1", "type": "tool_call"},
    {"function": {"name": "search", "arguments": "{}"}, "id": "c2"},
    {"name": None, "args": None},
    *ODD,
)
BESIDE = (
    "audio",
    "executed_tools",
    "function_call",
    "reasoning",
    "reasoning_content",
    "refusal",
    "tool_outputs",
)

anything = st.one_of(st.sampled_from(ODD), st.text(max_size=5), st.just({"data": "AAAA", "name": "search"}))
calls = st.one_of(st.lists(st.sampled_from(CALLS), max_size=3), anything)
contents = st.one_of(
    st.text(max_size=5), anything, st.lists(st.sampled_from([{"type": "text", "text": "a"}, "b", *ODD]))
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "content": contents,
        "tool_calls": calls,
        "invalid_tool_calls": calls,
        "additional_kwargs": st.one_of(st.just({}), st.just({"refusal": "no"}), anything),
        **dict.fromkeys(BESIDE, anything),
    },
)


def shape(value: Any) -> Any:
    """Returns what two equal values have in common, without running their code."""
    if type(value) in (str, int, type(None)):
        return value
    if type(value) in (list, tuple):
        return type(value), [*map(shape, value)]
    if type(value) is dict:
        return [(shape(key), shape(each)) for key, each in value.items()]
    if dataclasses.is_dataclass(type(value)):
        return type(value), [shape(getattr(value, each.name)) for each in dataclasses.fields(value)]
    return type(value) if issubclass(type(value), str) else id(value)


def outcome(read: Any) -> Any:
    """Returns what is read, or the type of the error."""
    try:
        return shape(read())
    except Exception as error:
        return type(error)


@given(fields)
def test_the_parts_of_a_message(known: Mapping[str, Any]) -> None:
    beside = mapping(known.get("additional_kwargs"))
    whole = {**beside, **known} if beside else known
    assert outcome(lambda: messages._parts(known)) == outcome(lambda: tuple(providers.content_parts(whole)))


@given(st.fixed_dictionaries({}, optional={"id": anything, "page_content": anything, "metadata": anything}))
def test_the_fields_of_a_document(known: dict[str, Any]) -> None:
    document = Document.model_construct()
    document.__dict__.clear()
    document.__dict__.update(known)
    operation = operations.Retrieval()
    retrieval.finish_retrieval(operation, [document], None)
    (read,) = operation.documents or ()
    content = attribute(document, "page_content")
    assert read.id == name(attribute(document, "id"))
    assert read.content == (str.__str__(content) if is_a(content, str) else None)
    assert read.metadata == mapping(attribute(document, "metadata"))


class Fields(BaseRetriever):
    model_config = ConfigDict(extra="allow")
    vectorstore: Any = None
    search_kwargs: Any = None

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return []


class Property(Fields):
    @property
    def k(self) -> int:
        return 3


class FailingProperty(Fields):
    @property
    def k(self) -> int:
        raise RuntimeError


class OfClass(Fields):
    k: ClassVar[int] = 5


class Forwarding(Fields):
    def __getattr__(self, wanted: str) -> Any:
        return 7 if wanted == "k" else super().__getattr__(wanted)  # type: ignore[misc]


class Private(Fields):
    _k: int = PrivateAttr(default=8)


class Plain:
    k = 9


class Slots(BaseModel):
    k: int = 4


RETRIEVERS = [
    Fields(),
    Fields(vectorstore=Plain(), search_kwargs={"k": 4}),
    Fields(k=6),
    Property(),
    FailingProperty(),
    OfClass(),
    Forwarding(),
    Private(),
    Plain(),
    Slots(),
    Slots.model_construct(),
    None,
    *ODD,
]


@pytest.mark.parametrize("retriever", RETRIEVERS, ids=lambda each: type(each).__name__)
def test_the_fields_of_a_retriever(retriever: Any) -> None:
    read = retrieval._reader_of(retriever)
    for wanted in retrieval._RETRIEVER_FIELDS:
        assert outcome(lambda wanted=wanted: read(wanted)) == outcome(
            lambda wanted=wanted: attribute(retriever, wanted)
        )


@given(
    st.lists(
        st.tuples(st.sampled_from(["c1", "c2", None]), st.sampled_from(["success", "error"]), contents),
        max_size=3,
    ),
    st.sampled_from(["c1", None]),
)
def test_the_result_of_a_tool(answers: list[tuple[str | None, str, Any]], call_id: str | None) -> None:
    output = [
        ToolMessage.model_construct(content=content, tool_call_id=called, status=status, type="tool")
        for called, status, content in answers
    ]
    operation = operations.ToolExecution(call_id=call_id)
    failure = tools.finish_tool(operation, output, with_content=True)
    called = call_id or (word(output[0].tool_call_id) if output else None)
    own = [each for each in output if each.tool_call_id == called] or output
    assert operation.call_id == called
    failed = [each for each in own if each.status == "error"]
    assert (failure is not None) == bool(failed)
    if own:
        expected = own[0].content if len(own) == 1 else [each.content for each in own]
        assert shape(operation.result) == shape(expected)


def test_a_chunk_without_fields_is_no_fault(captured: Captured) -> None:
    handler, run_id = OTelCallbackHandler(**captured.providers), uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id)
    for chunk in (
        ChatGenerationChunk(message=AIMessageChunk(content="a")),
        ChatGenerationChunk.__new__(ChatGenerationChunk),
        ChatGenerationChunk.model_construct(message=AIMessageChunk.__new__(AIMessageChunk)),
        ChatGenerationChunk(message=AIMessageChunk(content="b")),
    ):
        handler.on_llm_new_token("a", chunk=chunk, run_id=run_id)
    handler.on_llm_end(LLMResult(generations=[]), run_id=run_id)
    assert captured.spans[0].attributes["gen_ai.request.stream"] is True


USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
PROVIDER = {"model_provider": "openai"}
ONE_MORE_TOKEN = {"input_tokens": 0, "output_tokens": 1, "total_tokens": 1}


def chunk_of(text: str, metadata: Any, details: Any, usage: Any, position: Any) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content=text, response_metadata=metadata, usage_metadata=usage, chunk_position=position
    )
    return ChatGenerationChunk(message=message, generation_info=details)


chunks = st.builds(
    chunk_of,
    st.sampled_from(["", "a"]),
    st.sampled_from([{}, PROVIDER, {**PROVIDER, "model_name": "m-1"}, {"id": "r1"}]),
    st.sampled_from([None, None, {}, {"finish_reason": "stop"}, {"logprobs": {"content": []}}]),
    st.sampled_from([None, None, USAGE, ONE_MORE_TOKEN]),
    st.sampled_from([None, None, "last"]),
)
texts = st.builds(GenerationChunk, text=st.just("a"), generation_info=st.sampled_from([None, PROVIDER]))


def after_chunks(sent: list[Any], captured: Captured) -> tuple[Any, ...]:
    """Returns what is known of a stream that is given up after these chunks."""
    handler, run_id = OTelCallbackHandler(**captured.providers), uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id)
    for chunk in sent:
        handler.on_llm_new_token(chunk.text, chunk=chunk, run_id=run_id)
    run = handler._recorder.runs[run_id.int]
    times = len(run.chunk_times or ())
    if run.complete is not None:
        run.complete()
    operation: Any = run.operation
    known = operation.usage, operation.response_model, operation.response_id, operation.finish_reasons
    handler.on_llm_error(GeneratorExit(), run_id=run_id)
    return times, *known


@given(st.lists(chunks | texts, max_size=6))
@example([chunk_of("a", PROVIDER, None, ONE_MORE_TOKEN, None)] * 3)
@example([chunk_of("a", {}, None, None, "last"), chunk_of("", {}, None, None, "last")])
def test_a_chunk_that_reports_what_others_did_only_tells_the_time(sent: list[Any]) -> None:
    with capture() as captured:
        quick = after_chunks(sent, captured)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streamed_answer, "_plain_reports", lambda chunk: None)
            assert after_chunks(sent, captured) == quick
