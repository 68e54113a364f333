"""Spans, metrics and the report on the exported file show the same costs to the last digit."""

import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import llama_fakes
from click.testing import CliRunner
from fakes import ScriptedModel
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_callbacks import (
    OTelCallbackHandler,
    attribution,
    embedding,
    record_cost,
    record_usage,
    step,
    workflow,
)
from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter
from otel_callbacks.explore.collection import traces
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

RUNS, TENANTS = 10_000, 20
BOOK = {"prices": {"scripted-1*": {"input": "0.1357", "output": "2.46913"}, "embed-1": {"input": "0.0199"}}}


class GuardedModel(ScriptedModel):
    """Asks another model before it answers, and has used tokens of its own."""

    config: Any = None

    def _next(self) -> AIMessage:
        ScriptedModel().invoke("may I?", self.config)
        usage = {"input_tokens": 33, "output_tokens": 3, "total_tokens": 36}
        return super()._next().model_copy(update={"usage_metadata": usage})


class Application:
    """Calls models in every supported way, in turn."""

    def __init__(self, captured: Captured) -> None:
        self.handler = OTelCallbackHandler(**captured.providers, prices=BOOK, metric_labels=("tenant",))
        self.config: Any = {"callbacks": [self.handler]}
        Settings.callback_manager = CallbackManager([self.handler])
        self.chat, self.llm = ScriptedModel(), llama_fakes.ScriptedModel()
        self.cached = ScriptedModel(cache=InMemoryCache())
        self.fallback = ScriptedModel(script=[ConnectionError("no")]).with_fallbacks([self.chat])
        self.unknown = ScriptedModel(model="nobody-knows-1")
        self.chain = self.chat | StrOutputParser()
        self.guarded = GuardedModel(config=self.config)
        self.ways = (
            lambda: self.chat.invoke("q", self.config),
            lambda: list(self.chat.stream("q", self.config)),
            lambda: self.chain.invoke("q", self.config),
            lambda: self.cached.invoke("q", self.config),
            lambda: self.unknown.invoke("q", self.config),
            lambda: self.fallback.invoke("q", self.config),
            lambda: self.guarded.invoke("q", self.config),
            lambda: self.llm.complete("q"),
            lambda: next(self.llm.stream_complete("q")),
            self.by_hand,
            self.paid_tool,
        )

    def by_hand(self) -> None:
        with workflow("by hand"):
            with embedding("embed-1") as call:
                call.usage(input_tokens=random.randint(1, 10_000))
            record_usage(model="scripted-1", input_tokens=random.randint(1, 99), output_tokens=7)

    def paid_tool(self) -> None:
        with workflow("research"):
            for _ in range(2):
                record_cost(usd=f"0.00{random.randint(1, 9999)}", what="search")
            with step("read"):
                record_cost(usd="0.000037", what="crawl")
        record_cost(usd="0.000001", what="alone")

    def run(self, number: int) -> None:
        with attribution(tenant=f"t{number % TENANTS:02}"):
            self.ways[number % len(self.ways)]()


def exact(value: Any) -> Decimal:
    return Decimal(str(value))


def test_spans_metrics_and_the_report_agree(
    captured: Captured,
    tmp_path: Path,
    untouched_settings: None,  # noqa: F811
) -> None:
    random.seed(4)
    file = tmp_path / "traces.jsonl"
    writer = BatchSpanProcessor(JsonLinesSpanExporter(file), max_queue_size=4 * RUNS)
    captured.tracer_provider.add_span_processor(writer)
    application = Application(captured)
    set_process_recorder(application, lambda: application.handler._recorder)
    for number in range(RUNS):
        application.run(number)
    set_process_recorder(application, None)
    writer.force_flush()

    spans: Counter[str] = Counter()
    for span in captured.spans:
        given = span.attributes or {}
        cost = given.get("gen_ai.usage.cost_usd", given.get("otel_callbacks.cost.recorded_usd", 0))
        spans[str(given["app.tenant_id"])] += exact(cost)  # type: ignore[assignment]
    metrics: Counter[str] = Counter()
    for point in captured.metrics()["gen_ai.cost.usd"]:
        metrics[point.attributes["app.tenant_id"]] += exact(point.value)  # type: ignore[assignment]
    told = CliRunner().invoke(main, ["cost", str(file), "--by", "tenant", "--format", "json"])
    report = {row["tenant"]: exact(row["cost_usd"]) for row in json.loads(told.output)["rows"]}
    assert len(spans) == TENANTS
    assert report == spans
    assert metrics == spans
    statuses = Counter((span.attributes or {}).get("otel_callbacks.cost.status") for span in captured.spans)
    unpriced = sum(point.value for point in captured.metrics()["otel_callbacks.cost.unpriced"])
    assert unpriced == statuses["unpriced"] + statuses["partial"]
    assert json.loads(told.output)["total"]["unpriced_calls"] == unpriced
    roots = [span.attributes or {} for span in captured.spans if span.parent is None]
    assert sum(exact(root.get("otel_callbacks.rollup.cost_usd", 0)) for root in roots) == sum(spans.values())
    assert sum(exact(trace.cost or 0) for trace in traces.open(file)) == sum(spans.values())
