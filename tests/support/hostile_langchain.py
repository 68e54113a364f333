"""Calls every LangChain callback with proper and hostile arguments."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hostile import Call, Draw
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult
from langgraph.errors import GraphInterrupt

from otel_callbacks.langchain import OTelCallbackHandler

RUN_IDS: tuple[Any, ...] = (*(UUID(int=number) for number in range(1, 40)), "a", 7, None, (1, 2))
EVENTS = tuple(sorted(name for name in dir(BaseCallbackHandler) if name.startswith("on_")))
FOLLOWING = {
    "on_chain_start": ("on_chain_end", "on_chain_error", "on_custom_event"),
    "on_chat_model_start": ("on_llm_end", "on_llm_end", "on_llm_error", "on_llm_new_token", "on_retry"),
    "on_llm_start": ("on_llm_end", "on_llm_end", "on_llm_error", "on_llm_new_token", "on_stream_event"),
    "on_retriever_start": ("on_retriever_end", "on_retriever_end", "on_retriever_error"),
    "on_tool_start": ("on_tool_end", "on_tool_end", "on_tool_error"),
}
NAMES = ("RunnableSequence", "LangGraph", "Prompt", "work", "my chain", "sk-proj-9q7Zk2Xw4Lm8TrVb12")


class Payloads:
    """Makes what LangChain passes to callbacks: proper except for the odd part."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def text(self) -> Any:
        return self.draw.choice(
            ("hello", "gpt-4o", "stop", "é", "use sk-proj-9q7Zk2Xw4Lm8TrVb12 for it", "length")
        )

    def number(self) -> Any:
        return self.draw.choice((0, 1, 7, 0.5, 120))

    def usage(self) -> Any:
        number = self.number
        details = self.draw.fields(cache_read=number, reasoning=number, audio=number, cached_tokens=number)
        return self.draw.fields(
            input_tokens=number,
            output_tokens=number,
            total_cost=number,
            prompt_tokens=number,
            cost=number,
            input_token_details=lambda: details,
            output_token_details=lambda: details,
        )

    def details(self) -> Any:
        text, usage = self.text, self.usage
        return self.draw.fields(
            model_name=text, finish_reason=text, id=text, service_tier=text, token_usage=usage, usage=usage
        )

    def block(self) -> Any:
        kind = self.draw.choice(
            ("text", "image", "image_url", "reasoning", "thinking", "tool_use", "file", "media")
        )
        fields = self.draw.fields(
            text=self.text, url=self.text, image_url=self.text, data=self.text, thinking=self.text
        )
        return {"type": self.draw.usually(lambda: kind), **fields}

    def content(self) -> Any:
        return self.draw.usually(
            lambda: self.draw.choice((self.text, lambda: self.draw.several(self.block)))()
        )

    def tool_call(self) -> Any:
        return self.draw.fields(
            name=self.text, id=self.text, args=lambda: {"a": self.draw.odd()}, type=lambda: "tool_call"
        )

    def message(self) -> Any:
        kind: Any = self.draw.choice((AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage))
        fields = self.draw.fields(
            name=self.text,
            id=self.text,
            tool_calls=lambda: self.draw.several(self.tool_call),
            usage_metadata=self.usage,
            response_metadata=self.details,
            status=lambda: "error",
            tool_call_id=self.text,
        )
        made = kind.model_construct(content=self.content(), **fields)
        return made

    def choice(self) -> Any:
        kind: Any = self.draw.choice((Generation, ChatGeneration, ChatGenerationChunk))
        fields = self.draw.fields(message=self.message, text=self.text, generation_info=self.details)
        return kind.model_construct(**fields)

    def result(self) -> Any:
        rows = self.draw.several(lambda: self.draw.usually(lambda: self.draw.several(self.choice)))
        fields = self.draw.fields(generations=lambda: rows, llm_output=self.details)
        return LLMResult.model_construct(**fields)

    def document(self) -> Any:
        metadata = lambda: self.draw.fields(source=self.text, page=self.number, score=self.number)  # noqa: E731
        fields = self.draw.fields(page_content=self.text, id=self.text, metadata=metadata)
        return Document.model_construct(**fields)

    def state(self) -> Any:
        messages = lambda: self.draw.several(lambda: self.draw.usually(self.message))  # noqa: E731
        return self.draw.choice(
            (self.text, messages, lambda: self.draw.fields(messages=messages, input=self.text))
        )()

    def error(self) -> Any:
        return self.draw.choice((ValueError("x"), GraphInterrupt(()), GeneratorExit(), KeyboardInterrupt()))

    def metadata(self) -> Any:
        text, number = self.text, self.number
        return self.draw.fields(
            thread_id=text,
            ls_provider=lambda: "openai",
            ls_model_name=text,
            ls_temperature=number,
            ls_max_tokens=number,
            ls_stop=lambda: [text()],
            langgraph_node=text,
            langgraph_step=number,
            langgraph_path=lambda: (text(), number()),
            langgraph_checkpoint_ns=text,
            tenant_id=text,
            user_id=number,
        )

    def parameters(self) -> Any:
        text, number = self.text, self.number
        tool = lambda: self.draw.fields(type=text, function=self.tool_call, name=text, parameters=dict)  # noqa: E731
        return self.draw.fields(
            model=text,
            n=number,
            seed=number,
            stop=text,
            top_p=number,
            top_k=number,
            max_tokens=number,
            stream=lambda: True,
            reasoning=lambda: {"effort": text()},
            response_format=lambda: {"type": "text"},
            tools=lambda: self.draw.several(tool),
        )

    def serialized(self) -> Any:
        arguments = lambda: self.draw.fields(base_url=lambda: "https://a:b@c:1/x", model=self.text)  # noqa: E731
        return self.draw.fields(name=self.text, description=self.text, kwargs=arguments, id=lambda: ["a"])


