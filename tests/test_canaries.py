"""Nothing that must stay in the application leaves it: secrets ever, what users said unless the policy lets it through.

Canaries are put wherever a framework can carry something, and looked for in the bytes that are exported and logged.
"""

import asyncio
import gc
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_fakes
import pytest
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
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
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
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from pydantic import SecretStr

from otel_callbacks import ContentPolicy, OTelCallbackHandler
from otel_callbacks.explore.files.writing import JsonLinesSpanExporter
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED


class Canaries:
    """Hands out canaries, no two alike."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.texts: list[str] = []

    @property
    def hidden(self) -> str:
        """A secret that only the key above it gives away."""
        self.secrets.append(f"hush{len(self.secrets):02}hush")
        return self.secrets[-1]

    @property
    def key(self) -> str:
        """A secret that looks like one, within a sentence."""
        self.secrets.append(f"9q7Zk2Xw4Lm8Tr{len(self.secrets):02}Vb")
        return f"use sk-proj-{self.secrets[-1]} for it"

    @property
    def address(self) -> str:
        """A URL with a password."""
        self.secrets.append(f"pass{len(self.secrets):02}word")
        return f"https://ann:{self.secrets[-1]}@internal.example:8443/v1"

    @property
    def text(self) -> str:
        """Something that a user said."""
        self.texts.append(f"canary-{len(self.texts):02}-sings")
        return self.texts[-1]

    @property
    def both(self) -> str:
        """Something that a user said, with a secret in it."""
        return f"{self.text}: {self.key}"


class KeyedModel(ScriptedModel):
    """A model whose arguments all show in what LangChain tells a handler."""

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


def langchain(canaries: Canaries, handler: OTelCallbackHandler) -> None:
    """Applications of LangChain and LangGraph with canaries in every place."""
    config: Any = {
        "callbacks": [handler],
        "tags": [canaries.text],
        "metadata": {"note": canaries.both, "token": canaries.hidden, "thread_id": f"t-1 {canaries.key}"},
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
    """Finds what it was given."""

    def __init__(self, nodes: list[TextNode]) -> None:
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=0.5) for node in self._nodes]


def llama_index(canaries: Canaries, handler: OTelCallbackHandler) -> None:
    """Applications of LlamaIndex with canaries in every place."""
    Settings.callback_manager = CallbackManager([handler])
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
    model = llama_model(canaries, canaries.both, call("f", password=canaries.hidden, said=canaries.text))
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


APPLICATIONS: dict[str, Callable[[Canaries, OTelCallbackHandler], None]] = {
    "langchain": langchain,
    "llama_index": llama_index,
}


def exported(captured: Captured, folder: Path, logged: str) -> bytes:
    """Everything that leaves the process."""
    JsonLinesSpanExporter(folder / "traces.jsonl").export(captured.spans)
    data = captured._metrics.get_metrics_data()
    assert data is not None
    return b"\n".join(
        (
            encode_spans(captured.spans).SerializeToString(),
            encode_logs(captured._logs.get_finished_logs()).SerializeToString(),
            encode_metrics(data).SerializeToString(),
            (folder / "traces.jsonl").read_bytes(),
            captured.tree().encode(),
            logged.encode(),
        )
    )


CANARY = re.compile(r"canary-\d\d-sings")
POLICIES: dict[str, ContentPolicy] = {
    "off": ContentPolicy("none"),
    "on": ContentPolicy("both"),
    "redacted": ContentPolicy("both", redact=(CANARY,)),
    "hashed": ContentPolicy("both", hashed=True, hash_key="0123456789abcdef"),
    "documents only": ContentPolicy("both", kinds=("documents",)),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("application", APPLICATIONS)
def test_what_leaves(
    application: str,
    policy: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
    canaries = Canaries()
    with capture() as captured:
        APPLICATIONS[application](
            canaries, OTelCallbackHandler(**captured.providers, content=POLICIES[policy])
        )
        gc.collect()  # the memories of LlamaIndex, whose warning is ignored here only
        left = exported(captured, tmp_path, caplog.text)
    assert len(set(canaries.secrets)) >= 40
    assert len(set(canaries.texts)) >= 40
    assert len(captured.spans) >= 10
    assert [secret for secret in canaries.secrets if secret.encode() in left] == []
    texts = [text for text in canaries.texts if text.encode() in left]
    if policy == "on":
        assert len(texts) > 20
    elif policy == "documents only":
        assert len(texts) == {"langchain": 2, "llama_index": 10}[application]
    else:
        assert texts == []
