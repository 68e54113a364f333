"""CPU time that tracing adds per span, beside an empty handler and beside the bare SDK, all in one run.

    python benchmarks/overhead.py [--rounds 15] [--calls 100]

Every round measures, in turn and in rotating order, the workload with nothing, with a handler that does nothing,
with the SDK alone making as many spans by hand (12 attributes each, nested, the floor), and with ours. What is
reported are medians of the differences within a round, so that a machine whose speed drifts does no harm.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import tool
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otel_callbacks.langchain import OTelCallbackHandler

Workload = Callable[[list[Any]], Any]
ATTRIBUTES = {f"bench.attribute_{number}": value for number, value in enumerate([17, "text", 0.5, True] * 3)}


class Discard(SpanExporter):
    """Exports nothing, at no cost."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Iterable[Any]) -> SpanExportResult:
        self.count += len(list(spans))
        return SpanExportResult.SUCCESS


class ScriptedModel(BaseChatModel):
    """Answers with the given messages in turn, and reports usage as a provider would."""

    script: Any
    model: str = "scripted-1"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        content, calls = next(self.script)
        message = AIMessage(
            content=content,
            tool_calls=calls,
            usage_metadata={"input_tokens": 900, "output_tokens": 60, "total_tokens": 960},
            response_metadata={"model_name": "scripted-1", "finish_reason": "stop", "id": "chatcmpl-1"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class FixedRetriever(BaseRetriever):
    """Finds the same four documents for every question."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(page_content="a passage of text " * 20, id=str(n)) for n in range(4)]


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a word"


def chain_workload() -> Workload:
    model = ScriptedModel(script=cycle([("an answer", [])]))
    prompt = ChatPromptTemplate.from_template("Answer {question} from {context}")
    chain = (
        {"context": FixedRetriever(), "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    ).with_config(run_name="rag")
    return lambda callbacks: chain.invoke("what?", {"callbacks": callbacks})


def agent_workload() -> Workload:
    call = [{"name": "look_up", "args": {"word": "x"}, "id": "call_1"}]
    script = cycle([("", call)] * 4 + [("done", [])])
    agent = create_agent(ScriptedModel(script=script), [look_up], name="librarian")
    return lambda callbacks: agent.invoke({"messages": [("user", "go")]}, {"callbacks": callbacks})


class Bench:
    """One workload under the four conditions."""

    def __init__(self, workload: Workload, detail: Any) -> None:
        self.workload = workload
        self.exporter = Discard()
        self.provider = TracerProvider()
        self.provider.add_span_processor(
            BatchSpanProcessor(self.exporter, max_queue_size=131_072, max_export_batch_size=512)
        )
        meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
        self.handler = OTelCallbackHandler(
            tracer_provider=self.provider, meter_provider=meters, detail=detail, content="none"
        )
        self.tracer = self.provider.get_tracer("floor")
        workload([self.handler])
        self.provider.force_flush()
        self.spans = self.exporter.count
        self.conditions: dict[str, Callable[[], Any]] = {
            "nothing": lambda: self.workload([]),
            "empty handler": lambda: self.workload([self.empty]),
            "SDK by hand": self.by_hand,
            "otel-callbacks": lambda: self.workload([self.handler]),
        }
        self.empty = BaseCallbackHandler()

    def by_hand(self) -> None:
        self.workload([])
        root = self.tracer.start_span("root")
        parent = trace.set_span_in_context(root)
        for _ in range(self.spans - 1):
            span = self.tracer.start_span("span", parent)
            span.set_attributes(ATTRIBUTES)
            span.end()
        root.set_attributes(ATTRIBUTES)
        root.end()

    def measure(self, calls: int, rounds: int) -> dict[str, list[float]]:
        """Microseconds of CPU per call, for each condition and round."""
        names = list(self.conditions)
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(-1, rounds):  # the first round warms up
            for name in names[number % 4 :] + names[: number % 4]:
                run = self.conditions[name]
                gc.collect()
                started = time.process_time()
                for _ in range(calls):
                    run()
                self.provider.force_flush()
                if number >= 0:
                    times[name].append((time.process_time() - started) / calls * 1e6)
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--calls", type=int, default=100, help="calls of the chain per measurement; agent: a fifth"
    )
    arguments = parser.parse_args()
    print("workload (detail)        spans   bare µs  empty +µs  floor +µs/span  ours +µs/span  ours / floor")
    for name, make, share in (("RAG chain", chain_workload, 1), ("agent", agent_workload, 5)):
        for detail in ("standard", "everything"):
            bench = Bench(make(), detail)
            times = bench.measure(max(arguments.calls // share, 1), arguments.rounds)
            bare = times["nothing"]

            def added(
                condition: str, times: dict[str, list[float]] = times, bare: list[float] = bare
            ) -> list[float]:
                return [with_it - without for with_it, without in zip(times[condition], bare, strict=True)]

            floor, ours = statistics.median(added("SDK by hand")), statistics.median(added("otel-callbacks"))
            ratio = statistics.median(
                a / b for a, b in zip(added("otel-callbacks"), added("SDK by hand"), strict=True)
            )
            print(
                f"{name + ' (' + detail + ')':24} {bench.spans:5} {statistics.median(bare):9.0f}"
                f" {statistics.median(added('empty handler')):10.0f} {floor / bench.spans:15.1f}"
                f" {ours / bench.spans:14.1f} {ratio:13.2f}"
            )


if __name__ == "__main__":
    main()
