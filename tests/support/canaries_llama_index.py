"""Applications of LlamaIndex with canaries in every place."""

import asyncio
from typing import Any

import llama_fakes
import pytest
from canaries import Canaries
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index_instrumentation.dispatcher import instrument_tags

from otel_callbacks.handler import OTelCallbackHandler


def llama_model(canaries: Canaries, *script: Any) -> llama_fakes.ScriptedModel:
    model = llama_fakes.ScriptedModel(script=script or (canaries.both,))
    model.__dict__.update(
        api_key=canaries.hidden,
        api_base=canaries.address,
        default_headers={"Authorization": canaries.hidden},
        additional_kwargs={"extra_headers": {"X-Api-Key": canaries.hidden}, "user": canaries.text},
    )
    return model


class Found(BaseRetriever):
    """Finds the nodes it was created with."""

    def __init__(self, nodes: list[TextNode]) -> None:
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=0.5) for node in self._nodes]


def run(canaries: Canaries, handler: OTelCallbackHandler) -> None:
    Settings.callback_manager = CallbackManager([handler])
    with instrument_tags({"tenant_id": f"acme {canaries.key}", "user_id": canaries.named}):
        llama_models(canaries)
    asyncio.run(llama_agent(canaries))
    nodes = [
        TextNode(
            text=canaries.both,
            id_=f"d{number}",
            metadata={"source": canaries.address, "title": canaries.text, "token": canaries.hidden},
        )
        for number in range(5)
    ]
    for streaming in (False, True):
        engine = RetrieverQueryEngine.from_args(Found(nodes), llm=llama_model(canaries), streaming=streaming)
        str(engine.query(canaries.both))
    history = [ChatMessage(role=role, content=canaries.both) for role in ("user", "assistant", "user")]
    SimpleChatEngine.from_defaults(llm=llama_model(canaries), system_prompt=canaries.both).chat(
        canaries.both, chat_history=history
    )


def llama_models(canaries: Canaries) -> None:
    talk = [
        ChatMessage(role="system", content=canaries.both),
        ChatMessage(role="user", content=canaries.both),
    ]
    options = {"extra_headers": {"Authorization": canaries.hidden}, "user": canaries.text}
    model = llama_model(
        canaries, canaries.both, llama_fakes.call("f", password=canaries.hidden, said=canaries.text)
    )
    model.chat(talk, **options)
    model.chat(talk)
    list(model.stream_chat(talk))
    model.complete(canaries.both)
    with pytest.raises(RuntimeError):
        llama_model(canaries, RuntimeError(canaries.both)).chat(talk)


async def llama_agent(canaries: Canaries) -> None:
    def look_up(word: str, api_key: str) -> Any:
        """Looks up."""
        return {"said": canaries.both, "headers": {"Cookie": canaries.hidden}, "url": canaries.address}

    def broken(word: str) -> str:
        """Fails."""
        raise ValueError(f"{word} {canaries.both}")

    script = [
        llama_fakes.call("look_up", word=canaries.both, api_key=canaries.hidden),
        llama_fakes.call("broken", "2", word=canaries.text),
        canaries.both,
    ]
    tools = [FunctionTool.from_defaults(look_up, description=f"Looks up. {canaries.key}"), broken]
    agent = FunctionAgent(
        tools=tools, llm=llama_model(canaries, *script), system_prompt=canaries.both, streaming=False
    )
    await agent.run(canaries.both)

    class Flow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result={"said": canaries.both, "secret": canaries.hidden})

    await Flow().run(question=canaries.both, api_key=canaries.hidden)
