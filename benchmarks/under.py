"""Runs workloads under one rival, in a process of its own, and measures what it is told to measure.

    python benchmarks/under.py RIVAL SETTING

`compare.py` starts it and sends one command a line; each is answered with one line of JSON. Settings: `defaults`;
`content`, which records prompts and answers; `unsampled`, whose sampler drops everything; `uncounted`, which has no
metrics either. The commands:

    cpu WORKLOAD[:NUMBER] CALLS   runs so many calls; the CPU time of one, in microseconds, in all threads
    bytecodes WORKLOAD[:NUMBER]   the bytecodes of a call, in all threads; null where they cannot be counted
    collect                       collects the metrics; the CPU time in microseconds
    collect_bytecodes             the same, in bytecodes
    spans WORKLOAD                the spans of a call, and whether they hold its text

The spans go nowhere: a processor counts them. Bytecodes of threads that a rival started before are not counted.
"""

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from counting import CountSpans, count
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from rivals import RIVALS, Providers
from workloads import WORKLOADS

warnings.simplefilter("ignore")
_OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever a rival prints is no answer

COUNTS_BYTECODES = sys.version_info[:2] == (3, 11)
_WARM_UP = 20
_TEXTS = ("a passage of text", "an answer")


class Spans(CountSpans):
    """Counts the spans, and looks whether they hold what a call said."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = False
        self.holds_content = False

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(span)
        if self.looks:
            written = str(dict(span.attributes or {})) + str(
                [dict(event.attributes or {}) for event in span.events]
            )
            self.holds_content |= any(text in written for text in _TEXTS)


class Under:
    """The workloads under one rival."""

    def __init__(self, name: str, setting: str) -> None:
        self._spans = Spans()
        drops = setting in ("unsampled", "uncounted")
        tracer = TracerProvider(sampler=ParentBased(ALWAYS_OFF) if drops else None)  # None: the SDK's default
        tracer.add_span_processor(self._spans)
        self._reader = InMemoryMetricReader()
        meter = None if setting == "uncounted" else MeterProvider(metric_readers=[self._reader])
        trace.set_tracer_provider(tracer)
        if meter is not None:
            metrics.set_meter_provider(meter)
        self._has_metrics = meter is not None
        self._tracing = RIVALS[name].set_up(Providers(tracer, meter), True if setting == "content" else None)
        self._calls: dict[str, Callable[[], Any]] = {}

    def _call(self, workload: str) -> Callable[[], Any]:
        """Returns one call of a workload, warmed up unless it is a big one."""
        if workload not in self._calls:
            name, _, number = workload.partition(":")
            run = WORKLOADS[name](*([int(number)] if number else []))
            handlers = (
                self._tracing.llama_index if name.startswith("llama_index") else self._tracing.langchain
            )
            around = self._tracing.around

            def call() -> None:
                with around():
                    run(handlers)

            self._calls[workload] = call
            for _ in range(1 if number else _WARM_UP):
                call()
            gc.collect()
            gc.freeze()  # else full collections would walk all imported modules, and hit a block at random
        return self._calls[workload]

    def cpu(self, workload: str, calls: str) -> float:
        call = self._call(workload)
        started = time.process_time()
        for _ in range(int(calls)):
            call()
        return (time.process_time() - started) / int(calls) * 1e6

    def bytecodes(self, workload: str) -> int | None:
        """Of three calls the cheapest counts, for now and then one tidies up after those before it."""
        call = self._call(workload)
        return min(count(call).total() for _ in range(3)) if COUNTS_BYTECODES else None

    def collect(self) -> float:
        started = time.process_time()
        if self._has_metrics:
            self._reader.get_metrics_data()
        return (time.process_time() - started) * 1e6

    def collect_bytecodes(self) -> int | None:
        return count(self.collect).total() if COUNTS_BYTECODES else None

    def spans(self, workload: str) -> tuple[int, bool]:
        call = self._call(workload)
        before, self._spans.looks = self._spans.ended, True
        call()
        self._spans.looks = False
        return self._spans.ended - before, self._spans.holds_content


def main() -> None:
    under = Under(*sys.argv[1:])
    print(json.dumps("ready"), file=_OUT, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer = getattr(under, command)(*arguments)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=_OUT, flush=True)


if __name__ == "__main__":
    main()
