"""A service that answers with a model of one framework or the other.

`native` leaves tracing to FastAPI, `instrumented` to OpenTelemetry's instrumentation of it, `plain` to neither.
"""

import sys
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from langchain_core.language_models import FakeListChatModel
from llama_index.core.llms import MockLLM

from otel_callbacks import configure, instrument
from otel_callbacks.propagation import extract, share_labels

telemetry = configure(service_name="server")
instrument()


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield
    telemetry.flush()


app = FastAPI(lifespan=lifespan, telemetry={"tracing": sys.argv[1] == "native", "operation_spans": False})


@app.get("/langchain")
def langchain(request: Request) -> dict:
    FakeListChatModel(responses=["Paris"]).invoke("q")
    return {"baggage": request.headers.get("baggage", "")}


@app.get("/llama-index")
async def llama_index(request: Request) -> dict:
    await MockLLM().acomplete("q")
    return {"baggage": request.headers.get("baggage", "")}


if sys.argv[1] == "plain":

    @app.middleware("http")
    async def go_on(request: Request, call_next):
        with extract(request.headers, labels=["tenant"]):
            return await call_next(request)
else:
    share_labels(["tenant"], accept=True)
if sys.argv[1] == "instrumented":
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])


uvicorn.run(app, port=int(sys.argv[2]))
