"""Applications of LangChain and LangGraph with canaries in every place."""

import json
from typing import Any

import pytest
from canaries import Canaries
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from pydantic import SecretStr

from otel_callbacks.handler import OTelCallbackHandler


class KeyedModel(ScriptedModel):
    """A model all of whose arguments LangChain reports to a handler."""

    api_key: SecretStr = SecretStr("")
    openai_api_base: str = ""
    default_headers: dict[str, str] = {}
    model_kwargs: dict[str, Any] = {}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "headers": self.default_headers,
            "api_key": self.api_key.get_secret_value(),
            **self.model_kwargs,
        }


def langchain_model(canaries: Canaries, *script: Any) -> KeyedModel:
    return KeyedModel(
        script=script or (canaries.both,),
        api_key=SecretStr(canaries.hidden),
        openai_api_base=canaries.address,
        default_headers={"Authorization": canaries.hidden, "X-Note": canaries.key},
        model_kwargs={"extra_body": {"password": canaries.hidden, "user": canaries.text}},
        metadata={"ls_note": canaries.text, "api_key": canaries.hidden},
        tags=[canaries.text, canaries.key],
    )


def run(canaries: Canaries, handler: OTelCallbackHandler) -> None:
    config: Any = {
        "callbacks": [handler],
        "tags": [canaries.text],
        "metadata": {
            "tenant_id": f"acme {canaries.key}",
            "user_id": canaries.named,
            "note": canaries.both,
            "token": canaries.hidden,
            "thread_id": f"t-1 {canaries.key}",
        },
        "run_name": f"chain {canaries.key}",
        "configurable": {"api_key": canaries.hidden, "note": canaries.text},
    }
    langchain_chain(canaries, config)
    langchain_agent(canaries, config)
    langchain_graph(canaries, config)
    for failing in (
        RuntimeError(canaries.both),
        KeyError({"password": canaries.hidden, "said": canaries.text}),
    ):
        with pytest.raises(type(failing)):
            langchain_model(canaries, failing).invoke(canaries.text, config)


def langchain_chain(canaries: Canaries, config: Any) -> None:
    def announce(value: Any) -> Any:
        dispatch_custom_event(f"found {canaries.both}", {"text": canaries.text, "secret": canaries.hidden})
        dispatch_custom_event(canaries.key.split()[1], {})
        return value

    document = Document(
        canaries.both,
        id="d1",
        metadata={"source": canaries.address, "title": canaries.text, "api_key": canaries.hidden},
    )
    retriever = ScriptedRetriever(documents=[document]) | RunnableLambda(announce) | RunnableLambda(str)
    prompt = ChatPromptTemplate.from_messages(
        [("system", "{rule}"), ("user", "{context} {question}")]
    ).partial(rule=canaries.both)
    options = {"extra_headers": {"X-Api-Key": canaries.hidden}, "user": canaries.text, "stop": ["###"]}
    model = langchain_model(canaries).bind(**options)
    chain = {
        "context": RunnableLambda(lambda asked: asked["question"]) | retriever,
        "question": RunnableLambda(str),
    }
    (chain | prompt | model).invoke({"question": canaries.both, "password": canaries.hidden}, config)
    image = {"type": "image", "url": canaries.address}
    talk = [
        SystemMessage(canaries.both),
        HumanMessage([{"type": "text", "text": canaries.both}, image], name=canaries.text),
        AIMessage(
            "", tool_calls=[{"name": "f", "args": {"secret": canaries.hidden, "a": canaries.text}, "id": "1"}]
        ),
        ToolMessage(json.dumps({"token": canaries.hidden, "said": canaries.text}), tool_call_id="1"),
    ]
    list(langchain_model(canaries).stream(talk, config))
    schema = {"name": "f", "description": canaries.key, "parameters": {"default": canaries.key}}
    langchain_model(canaries).invoke(talk, config, tools=[{"type": "function", "function": schema}])
    FakeListLLM(responses=[canaries.both]).invoke(canaries.both, config)


def langchain_agent(canaries: Canaries, config: Any) -> None:
    @tool(description=f"Looks up. {canaries.key}")
    def look_up(word: str, api_key: str) -> Any:
        return {"said": canaries.both, "headers": [("Cookie", canaries.hidden)], "url": canaries.address}

    @tool
    def broken(word: str) -> str:
        """Fails."""
        raise ValueError(f"{word} {canaries.both} {canaries.address}")

    script = [
        call("look_up", word=canaries.both, api_key=canaries.hidden),
        call("broken", "2", word=canaries.text),
    ]
    agent = create_agent(langchain_model(canaries, *script), [look_up, broken], system_prompt=canaries.both)
    with pytest.raises(ValueError, match="canary"):
        agent.invoke({"messages": [("user", canaries.both)]}, config)


def langchain_graph(canaries: Canaries, config: Any) -> None:
    graph = StateGraph(dict)
    graph.add_node("work", lambda state: {"answer": {"said": canaries.both, "private_key": canaries.hidden}})
    graph.add_edge(START, "work")
    graph.compile().invoke(
        {"question": canaries.both, "auth": canaries.hidden, "nested": [canaries.address]}, config
    )
