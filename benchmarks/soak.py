"""Runs one handler for a long time under threads, tasks, event loops and both frameworks at once, with cancellation.

    python benchmarks/soak.py [--minutes 10] [--threads 200] [--tasks 2000] [--loops 3] [--warm-up 6600]

Every request has a tag in the names of its spans, so that each trace can be checked when it is exported: it has one
root and one tag, no parent is missing, and the tree is the same as when the request runs alone. At the end no span may
be open, and as many spans must have been exported as ended. The tags are also model names, and everything that is
remembered per model grows with them: the warm-up runs enough requests to reach those bounds (the SDK keeps 2,000 sets
of attributes per metric), so that memory is level from then on.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import logging
import random
import re
import resource
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableLambda
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

import fakes
import llama_fakes

from otel_callbacks.export.outbox import Delivery, QueueLimits
from otel_callbacks.export.signals import SpanDelivery
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.llama_index.dispatcher_reports import reports
from otel_callbacks.recording.metrics import SpanCounts
from otel_callbacks.runtime.faults import faults

RATE = 100.0  # requests per second that two cores can serve beside other work
GRACE = 10.0  # seconds to wait for spans that end after their root
SAMPLING = 10.0  # seconds between measurements of memory; garbage is collected before each of them
LATEST = 6 * SAMPLING  # seconds after which no lost generator can still be collected and end its span
TAG = re.compile(r"~(\w+)~\d+")
STATUS = Path("/proc/self/statm")

Shape = Counter[tuple[str, str | None]]


class Trees(SpanExporter):
    """Checks traces instead of sending them: separate, complete, and shaped as when the request runs alone."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape] = {}
        self.wrong: list[str] = []
        self.traces = self.cut_short = self.users = self.late = 0
        self._spans: dict[int, list[ReadableSpan]] = {}
        self._tags: dict[int, tuple[float, set[str]]] = {}  # when a trace that was cut short was checked
        self._missing: set[int] = set()  # spans that others name as their parent
        self._roots: dict[int, float] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self.users += span.name.startswith("user")
            if span.context.trace_id in self._tags:
                self._arrives_late(span)
                continue
            self._spans.setdefault(span.context.trace_id, []).append(span)
            if span.parent is None:
                self._roots[span.context.trace_id] = time.monotonic()
        self.check(GRACE)
        return SpanExportResult.SUCCESS

    def check(self, older: float) -> None:
        """Checks the traces whose root arrived at least `older` seconds ago."""
        due = time.monotonic() - older
        for trace_id in [trace_id for trace_id, arrived in self._roots.items() if arrived <= due]:
            del self._roots[trace_id]
            if (fault := self._fault(self._spans.pop(trace_id))) and len(self.wrong) < 20:
                self.wrong.append(fault)
        forgotten = time.monotonic() - LATEST
        self._tags = {trace_id: each for trace_id, each in self._tags.items() if each[0] > forgotten}

    def missing(self) -> list[str]:
        """Returns the roots and parents that never arrived."""
        rootless = [f"no root: {[span.name for span in spans]}" for spans in self._spans.values()]
        return rootless + [f"no parent: {span_id:016x}" for span_id in self._missing]

    def _arrives_late(self, span: ReadableSpan) -> None:
        """Checks a late span: LangChain may lose a cancelled stream's generator, which ends at garbage collection."""
        self.late += 1
        self._missing.discard(span.context.span_id)
        if {tag.group() for tag in TAG.finditer(span.name)} != self._tags[span.context.trace_id][1]:
            self.wrong.append(f"late, and from another request: {span.name}")

    def _fault(self, spans: list[ReadableSpan]) -> str | None:
        self.traces += 1
        names = {span.context.span_id: TAG.sub("", span.name) for span in spans}
        tags = {tag.group() for span in spans for tag in TAG.finditer(span.name)}
        cut_short = any("otel_callbacks.outcome" in (span.attributes or {}) for span in spans)
        if cut_short:
            self.cut_short += 1
            self._tags[spans[0].context.trace_id] = time.monotonic(), set(tags)
        missing = {span.parent.span_id for span in spans if span.parent} - names.keys()
        self._missing |= missing
        shape: Shape = Counter(
            (TAG.sub("", span.name), names.get(span.parent.span_id, "?") if span.parent else None)
            for span in spans
            if not (cut_short and span.parent and span.parent.span_id in missing)
        )
        if len(tags) != 1 and not (cut_short and not tags):
            return f"{len(tags)} requests in one trace: {sorted(tags)}"
        if not tags:
            return None
        kind = TAG.fullmatch(tags.pop()).group(1)  # type: ignore[union-attr]
        expected = self.shapes.setdefault(kind, shape)
        if cut_short:
            return f"{kind}: unexpected {shape - expected}" if shape - expected else None
        return None if shape == expected else f"{kind}: {shape} instead of {expected}"


