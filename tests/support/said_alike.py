"""What is said of calls, in LangChain, LlamaIndex and by hand: the same work, for `tests/test_same_telemetry.py`.

Each method does one work with the scripted models, at `detail="operations"`. The work of one name is the same in all
three classes.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import fakes
import llama_fakes
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.memory import ChatMemoryBuffer

from otel_callbacks import agent, inference
from otel_callbacks.handler import OTelCallbackHandler

ANSWER = "hello big world"  # of every scripted model that is told nothing else
THOUGHT, SAID = "let me see", "here it is"
TOOL = {"id": "call_1", "name": "look_up", "arguments": {"word": "x"}}
EDITS = {"context_management": {"applied_edits": [{"cleared_input_tokens": 900}]}}
INSTRUCTIONS, CONVERSATION = "Be kind.", "c1"
SCHEMA = {"type": "json_object"}


class _Telling(fakes.ScriptedModel):
    tells: dict[str, Any] = {}

    def _next(self) -> AIMessage:
        made = super()._next()
        return made.model_copy(update={"response_metadata": {**made.response_metadata, **self.tells}})


class Homemade(fakes.ScriptedModel):
    """A model of nobody's that is known."""

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_model_name": self.model, "ls_model_type": "chat"}


@dataclass
class InLangChain:
    """Does the work in LangChain."""

    handler: OTelCallbackHandler
    config: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.config = {"callbacks": [self.handler]}

    async def parameters(self) -> None:
        model = fakes.ScriptedModel(script=[ANSWER]).bind(
            stop=["END"], reasoning_effort="low", response_format=SCHEMA
        )
        model.invoke("q", self.config)

    async def parts(self) -> None:
        said = [{"type": "reasoning", "reasoning": THOUGHT}, {"type": "text", "text": SAID}]
        called = {"name": TOOL["name"], "args": TOOL["arguments"], "id": TOOL["id"]}
        answer = AIMessage(said, tool_calls=[called])
        fakes.ScriptedModel(script=[answer]).invoke([HumanMessage("q", name="ann")], self.config)

    async def history(self) -> None:
        model, said = (
            fakes.ScriptedModel(script=["one", "two"]),
            [SystemMessage(INSTRUCTIONS), HumanMessage("q")],
        )
        answer = model.invoke(said, self.config)
        model.invoke([*said, answer, HumanMessage("and?")], self.config)

    async def compaction(self) -> None:
        _Telling(script=[ANSWER], tells=EDITS).invoke("q", self.config)

    async def agent(self) -> None:
        made = create_agent(
            fakes.ScriptedModel(script=[ANSWER]), [], name="librarian", system_prompt=INSTRUCTIONS
        )
        await made.ainvoke(
            {"messages": [("user", "q")]}, {**self.config, "configurable": {"thread_id": CONVERSATION}}
        )

    async def provider(self) -> None:
        Homemade(script=[ANSWER]).invoke("q", self.config)

    async def failure(self) -> None:
        with contextlib.suppress(ConnectionError):
            fakes.ScriptedModel(script=[ConnectionError("no")]).invoke("q", self.config)


class _LlamaTelling(llama_fakes.ScriptedModel):
    tells: dict[str, Any] = {}

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        told = {**llama_fakes.raw(llama_fakes.USAGE, "stop"), **self.tells}
        return ChatResponse(message=self._next(), raw=told)


_LlamaTelling.__module__ = llama_fakes.ScriptedModel.__module__


class _LlamaHomemade(CustomLLM):
    """A chat model of nobody's that is known."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="scripted-1", is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        raw = llama_fakes.raw(llama_fakes.USAGE, "stop")
        return ChatResponse(message=ChatMessage(ANSWER, role="assistant"), raw=raw)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


_LlamaHomemade.__name__ = Homemade.__name__


@dataclass
class InLlamaIndex:
    """Does the work in LlamaIndex."""

    handler: OTelCallbackHandler

    def __post_init__(self) -> None:
        Settings.callback_manager = CallbackManager([self.handler])

    async def parameters(self) -> None:
        model = llama_fakes.ScriptedModel()
        model.chat([ChatMessage("q")], stop=["END"], reasoning_effort="low", response_format=SCHEMA)

    async def parts(self) -> None:
        called = ToolCallBlock(tool_call_id=TOOL["id"], tool_name=TOOL["name"], tool_kwargs=TOOL["arguments"])
        blocks = [ThinkingBlock(content=THOUGHT), TextBlock(text=SAID), called]
        answer = ChatMessage(role="assistant", blocks=blocks)
        asked = ChatMessage("q", additional_kwargs={"name": "ann"})
        llama_fakes.ScriptedModel(script=[answer]).chat([asked])

    async def history(self) -> None:
        model = llama_fakes.ScriptedModel(script=["one", "two"])
        said = [ChatMessage(INSTRUCTIONS, role="system"), ChatMessage("q")]
        answer = model.chat(said).message
        model.chat([*said, answer, ChatMessage("and?")])

    async def compaction(self) -> None:
        _LlamaTelling(tells=EDITS).chat([ChatMessage("q")])

    async def agent(self) -> None:
        model = llama_fakes.ScriptedModel()
        made = FunctionAgent(name="librarian", llm=model, system_prompt=INSTRUCTIONS, streaming=False)
        await made.run("q", memory=ChatMemoryBuffer.from_defaults(chat_store_key=CONVERSATION))

    async def provider(self) -> None:
        _LlamaHomemade().chat([ChatMessage("q")])

    async def failure(self) -> None:
        with contextlib.suppress(ConnectionError):
            llama_fakes.ScriptedModel(script=[ConnectionError("no")]).chat([ChatMessage("q")])


@dataclass
class ByHand:
    """Does the work without a framework."""

    handler: OTelCallbackHandler

    def ask(self, messages: Any, answer: Any, *, tells: Any = None, **fields: Any) -> None:
        with inference("scripted-1", **{"provider": "openai", **fields}) as span:
            response = llama_fakes.raw(llama_fakes.USAGE, "stop")
            response["choices"][0]["message"] = {"role": "assistant", **answer}
            span.messages(input=messages)
            span.usage({**response, **(tells or {})})

    async def parameters(self) -> None:
        self.ask("q", {"content": ANSWER}, stop_sequences=["END"], reasoning_level="low", output_type="json")

    async def parts(self) -> None:
        said = [{"type": "reasoning", "reasoning": THOUGHT}, {"type": "text", "text": SAID}]
        called = {
            "id": TOOL["id"],
            "type": "function",
            "function": {"name": TOOL["name"], "arguments": '{"word": "x"}'},
        }
        self.ask([{"role": "user", "name": "ann", "content": "q"}], {"content": said, "tool_calls": [called]})

    async def history(self) -> None:
        said: Any = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": "q"}]
        self.ask(said, {"content": "one"})
        said += [{"role": "assistant", "content": "one"}, {"role": "user", "content": "and?"}]
        self.ask(said, {"content": "two"})

    async def compaction(self) -> None:
        self.ask("q", {"content": ANSWER}, tells=EDITS)

    async def agent(self) -> None:
        with agent("librarian", conversation_id=CONVERSATION, system_instructions=INSTRUCTIONS) as span:
            span.messages(input="q")
            said = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": "q"}]
            self.ask(said, {"content": ANSWER})
            span.messages(output=ANSWER)

    async def provider(self) -> None:
        self.ask("q", {"content": ANSWER}, provider=None, integration="Homemade")

    async def failure(self) -> None:
        with contextlib.suppress(ConnectionError), inference("scripted-1", provider="openai"):
            raise ConnectionError("no")
