"""Calls every span report, event and legacy callback of LlamaIndex with proper and hostile arguments."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import llama_fakes
from hostile import Call, Draw, Failing
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.agent.workflow.workflow_events import ToolCall, ToolCallResult
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.base.response.schema import Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import events as event_package
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool, ToolOutput
from llama_index_instrumentation.base import BaseEvent
from workflows.errors import WorkflowCancelledByUser
from workflows.runtime.types.results import WaitingForEvent

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.llama_index.dispatcher_hooks import _event_handler, _span_handler
from otel_callbacks.llama_index.dispatcher_reports import reports

IDS = tuple(f"C.chat-00000000-0000-4000-8000-{number:012}" for number in range(40))
SIGNATURE = inspect.signature(lambda *args, **kwargs: None)


def event_classes() -> list[type[BaseEvent]]:
    """Returns all event classes of LlamaIndex."""
    for module in pkgutil.iter_modules(event_package.__path__, f"{event_package.__name__}."):
        importlib.import_module(module.name)

    def below(kind: type[BaseEvent]) -> Iterator[type[BaseEvent]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    return sorted(set(below(BaseEvent)), key=lambda kind: (kind.__module__, kind.__qualname__))


EVENT_CLASSES = event_classes()


Shape = tuple[Any, tuple[str, ...], str]


def _components() -> tuple[Shape, ...]:
    """Returns components, their traced methods, and the name of the method that makes their results."""
    model = llama_fakes.ScriptedModel()
    broken = llama_fakes.ScriptedModel()
    broken.__dict__.update(
        model=Failing(), temperature=Failing(), additional_kwargs=Failing(), api_base=10**400
    )
    index = llama_fakes.index()
    tool = FunctionTool.from_defaults(len, name="look_up", description="Looks up.")
    agent = FunctionAgent(tools=[tool], llm=model, name="a")
    calls = ("chat", "achat", "stream_chat", "complete", "stream_complete")
    engine = RetrieverQueryEngine.from_args(index.as_retriever(), llm=model)
    return (
        (model, calls, "response"),
        (broken, calls, "response"),
        (index.as_retriever(), ("retrieve", "aretrieve"), "nodes"),
        (llama_fakes.ScriptedReranker(), ("_postprocess_nodes",), "nodes"),
        (llama_fakes.ScriptedEmbedding(), ("get_text_embedding", "get_text_embedding_batch"), "vectors"),
        (engine, ("query",), "answer"),
        (SimpleChatEngine.from_defaults(llm=model), ("chat", "stream_chat"), "answer"),
        (tool, ("call", "acall"), "tool_output"),
        (agent, ("run",), "answer"),
        (AgentWorkflow(agents=[agent]), ("run",), "answer"),
        (IngestionPipeline(transformations=[]), ("run",), "nodes"),
        (None, ("call_tool", "run_agent_step", "step"), "event"),
    )


class Payloads:
    """Makes what LlamaIndex passes to callbacks: proper except for the odd part."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def text(self) -> Any:
        return self.draw.choice(("hello", "stop", "length", "é", "use sk-proj-9q7Zk2Xw4Lm8TrVb12 for it"))

    def number(self) -> Any:
        return self.draw.choice((0, 1, 7, 0.5, 120))

    def usage(self) -> Any:
        number = self.number
        return self.draw.fields(
            prompt_tokens=number, completion_tokens=number, total_tokens=number, cost=number
        )

    def raw(self) -> Any:
        choice = lambda: self.draw.fields(finish_reason=self.text)  # noqa: E731
        return self.draw.fields(
            id=self.text, model=self.text, usage=self.usage, choices=lambda: self.draw.several(choice)
        )

    def block(self) -> Any:
        text = self.text
        kind: Any = self.draw.choice((TextBlock, ThinkingBlock, ToolCallBlock, ImageBlock))
        return kind.model_construct(
            **self.draw.fields(
                text=text,
                content=text,
                tool_name=text,
                tool_call_id=text,
                tool_kwargs=dict,
                url=text,
                image=lambda: b"",
            )
        )

    def message(self) -> Any:
        calls = lambda: self.draw.several(lambda: self.draw.fields(function=self.usage, id=self.text))  # noqa: E731
        beside = lambda: self.draw.fields(tool_calls=calls, tool_call_id=self.text, usage=self.usage)  # noqa: E731
        fields = self.draw.fields(role=self.text, additional_kwargs=beside)
        return ChatMessage.model_construct(
            blocks=self.draw.usually(lambda: self.draw.several(lambda: self.draw.usually(self.block))),
            **fields,
        )

    def messages(self) -> Any:
        return self.draw.several(lambda: self.draw.usually(self.message))

    def response(self) -> Any:
        kind: Any = self.draw.choice((ChatResponse, CompletionResponse))
        return kind.model_construct(
            **self.draw.fields(
                message=self.message,
                text=self.text,
                delta=self.text,
                raw=self.raw,
                additional_kwargs=self.usage,
            )
        )

    def node(self) -> Any:
        metadata = lambda: self.draw.fields(file_path=self.text, page=self.number)  # noqa: E731
        node = lambda: TextNode.model_construct(  # noqa: E731
            **self.draw.fields(text=self.text, id_=self.text, metadata=metadata)
        )
        return NodeWithScore.model_construct(**self.draw.fields(node=node, score=self.number))

    def nodes(self) -> Any:
        return self.draw.several(lambda: self.draw.usually(self.node))

    def tool_output(self) -> Any:
        fields = self.draw.fields(
            blocks=lambda: self.draw.several(self.block), is_error=lambda: True, exception=self.error
        )
        return ToolOutput.model_construct(**fields)

    def event(self) -> Any:
        # `model_construct` recurses forever on events with some versions of pydantic, so a proper one is altered.
        event = ToolCall(tool_name="look_up", tool_kwargs={}, tool_id="call-1")
        if self.draw.choice((True, False)):
            output = ToolOutput(content="7", tool_name="look_up", raw_input={}, raw_output=7)
            event = ToolCallResult(**event.model_dump(), tool_output=output, return_direct=False)
        event.__dict__.update(
            self.draw.fields(
                tool_name=self.text, tool_kwargs=dict, tool_id=self.text, tool_output=self.tool_output
            )
        )
        return event

    def answer(self) -> Any:
        draw = self.draw
        streamed = lambda: StreamingResponse(response_gen=(token for token in ("a", "b")))  # noqa: E731
        answered = lambda: Response(response=draw.usually(self.text))  # noqa: E731
        return draw.choice((streamed, answered, self.stream, self.tool_output))()

    def vectors(self) -> Any:
        return [[0.5] * 8]

    def stream(self) -> Any:
        return (each for each in ())

    def error(self) -> Any:
        return self.draw.choice(
            (
                ValueError("x"),
                GeneratorExit(),
                WaitingForEvent.__new__(WaitingForEvent),
                WorkflowCancelledByUser(),
            )
        )

    def argument(self) -> Any:
        return self.draw.choice(
            (self.text, self.messages, self.nodes, self.vectors, lambda: QueryBundle("q"))
        )()

    def arguments(self) -> Any:
        positional = self.draw.several(lambda: self.draw.usually(self.argument))
        named = self.draw.fields(
            messages=self.messages, prompt=self.text, ev=self.event, tools=lambda: [{}], n=self.number
        )
        bound = SIGNATURE.bind(*positional, **named)
        if "ev" in named:
            bound.arguments["ev"] = named["ev"]
        return bound


