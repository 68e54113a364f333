"""How the tests of ends run things in every mode, and what they look at afterwards. Only what is public is used."""

import asyncio
import contextvars
import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from otel_callbacks.testing import Captured

OUTCOME = "otel_callbacks.outcome"
MODES = ("invoke", "ainvoke", "stream", "astream", "batch", "abatch", "thread")
"""Every way to run a runnable of LangChain's once."""


async def run(runnable: Any, value: Any, config: Any, mode: str) -> Any:
    """Runs `runnable` once in a mode; the result of a stream is the list of its chunks."""
    match mode:
        case "invoke":
            return runnable.invoke(value, config)
        case "ainvoke":
            return await runnable.ainvoke(value, config)
        case "stream":
            return list(runnable.stream(value, config))
        case "astream":
            return [chunk async for chunk in runnable.astream(value, config)]
        case "batch":
            return runnable.batch([value], config)[0]
        case "abatch":
            return (await runnable.abatch([value], config))[0]
        case "thread":
            return in_thread(runnable.invoke, value, config)
    raise ValueError(mode)


def in_thread(function: Any, *arguments: Any) -> Any:
    """Calls a function in a thread of its own, in a copy of the caller's context."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, function, *arguments).result()


async def in_task(awaitable: Any) -> Any:
    """Awaits in a task of its own."""
    return await asyncio.create_task(awaitable)


def told(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of a span."""
    return span.attributes or {}


def outcome(span: ReadableSpan) -> Any:
    """How a span ended, if it did not just end."""
    return told(span).get(OUTCOME)


def outcomes(captured: Captured) -> dict[str, Any]:
    """The spans that did not just end, with how they did."""
    return {span.name: outcome(span) for span in captured.spans if outcome(span)}


def errors(captured: Captured) -> dict[str, Any]:
    """The spans that failed, with the type of the error."""
    return {
        span.name: told(span)["error.type"]
        for span in captured.spans
        if span.status.status_code is StatusCode.ERROR
    }


def traces(captured: Captured) -> int:
    """How many traces there are."""
    return len({span.context.trace_id for span in captured.spans})


def edges(captured: Captured) -> Counter[tuple[str | None, str]]:
    """How often each name stands below each other name; below None at the top."""
    names = {span.context.span_id: span.name for span in captured.spans}
    return Counter(
        (names.get(span.parent.span_id) if span.parent else None, span.name) for span in captured.spans
    )


def content(span: ReadableSpan, name: str) -> Any:
    """A content attribute as JSON says it, whether it was recorded as a text or structured; None without it."""
    found = told(span).get(f"gen_ai.{name}")
    return json.loads(found) if isinstance(found, str) else found


def count(captured: Captured, metric: str) -> float:
    """The sum of a counter over all its points."""
    return sum(point.value for point in captured.metrics().get(metric, ()))


def assert_all_ended(captured: Captured) -> None:
    """Every span that was started has ended, and none by a sweep."""
    metrics = captured.metrics()
    found = {
        kind: sum(point.value for point in metrics.get(f"otel_callbacks.spans.{kind}", ()))
        for kind in ("started", "ended", "errors")
    }
    assert found["started"] == found["ended"]
    assert found["errors"] == 0