class Requests:
    """The application: each method makes one request, with a tag of its own in the names of its spans."""

    def __init__(self, provider: TracerProvider, handler: OTelCallbackHandler) -> None:
        self._tracer = provider.get_tracer("application")
        self._callbacks: Any = {"callbacks": [handler]}
        self._index = llama_fakes.index()
        self._numbers = itertools.count()

    def chain(self) -> None:
        tag = self._tag("chain")
        self._chain(tag, 0).invoke("q", self._callbacks)

    async def achain(self, delay: float) -> None:
        await self._chain(self._tag("achain"), delay).ainvoke("q", self._callbacks)

    async def stream(self, delay: float) -> None:
        async for _ in self._chain(self._tag("stream"), delay / 4).astream("q", self._callbacks):
            pass

    def query(self) -> None:
        self._engine(self._tag("query"), 0).query("q")

    async def aquery(self, delay: float) -> None:
        await self._engine(self._tag("aquery"), delay).aquery("q")

    def _tag(self, kind: str) -> str:
        return f"~{kind}~{next(self._numbers)}"

    def _chain(self, tag: str, delay: float) -> Any:
        retriever = fakes.ScriptedRetriever(body=self._body(tag), delay=delay / 2)
        model = fakes.ScriptedModel(model=f"m{tag}", body=self._body(tag), delay=delay / 2)
        return (retriever | RunnableLambda(shape) | model).with_config(run_name=f"rag{tag}")

    def _engine(self, tag: str, delay: float) -> Any:
        model = llama_fakes.ScriptedModel(model=f"m{tag}", body=self._body(tag), delay=delay)
        return self._index.as_query_engine(llm=model)

    def _body(self, tag: str) -> Callable[[], None]:
        def body() -> None:
            with self._tracer.start_as_current_span(f"user{tag}"):
                pass

        return body


def shape(found: Any) -> str:
    return "text"


@dataclass
class Report:
    """The results; `memory` is the resident set in MiB, over time."""

    requests: int
    cut_short: int
    late: int
    wrong: list[str]
    counts: SpanCounts
    faults: int
    delivery: Delivery
    user_spans: int
    still_open: int
    memory: list[float] = field(repr=False)


