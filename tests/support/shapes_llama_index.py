"""Typical LlamaIndex applications. Each returns everything that it produces."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import llama_fakes
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step

Shape = Callable[[], Awaitable[Any]]


index = functools.cache(llama_fakes.index)  # a new index would have new node ids, which decide the order


async def query() -> Any:
    engine = index().as_query_engine(llm=llama_fakes.ScriptedModel())
    return engine.query("q"), await engine.aquery("q")


async def streamed_query() -> Any:
    model = llama_fakes.ScriptedModel()
    engine = index().as_query_engine(llm=model, streaming=True)
    response, aresponse = engine.query("q"), await engine.aquery("q")
    return list(response.response_gen), [token async for token in aresponse.async_response_gen()]


async def chat() -> Any:
    engine = SimpleChatEngine.from_defaults(
        llm=llama_fakes.ScriptedModel(), memory=ChatMemoryBuffer.from_defaults()
    )
    answers = [engine.chat("q"), await engine.achat("q"), list(engine.stream_chat("q").response_gen)]
    return answers, engine.chat_history


async def models() -> Any:
    model = llama_fakes.ScriptedModel()
    messages = [llama_fakes.ChatMessage(role="user", content="q")]
    streamed = [chunk async for chunk in await model.astream_chat(messages)]
    return model.chat(messages), model.complete("q"), list(model.stream_complete("q")), streamed


def tool_user(name: str) -> FunctionAgent:
    def look_up(word: str) -> str:
        """Looks up."""
        return word.upper()

    script = (llama_fakes.call("look_up", word="a"), "done")
    return FunctionAgent(
        name=name, description=name, tools=[look_up], llm=llama_fakes.ScriptedModel(script=script)
    )


async def agent_run() -> Any:
    handler = tool_user("a").run("q")
    return [event async for event in handler.stream_events()], await handler


async def agent_workflow() -> Any:
    handler = AgentWorkflow(agents=[tool_user("a")]).run(user_msg="q")
    return [event async for event in handler.stream_events()], await handler


class Progress(Event):
    done: int


class Counting(Workflow):
    @step
    async def count(self, context: Context, ev: StartEvent) -> StopEvent:
        for done in range(3):
            context.write_event_to_stream(Progress(done=done))
        return StopEvent(result=3)


async def workflow() -> Any:
    handler = Counting().run()
    return [event async for event in handler.stream_events()], await handler


async def failing_workflow() -> Any:
    class Broken(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            raise RuntimeError("broken")

    try:
        await Broken().run()
    except RuntimeError as error:
        return error.args


async def ingestion() -> Any:
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=20, chunk_overlap=0), llama_fakes.ScriptedEmbedding()]
    )
    return [node.get_content() for node in pipeline.run(documents=llama_fakes.DOCUMENTS)]


SHAPES: tuple[Shape, ...] = (
    *(query, streamed_query, chat, models, agent_run, agent_workflow, workflow, failing_workflow, ingestion),
)