class LangChainSurface:
    """The callbacks of LangChain's handlers."""

    def plan(self, draw: Draw, calls: int) -> list[Call]:
        payloads = Payloads(draw)
        started: list[tuple[Any, str]] = []
        return [self._next(payloads, started) for _ in range(calls)]

    def _next(self, payloads: Payloads, started: list[tuple[Any, str]]) -> Call:
        """Plans one call: half of them end a run that an earlier call started, the others are random."""
        draw = payloads.draw
        run_id, event = draw.choice(RUN_IDS), draw.choice(EVENTS)
        if started and draw.choice((True, False)):
            run_id, begun = draw.choice(started)
            event = draw.choice(FOLLOWING[begun])
        elif event.endswith("_start"):
            started.append((run_id, event))
        return self._call(payloads, event, run_id)

    def _call(self, payloads: Payloads, event: str, run_id: Any) -> Call:
        draw = payloads.draw
        keywords = draw.fields(
            tags=lambda: [draw.choice(("seq:step:1", "graph:step:2"))],
            metadata=payloads.metadata,
            name=lambda: draw.choice(NAMES),
            run_type=lambda: draw.choice(("prompt", "parser", None)),
            inputs=payloads.state,
            invocation_params=payloads.parameters,
            options=payloads.parameters,
            batch_size=payloads.number,
            chunk=payloads.choice,
            response=payloads.result,
            tool_call_id=payloads.text,
        )
        for name in POSITIONAL.get(event, ()):
            keywords.pop(name, None)
        arguments = tuple(draw.usually(make) for make in ARGUMENTS[event](payloads))
        if event == "on_llm_new_token":
            keywords["token"], arguments = arguments[0], ()
        keywords["run_id"] = run_id
        keywords["parent_run_id"] = draw.choice(RUN_IDS)
        return Call(event, arguments, keywords)

    def handler(self, **options: Any) -> OTelCallbackHandler:
        return OTelCallbackHandler(**options)

    def methods(self, handler: OTelCallbackHandler) -> dict[str, Callable[..., Any]]:
        return {event: getattr(handler, event) for event in EVENTS}

    def close(self) -> None:
        pass


POSITIONAL = {"on_chain_start": ("inputs",), "on_custom_event": ("name",), "on_llm_end": ("response",)}


class Retried:
    def __init__(self) -> None:
        self.attempt_number = 2


ARGUMENTS: dict[str, Callable[[Payloads], tuple[Callable[[], Any], ...]]] = {
    "on_agent_action": lambda payloads: (payloads.state,),
    "on_agent_finish": lambda payloads: (payloads.state,),
    "on_chain_end": lambda payloads: (payloads.state,),
    "on_chain_error": lambda payloads: (payloads.error,),
    "on_chain_start": lambda payloads: (payloads.serialized, payloads.state),
    "on_chat_model_start": lambda payloads: (
        payloads.serialized,
        lambda: [payloads.draw.usually(lambda: payloads.draw.several(payloads.message))],
    ),
    "on_custom_event": lambda payloads: (payloads.text, payloads.state),
    "on_llm_end": lambda payloads: (payloads.result,),
    "on_llm_error": lambda payloads: (payloads.error,),
    "on_llm_new_token": lambda payloads: (payloads.text,),
    "on_llm_start": lambda payloads: (payloads.serialized, lambda: payloads.draw.several(payloads.text)),
    "on_retriever_end": lambda payloads: (
        lambda: payloads.draw.several(lambda: payloads.draw.usually(payloads.document)),
    ),
    "on_retriever_error": lambda payloads: (payloads.error,),
    "on_retriever_start": lambda payloads: (payloads.serialized, payloads.text),
    "on_retry": lambda payloads: (Retried,),
    "on_stream_event": lambda payloads: (lambda: {"event": "content-block-delta"},),
    "on_text": lambda payloads: (payloads.text,),
    "on_tool_end": lambda payloads: (payloads.message,),
    "on_tool_error": lambda payloads: (payloads.error,),
    "on_tool_start": lambda payloads: (payloads.serialized, payloads.text),
}
