"""Counts bytecodes and spans; imports nothing of ours, so that it also runs where only another package is installed."""

import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

_THREAD_POOLS = (
    "/threading.py",
    "/queue.py",
    "/concurrent/futures/thread.py",
    "/concurrent/futures/_base.py",
)


def count(call: Callable[[], Any]) -> Counter[str]:
    """Returns the bytecodes that `call` executes, by file, in this thread and in those that it starts.

    Python's thread pools are left out: whether a call needs a second thread depends on how busy the machine is.
    """
    codes: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            codes[frame.f_code.co_filename] += 1
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    del codes[__file__]
    return Counter({file: number for file, number in codes.items() if not file.endswith(_THREAD_POOLS)})


class CountSpans(SpanProcessor):
    """Counts the spans that end."""

    def __init__(self) -> None:
        self.ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        self.ended += 1
