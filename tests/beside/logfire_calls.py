"""Traces a chain beside Logfire, whose provider has no hash, and prints the spans that Logfire gets as JSON."""

import json
from typing import Any

import logfire
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler, configure
from otel_callbacks.runtime.faults import faults

exporter = InMemorySpanExporter()
logfire.configure(
    send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)]
)
telemetry = configure()
config: Any = {"callbacks": [OTelCallbackHandler()], "run_name": "answer"}
with logfire.span("the application's"):
    (RunnableLambda(lambda text: text) | FakeListChatModel(responses=["yes"])).invoke("q", config)
spans = [span for span in exporter.get_finished_spans() if "logfire.pending_parent_id" not in span.attributes]
names = {span.context.span_id: span.name for span in spans}
print(
    json.dumps(
        {
            "spans": [[span.name, names.get(span.parent.span_id) if span.parent else None] for span in spans],
            "faults": faults.count,
            "traces": str(telemetry).splitlines()[0],
        }
    )
)
