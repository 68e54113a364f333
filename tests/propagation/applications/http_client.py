"""Asks the service twice under a host that may have labels, and once under one that may not."""

import sys

import httpx
from opentelemetry import baggage
from opentelemetry import context as context_api

from otel_callbacks import attribution, configure, tool, workflow
from otel_callbacks.propagation import inject, share_labels

configure(service_name="client")
context_api.attach(baggage.set_baggage("experiment", "B"))
if sys.argv[1] == "instrumented":
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    share_labels(["tenant"], hosts=["127.0.0.1"])
    HTTPXClientInstrumentor().instrument()

    def get(url: str) -> str:
        return httpx.get(url).json()["baggage"]
else:

    def get(url: str) -> str:
        labels = ["tenant"] if "127.0.0.1" in url else []
        return httpx.get(url, headers=inject({}, labels)).json()["baggage"]


with attribution(tenant="acme", user="u-7"), workflow("ask"):
    for url in (
        "http://127.0.0.1:{}/langchain",
        "http://127.0.0.1:{}/llama-index",
        "http://localhost:{}/langchain",
    ):
        with tool("get"):
            print(get(url.format(sys.argv[2])))
