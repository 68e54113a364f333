"""Tests decorated functions: they do not change, and the span covers what they do."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import threading
import typing
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from otel_callbacks.manual import inference, retrieval, step, tool, workflow
from otel_callbacks.testing import Captured, capture


def current() -> int:
    """Returns the id of the current span."""
    return trace.get_current_span().get_span_context().span_id


def outcomes(captured: Captured) -> list[Any]:
    return [(span.attributes or {}).get("otel_callbacks.outcome") for span in captured.spans]


# --- what does not change ------------------------------------------------------------------------------------------


def plain(word: str, times: int = 2) -> str:
    """Repeats a word."""
    return word * times


async def asynchronous(word: str, times: int = 2) -> str:
    """Repeats a word."""
    return word * times


def generator(word: str, times: int = 2) -> Iterator[str]:
    """Repeats a word."""
    yield from [word] * times


async def asynchronous_generator(word: str, times: int = 2) -> AsyncIterator[str]:
    """Repeats a word."""
    for _ in range(times):
        yield word


FUNCTIONS: tuple[Callable[..., Any], ...] = (plain, asynchronous, generator, asynchronous_generator)


async def outcome_of(value: Any) -> Any:
    """Returns the result of a call of any kind of function."""
    if inspect.isawaitable(value):
        return await value
    if inspect.isasyncgen(value):
        return [item async for item in value]
    return list(value) if inspect.isgenerator(value) else value


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("decorator", [step, step("named")])
async def test_a_function_stays_what_it_is(function: Any, decorator: Any, captured: Captured) -> None:
    decorated = decorator(function)
    for same in (
        inspect.signature,
        typing.get_type_hints,
        inspect.getdoc,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        lambda given: (given.__name__, given.__qualname__, given.__module__),
    ):
        assert same(decorated) == same(function)  # type: ignore[operator]
    assert await outcome_of(decorated("a", times=3)) == await outcome_of(function("a", times=3))
    assert captured.tree() == (function.__name__ if decorator is step else "named")


class Library:
    """Has every kind of method, decorated in either order."""

    shelf = "s"

    @step
    def method(self, word: str) -> str:
        return self.shelf + word

    @step
    @classmethod
    def class_inside(cls, word: str) -> str:
        return cls.shelf + word

    @classmethod
    @step
    def class_outside(cls, word: str) -> str:
        return cls.shelf + word

    @step("named")
    @staticmethod
    def static_inside(word: str) -> str:
        return word

    @staticmethod
    @step("named")
    def static_outside(word: str) -> str:
        return word


def test_methods(captured: Captured) -> None:
    library = Library()
    assert [library.method("a"), library.class_inside("a"), Library.class_outside("a")] == ["sa"] * 3
    assert [library.static_inside("a"), Library.static_outside("a")] == ["a"] * 2
    assert captured.tree().split() == ["method", "class_inside", "class_outside", "named", "named"]


def test_a_partial_has_no_name_to_take(captured: Captured) -> None:
    assert step(functools.partial(plain, times=3))("a") == "aaa"
    assert captured.tree() == "step"


@pytest.mark.parametrize("operand", [Library, property(lambda self: 1), 5])
def test_what_is_no_function_cannot_be_decorated(operand: Any) -> None:
    with pytest.raises(TypeError, match="only a function or method can be decorated"):
        step(operand)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "others"}, r"takes one name; got 'docs' and 'others'"),
        ({"topk": 5}, "has no argument 'topk'; it takes agent_name, conversation_id, .*top_k"),
        ({"top_k": "5"}, r"retrieval\(top_k='5'\) must be int, not str"),
        ({"score_kind": "cosine"}, r"is not known; use one of 'similarity', 'distance', 'relevance'"),
        ({"score_kind": 5}, r"must be str, not int"),
        ({"billing": {}}, "has no argument 'billing'"),
    ],
)
def test_arguments_are_checked_at_the_call(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        retrieval("docs", **arguments)


def test_an_operation_cannot_be_entered_twice_at_a_time(captured: Captured) -> None:
    once = step("once")
    with once, pytest.raises(RuntimeError, match="make a new one"), once:
        pass
    with once:  # again, afterwards
        pass
    assert captured.tree().split() == ["once", "once"]


# --- how calls end -------------------------------------------------------------------------------------------------


@step
def failing() -> None:
    raise ValueError("no")


@step
async def failing_later() -> None:
    raise ValueError("no")


@step
def failing_generator() -> Iterator[int]:
    yield 1
    raise ValueError("no")


@step
async def failing_asynchronous_generator() -> AsyncIterator[int]:
    yield 1
    raise ValueError("no")


FAILING = (failing, failing_later, failing_generator, failing_asynchronous_generator)


@pytest.mark.parametrize("function", FAILING)
async def test_exceptions_pass_and_are_recorded_where_they_began(function: Any, captured: Captured) -> None:
    with pytest.raises(ValueError, match="no"), workflow("w"):
        await outcome_of(function())
    above, span = captured.spans
    assert span.status.status_code is above.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    assert ([event.name for event in span.events], above.events) == (["exception"], ())
    assert not current()


async def test_cancellation_is_no_failure(captured: Captured) -> None:
    @step
    async def endless() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await endless()
    assert outcomes(captured) == ["cancelled"]


async def test_cancellation_of_a_stream_that_waits(captured: Captured) -> None:
    @step
    async def endless() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outcome_of(endless())
    assert outcomes(captured) == ["cancelled"]


# --- generators ----------------------------------------------------------------------------------------------------


def test_the_span_of_a_generator_covers_its_iteration(captured: Captured) -> None:
    stream = step(generator)("a")
    assert captured.spans == []
    next(stream)
    assert captured.spans == []
    assert list(stream) == ["a"]
    assert captured.tree() == "generator"
    assert outcomes(captured) == [None]


def test_a_generator_that_nobody_reads_has_no_span(captured: Captured) -> None:
    stream = step(generator)("a")
    stream.close()  # type: ignore[attr-defined]
    assert captured.spans == []


@pytest.mark.parametrize("function", [generator, asynchronous_generator])
async def test_a_stream_closed_early_was_abandoned(function: Any, captured: Captured) -> None:
    stream = step(function)("a")
    if function is generator:
        next(stream)
        stream.close()
    else:
        await anext(stream)
        await stream.aclose()
    assert outcomes(captured) == ["abandoned"]
    assert captured.spans[0].status.status_code is StatusCode.UNSET


def test_a_generator_that_takes_its_closing_for_an_end_was_abandoned(captured: Captured) -> None:
    @step
    def tolerant() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            return

    stream = tolerant()
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert outcomes(captured) == ["abandoned"]


def test_a_collected_generator_was_abandoned(captured: Captured) -> None:
    stream = step(generator)("a")
    next(stream)
    del stream
    gc.collect()
    assert outcomes(captured) == ["abandoned"]


def test_a_generator_is_sent_to_thrown_at_and_returns_as_before(captured: Captured) -> None:
    @step
    def echo() -> Any:
        heard = []
        while len(heard) < 3:
            try:
                heard.append((yield len(heard)))
            except KeyError as error:
                heard.append(error.args[0])
        return heard

    stream = echo()
    assert [next(stream), stream.send("a"), stream.throw(KeyError("b"))] == [0, 1, 2]
    with pytest.raises(StopIteration) as stop:
        stream.send("c")
    assert stop.value.value == ["a", "b", "c"]
    assert outcomes(captured) == [None]


async def test_an_asynchronous_generator_is_sent_to_and_thrown_at_as_before(captured: Captured) -> None:
    @step
    async def echo() -> Any:
        heard: list[Any] = []
        while len(heard) < 2:
            try:
                heard.append((yield heard))
            except KeyError as error:
                heard.append(error.args[0])

    stream = echo()
    await anext(stream)
    assert await stream.asend("a") == ["a"]
    with pytest.raises(StopAsyncIteration):
        await stream.athrow(KeyError("b"))
    assert outcomes(captured) == [None]


def test_what_is_thrown_in_dies_with_the_generator(captured: Captured) -> None:
    class Thrown(Exception):
        pass

    stream: Any = step(generator)("a")
    next(stream)
    error: Exception | None = Thrown()
    watched = weakref.ref(error)
    with contextlib.suppress(Thrown):
        stream.throw(error)
    error = None
    del stream
    assert watched() is None


# --- the current span ----------------------------------------------------------------------------------------------


@step
def watching(seen: list[int]) -> Iterator[int]:
    for number in range(3):
        seen.append(current())
        with trace.get_tracer("application").start_as_current_span("user's span"):
            yield number
        seen.append(current())


def test_a_generators_span_is_current_in_its_body_alone(captured: Captured) -> None:
    seen: list[int] = []
    with workflow("first"):
        stream, outside = watching(seen), current()
        next(stream)
        assert current() == outside
    with workflow("second"):
        outside = current()
        next(stream)
        assert current() == outside
    contextvars.Context().run(next, stream)
    assert not current()
    assert list(stream) == []
    span = captured.span("watching")
    assert set(seen) == {span.context.span_id}
    assert span.parent and span.parent.span_id == captured.span("invoke_workflow first").context.span_id


def test_what_a_generators_body_calls_nests_in_whichever_thread_reads_it(captured: Captured) -> None:
    @step
    def outer() -> Iterator[str]:
        yield step(plain)("a")
        yield from step(generator)("b")

    stream = outer()
    read: list[str] = []
    read.append(next(stream))
    thread = threading.Thread(target=lambda: read.extend(stream))
    thread.start()
    thread.join()
    assert read == ["aa", "b", "b"]
    assert captured.tree() == "outer\n  plain\n  generator"


async def test_an_asynchronous_generators_span_is_current_in_its_body_alone(captured: Captured) -> None:
    seen: list[int] = []

    @step
    async def stream() -> AsyncIterator[int]:
        for number in range(3):
            seen.append(current())
            await asyncio.sleep(0)
            seen.append(current())
            yield number

    async def read_one() -> None:
        with step("reader"):
            outside = current()
            await anext(items)
            assert current() == outside

    items = stream()
    for _ in range(3):
        await asyncio.create_task(read_one())
    assert [item async for item in items] == []
    assert set(seen) == {captured.span("stream").context.span_id}
    assert not current()


async def test_concurrent_calls_do_not_nest(captured: Captured) -> None:
    @step
    async def inner(number: int) -> None:
        await asyncio.sleep(0)

    @step
    async def outer(number: int) -> None:
        await asyncio.sleep(0)
        await inner(number)

    await asyncio.gather(*(outer(number) for number in range(3)))
    assert captured.tree() == "\n".join(["outer\n  inner"] * 3)


def test_interleaved_generators(captured: Captured) -> None:
    pairs = zip(step("one")(generator)("a"), step("two")(generator)("b"), strict=True)
    assert list(pairs) == [("a", "b")] * 2
    assert captured.tree().split("\n") == ["one", "two"]
    assert not current()


# --- streams of models ---------------------------------------------------------------------------------------------


def test_a_streamed_answer_has_its_first_chunk_timed(captured: Captured) -> None:
    answer = [
        {"id": "c1", "model": "m-1", "choices": [{"delta": {"content": "hel"}}]},
        {"id": "c1", "model": "m-1", "choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]},
        {"id": "c1", "model": "m-1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
    ]

    @inference("m", provider="openai")
    def generate(prompt: str) -> Iterator[Any]:
        yield from answer

    assert list(generate("q")) == answer
    attributes = dict(captured.span("chat m").attributes or {})
    assert attributes.pop("gen_ai.response.time_to_first_chunk") > 0
    assert attributes.pop("otel_callbacks.stream.longest_gap") > 0
    assert attributes.pop("otel_callbacks.stream.longest_gap_after_chunk") in (1, 2)  # they come at once
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "m-1",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "otel_callbacks.cost.status": "unpriced",
        "otel_callbacks.cost.unpriced_reason": "unknown_model",
        "otel_callbacks.usage.source": "provider",
        "otel_callbacks.rollup.inference_calls": 1,
        "otel_callbacks.rollup.input_tokens": 5,
        "otel_callbacks.rollup.output_tokens": 2,
        "otel_callbacks.rollup.total_tokens": 7,
        "otel_callbacks.rollup.unpriced_calls": 1,
    }


# --- when nothing is recorded --------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_suppressed(function: Any, captured: Captured) -> None:
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    try:
        assert await outcome_of(tool(function)("a")) == await outcome_of(function("a"))
        with retrieval("docs") as span:
            span.documents(["one"])
    finally:
        context_api.detach(token)
    assert captured.spans == []
    assert "gen_ai.execute_tool.duration" not in captured.metrics()


async def test_unsampled_operations_count_all_the_same() -> None:
    with capture(ALWAYS_OFF) as captured:
        with workflow("w"):
            tool(plain)("a")
            step(plain)("a")
        assert captured.spans == []
        assert captured.metrics()["gen_ai.execute_tool.duration"][0].count == 1
        assert captured.metrics()["otel_callbacks.step.duration"][0].count == 1
