"""Typical LangChain and LangGraph applications. Each returns everything that it produces."""

from collections.abc import Awaitable, Callable
from typing import Any

import fakes
from fakes import ScriptedModel, ScriptedRetriever
from langchain.agents import create_agent
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

Shape = Callable[[Any], Awaitable[Any]]


def chain(**model: Any) -> Any:
    prompt = ChatPromptTemplate.from_messages([("user", "{context} {question}")])
    found = {"context": ScriptedRetriever(), "question": RunnableLambda(str)}
    return found | prompt | ScriptedModel(**model) | StrOutputParser()


async def invoke(config: Any) -> Any:
    return chain().invoke("q", config)


async def stream(config: Any) -> Any:
    return list(chain().stream("q", config))


async def astream(config: Any) -> Any:
    return [chunk async for chunk in chain().astream("q", config)]


async def left_early(config: Any) -> Any:
    chunks = []
    async for chunk in ScriptedModel().astream("q", config):
        chunks.append(chunk.content)
        break
    return chunks


async def events(config: Any) -> Any:
    return [event async for event in chain().astream_events("q", config, version="v2")]


async def batch(config: Any) -> Any:
    return chain().batch(["a", "b", "c"], config)


async def abatch(config: Any) -> Any:
    return await chain().abatch(["a", "b", "c"], config)


async def parallel(config: Any) -> Any:
    return await RunnableParallel(a=chain(), b=ScriptedRetriever(), c=RunnableLambda(len)).ainvoke(
        "q", config
    )


async def branch(config: Any) -> Any:
    branches = RunnableBranch((lambda asked: asked == "q", chain()), RunnableLambda(len))
    return [branches.invoke(asked, config) for asked in ("q", "other")]


async def fallback(config: Any) -> Any:
    broken = ScriptedModel(script=(RuntimeError("down"),))
    return broken.with_fallbacks([ScriptedModel()]).invoke("q", config)


async def retry(config: Any) -> Any:
    flaky = ScriptedModel(script=(RuntimeError("down"), "up"))
    return await flaky.with_retry(wait_exponential_jitter=False).ainvoke("q", config)


async def failure(config: Any) -> Any:
    try:
        await chain(script=(RuntimeError("down"),)).ainvoke("q", config)
    except RuntimeError as error:
        return error.args


class Answer(BaseModel):
    value: int


async def structured(config: Any) -> Any:
    model = ScriptedModel(script=(fakes.call("Answer", value=7),))
    return model.with_structured_output(Answer).invoke("q", config)


async def text_model(config: Any) -> Any:
    model = FakeListLLM(responses=["abc"])
    streamed = [chunk async for chunk in model.astream("q", config)]
    return await model.ainvoke("q", config), model.invoke("q", config), streamed


@tool
async def look_up(word: str) -> str:
    """Looks a word up."""
    await adispatch_custom_event("looked", {"word": word})
    return word.upper()


def agent() -> Any:
    return create_agent(ScriptedModel(script=(fakes.call("look_up", word="a"), "done")), [look_up])


ASKED = {"messages": [("user", "q")]}


async def tools(config: Any) -> Any:
    return await look_up.ainvoke({"word": "a"}, config)


async def agent_ainvoke(config: Any) -> Any:
    return await agent().ainvoke(ASKED, config)


async def agent_stream(config: Any) -> Any:
    modes = ["updates", "messages", "values", "custom"]
    return [chunk async for chunk in agent().astream(ASKED, config, stream_mode=modes)]


async def agent_events(config: Any) -> Any:
    return [event async for event in agent().astream_events(ASKED, config, version="v2")]


async def interrupted(config: Any) -> Any:
    graph = StateGraph(dict)
    graph.add_node("ask", lambda state: {"answer": interrupt("sure?")})
    graph.add_edge(START, "ask")
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {**config, "configurable": {"thread_id": "t"}}
    return [compiled.invoke(given, config) for given in ({"question": "q"}, Command(resume="yes"))]


async def generators(config: Any) -> Any:
    def words(chunks: Any) -> Any:
        for chunk in chunks:
            yield chunk.content.upper()

    return list((ScriptedModel() | words).stream("q", config))


SHAPES: tuple[Shape, ...] = (
    *(invoke, stream, astream, left_early, events, batch, abatch, parallel, branch, fallback, retry, failure),
    *(structured, text_model, tools, agent_ainvoke, agent_stream, agent_events, interrupted, generators),
)
