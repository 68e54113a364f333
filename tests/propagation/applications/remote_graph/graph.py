"""A graph that `langgraph dev` serves. The function around it is the only place where the request's headers are."""

from contextlib import asynccontextmanager

from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from otel_callbacks import configure, instrument
from otel_callbacks.propagation import extract

configure(service_name="server")
instrument()


def answer(state: MessagesState) -> dict:
    return {"messages": [FakeListChatModel(responses=["Paris"]).invoke(state["messages"])]}


built = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()


@asynccontextmanager
async def graph(config: RunnableConfig):
    with extract(config.get("configurable"), labels=["tenant"]):
        yield built