class Soak:
    """The load: `threads` and `tasks` that make one request after another until the time is over."""

    def __init__(self, threads: int, tasks: int, loops: int) -> None:
        self._threads, self._tasks, self._loops = threads, tasks, loops
        self._pause = 2 * (threads + tasks) / RATE
        self._over = threading.Event()
        self._failed: list[str] = []
        self._faults = faults.count
        self.trees = Trees()
        self.provider = TracerProvider(shutdown_on_exit=False)
        delivery = SpanDelivery("soak", lambda: self.trees, QueueLimits(queue=200_000, delay=0.5))
        self.provider.add_span_processor(delivery)
        meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        self.handler = OTelCallbackHandler(tracer_provider=self.provider, meter_provider=meters)
        self.telemetry = Telemetry(self.provider, meters, _destinations=[delivery.outbox])
        # Set before the index is made: an earlier index's own manager would keep the ids of all events forever.
        Settings.callback_manager = CallbackManager([self.handler])
        self.requests = Requests(self.provider, self.handler)

    def run(self, seconds: float, warm_up: int = 0) -> Report:
        """Runs the load for this many seconds, after the warm-up requests, and checks all traces."""
        self._alone()
        for _ in range(warm_up // 3):
            self.requests.chain()
            self.requests.query()
            asyncio.run(self.requests.stream(0.0))
        memory: list[float] = []
        with ThreadPoolExecutor(self._threads + self._loops) as pool:
            for _ in range(self._threads):
                pool.submit(self._work)
            for _ in range(self._loops):
                pool.submit(asyncio.run, self._loop())
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self._over.wait(min(SAMPLING, seconds / 4))
                gc.collect()
                memory.append(_resident())
            self._over.set()
        gc.collect()
        self.telemetry.shutdown(60)
        self.trees.check(0)
        wrong = self.trees.wrong + self._failed + self.trees.missing()
        return Report(
            self.trees.traces,
            self.trees.cut_short,
            self.trees.late,
            wrong,
            self.handler._recorder.counts,
            faults.count - self._faults,
            self.telemetry.stats().destinations[0],
            self.trees.users,
            len(self.handler._recorder.runs) + len(reports.open),
            memory,
        )

    def _alone(self) -> None:
        """Learns what each kind of request looks like when nothing else runs."""
        self.requests.chain()
        self.requests.query()
        for request in (self.requests.achain, self.requests.stream, self.requests.aquery):
            asyncio.run(request(0.0))
        self.telemetry.flush(60)
        self.trees.check(0)

    def _work(self) -> None:
        while not self._over.wait(random.uniform(0, self._pause)):
            try:
                random.choice((self.requests.chain, self.requests.query))()
            except Exception as error:
                self._failed.append(repr(error))

    async def _loop(self) -> None:
        await asyncio.gather(*(self._task() for _ in range(self._tasks // self._loops)))

    async def _task(self) -> None:
        while not self._over.is_set():
            kind = random.choice((self.requests.achain, self.requests.stream, self.requests.aquery))
            delay = random.uniform(0, self._pause)
            patience = random.uniform(0, delay) if random.random() < 0.3 else None
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await kind(delay / 2)
            except Exception as error:
                self._failed.append(repr(error))
            await self._sleep(random.uniform(0, delay))

    async def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._over.is_set() and time.monotonic() < until:
            await asyncio.sleep(min(1.0, seconds))


def _resident() -> float:
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(STATUS.read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--loops", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=6600)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # else it warns that the scripted models have no price
    soak = Soak(arguments.threads, arguments.tasks, arguments.loops)
    report = soak.run(arguments.minutes * 60, arguments.warm_up)
    counts, delivery = report.counts, report.delivery
    count = len(report.memory)
    quarters = [report.memory[count * at // 4 : count * (at + 1) // 4] for at in range(4)]
    print(
        f"requests {report.requests}, cut short {report.cut_short}, spans more than {GRACE:.0f} s late {report.late}"
    )
    print(f"started {counts.started}, ended {counts.ended}, swept {counts.swept}, faults {report.faults}")
    print(
        f"exported {delivery.exported} = ended + {report.user_spans} of the application, dropped {delivery.dropped}"
    )
    print("resident MiB, by quarters of the time:", *(f"{statistics.fmean(each):.1f}" for each in quarters))
    print(f"still open {report.still_open}, wrong {len(report.wrong)}", *report.wrong, sep="\n")
    exact = counts.started == counts.ended == delivery.exported - report.user_spans
    return 0 if exact and not report.wrong and not report.still_open else 1


if __name__ == "__main__":
    sys.exit(main())
