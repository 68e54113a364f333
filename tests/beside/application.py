"""An application that is set up from outside, by `opentelemetry-instrument` or by FastAPI, and calls `configure` too.

    python application.py plain|fastapi ENDPOINT

Prints where traces go, and exports one span, one metric and one event.
"""

import sys
from typing import Any

from opentelemetry import _logs, metrics, trace

from otel_callbacks import Telemetry, configure


def record() -> None:
    trace.get_tracer("app").start_span("one").end()
    metrics.get_meter("app").create_counter("calls").add(1)
    _logs.get_logger("app").emit(_logs.LogRecord(event_name="happened"))


def serve(telemetry: Telemetry) -> None:
    """Runs a FastAPI application, which adds the exporters of the environment when it starts."""
    import asyncio

    from fastapi import FastAPI

    app: Any = FastAPI(telemetry={"auto_configure": True})

    async def run() -> None:
        incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            message = next(incoming)
            if message["type"] == "lifespan.shutdown":
                record()
            return message

        async def send(message: Any) -> None:
            assert "failed" not in message["type"], message

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(run())


telemetry = configure(endpoints=sys.argv[2])
if sys.argv[1] == "fastapi":
    serve(telemetry)
else:
    record()
for provider in (trace.get_tracer_provider(), _logs.get_logger_provider()):
    provider.force_flush()  # type: ignore[attr-defined]
print(str(telemetry).splitlines()[0])
