"""Asks a remote graph: directly, with the headers by hand, or (`instrumented`) as a node of a graph of its own."""

import sys

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph

from otel_callbacks import attribution, configure, instrument, workflow
from otel_callbacks.propagation import inject, share_labels

configure(service_name="client")
instrument()
remote = RemoteGraph("answer", url=sys.argv[2])
question = {"messages": [{"role": "user", "content": "q"}]}
if sys.argv[1] == "instrumented":
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    share_labels(["tenant"], hosts=["127.0.0.1"])
    HTTPXClientInstrumentor().instrument()
    ours = StateGraph(MessagesState).add_node("remote", remote).add_edge(START, "remote").compile(name="ours")
    with attribution(tenant="acme", user="u-7"):
        print(ours.invoke(question)["messages"][-1].content)
else:
    with attribution(tenant="acme", user="u-7"), workflow("ask"):
        print(remote.invoke(question, headers=inject({}, labels=["tenant"]))["messages"][-1]["content"])