class LlamaIndexSurface:
    """The span reports and events of LlamaIndex's dispatcher, and the legacy callbacks."""

    @functools.cached_property
    def _components(self) -> tuple[Shape, ...]:
        return _components()

    def plan(self, draw: Draw, calls: int) -> list[Call]:
        payloads = Payloads(draw)
        entered: list[tuple[str, Shape]] = []
        kinds = (self._enter, self._enter, self._leave, self._leave, self._event, self._event, self._legacy)
        return [draw.choice(kinds)(payloads, entered) for _ in range(calls)]

    def _enter(self, payloads: Payloads, entered: list[tuple[str, Shape]]) -> Call:
        draw = payloads.draw
        shape = draw.choice(self._components)
        id_ = draw.choice(IDS).replace("chat", draw.choice(shape[1]))
        parent_id = self._id(draw, entered)
        entered.append((id_, shape))
        instance = draw.usually(lambda: shape[0])
        # The dispatcher itself makes the id and the arguments, so these are proper.
        return Call("span_enter", (id_, payloads.arguments(), instance, parent_id), draw.fields(tags=dict))

    def _leave(self, payloads: Payloads, entered: list[tuple[str, Shape]]) -> Call:
        draw = payloads.draw
        id_, shape = draw.choice(entered) if entered else ("x", self._components[0])
        if draw.choice((True, False, False)):
            error = draw.usually(payloads.error)
            return Call("span_drop", (id_, payloads.arguments(), shape[0], error), {})
        result = draw.usually(draw.choice((getattr(payloads, shape[2]), payloads.stream)))
        return Call("span_exit", (id_, payloads.arguments(), shape[0], result), {})

    def _id(self, draw: Draw, entered: list[tuple[str, Shape]]) -> Any:
        """Returns the id of a span that was entered, perhaps long ago, or one that never was."""
        return draw.choice((*(id_ for id_, _ in entered[-8:]), *IDS[:2], "", None, 7, "y" * 100))

    def _event(self, payloads: Payloads, entered: list[tuple[str, Shape]]) -> Call:
        draw = payloads.draw
        fields = draw.fields(
            span_id=lambda: self._id(draw, entered),
            response=payloads.response,
            messages=payloads.messages,
            exception=payloads.error,
            nodes=payloads.nodes,
            query=payloads.text,
        )
        return Call("handle", (draw.choice(EVENT_CLASSES).model_construct(**fields),), {})

    def _legacy(self, payloads: Payloads, entered: list[tuple[str, Shape]]) -> Call:
        draw = payloads.draw
        name = draw.choice(("on_event_start", "on_event_end", "start_trace", "end_trace"))
        kind = draw.usually(lambda: draw.choice(tuple(CBEventType)))
        return Call(name, (kind, draw.odd()), {})

    def handler(self, **options: Any) -> OTelCallbackHandler:
        handler = OTelCallbackHandler(**options)
        Settings.callback_manager = CallbackManager([handler])
        return handler

    def methods(self, handler: OTelCallbackHandler) -> dict[str, Callable[..., Any]]:
        return {
            "span_enter": _span_handler.span_enter,
            "span_exit": _span_handler.span_exit,
            "span_drop": _span_handler.span_drop,
            "handle": _event_handler.handle,
            "on_event_start": handler.on_event_start,
            "on_event_end": handler.on_event_end,
            "start_trace": lambda kind, _: handler.start_trace(kind),
            "end_trace": handler.end_trace,
        }

    def close(self) -> None:
        reports.close()
        assert reports.open == {}
