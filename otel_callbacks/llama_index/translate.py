"""LlamaIndex's payloads to operations; what is not in the table here has no span of its own.

With `inference` and `messages`, the only place that digs in LlamaIndex's objects.
"""

from collections.abc import Callable
from functools import lru_cache
from inspect import BoundArguments
from typing import Any, get_args, get_type_hints

from llama_index.core.agent.workflow import AgentWorkflow
from llama_index.core.agent.workflow.base_agent import (
    DEFAULT_AGENT_DESCRIPTION,
    DEFAULT_AGENT_NAME,
    BaseWorkflowAgent,
)
from llama_index.core.agent.workflow.workflow_events import AgentOutput, ToolCall, ToolCallResult
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine
from llama_index.core.constants import DEFAULT_PIPELINE_NAME
from llama_index.core.indices.vector_store import VectorIndexRetriever
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.memory.types import DEFAULT_CHAT_STORE_KEY
from llama_index.core.multi_modal_llms import MultiModalLLM
from llama_index.core.node_parser import NodeParser
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.core.tools import ToolOutput
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Event
from llama_index.core.workflow import Workflow as LlamaWorkflow

from otel_callbacks.limits import DESCRIPTION_CHARACTERS
from otel_callbacks.llama_index import inference, messages
from otel_callbacks.operations import (
    AgentInvocation,
    Document,
    Embedding,
    Failure,
    Operation,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
    without_retriever_scores,
)
from otel_callbacks.operations.payload import (
    attribute,
    integer,
    is_a,
    is_list,
    items,
    mapping,
    mapping_or_fields,
    name,
    number,
    text,
    word,
)

Describe = Callable[[Any, BoundArguments, bool], Operation | None]

_AGENT_PLUMBING = {"init_run", "setup_agent", "parse_agent_output", "aggregate_tool_results"}
_ANSWERS = (Response, PydanticResponse, AgentChatResponse, AgentOutput)
_MAX_DOCUMENTS = 1_000
_TOOL_OF_PROGRAM = "llama_index.core.program.function_program"


# --- workflows, agents and their steps ---------------------------------------------------------------------------


def _query(engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    return _workflow("query_engine", engine, arguments, with_content)


def _chat(engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    operation = _workflow("chat_engine", engine, arguments, with_content)
    operation.conversation_id = _conversation_id(attribute(engine, "_memory"))
    return operation


def _ingestion(pipeline: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    own_name = word(attribute(pipeline, "name"))
    return Workflow(name=own_name if own_name not in (None, DEFAULT_PIPELINE_NAME) else "ingestion_pipeline")


def _workflow(kind: str, engine: Any, arguments: BoundArguments, with_content: bool) -> Workflow:
    operation = Workflow(name=_own_name(engine) or kind)
    if with_content and arguments.args:
        operation.input_messages = messages.text_message("user", _question(arguments.args[0]))
    return operation


def _own_name(instance: Any) -> str | None:
    """The name of a class that the application wrote; one of LlamaIndex's says nothing about the application."""
    kind = type(instance)
    return None if kind.__module__.startswith("llama_index.") else kind.__name__


def _run(workflow: Any, arguments: BoundArguments, with_content: bool) -> Workflow | AgentInvocation:
    """A run of a workflow: of an agent, or of steps that the application wrote."""
    start = arguments.arguments.get("start_event")
    conversation = _conversation_id(_field(start, "memory"))
    operation: Workflow | AgentInvocation
    if isinstance(workflow, BaseWorkflowAgent):
        operation = agent(workflow)
        operation.conversation_id = conversation
    else:
        own_name = word(attribute(workflow, "_workflow_name")) or _own_name(workflow)
        operation = Workflow(name=own_name, conversation_id=conversation)
    if with_content:
        operation.input_messages = messages.text_message("user", _field(start, "user_msg"))
    return operation


def _field(event: Any, name: str) -> Any:
    """A field of an event, which may be declared or not."""
    return event.get(name, None) if is_a(event, Event) else None


def agent(of: Any) -> AgentInvocation:
    """An agent, by the name that the application gave it."""
    name, description = (
        word(attribute(of, "name")),
        word(attribute(of, "description"), DESCRIPTION_CHARACTERS),
    )
    return AgentInvocation(
        name=name if name != DEFAULT_AGENT_NAME else None,
        description=description if description != DEFAULT_AGENT_DESCRIPTION else None,
    )


def _conversation_id(memory: Any) -> str | None:
    """The key of the conversation in its store, unless it is the one that all have by default."""
    known = mapping_or_fields(memory)
    key = word(known.get("session_id")) or word(known.get("chat_store_key"))
    return None if key == DEFAULT_CHAT_STORE_KEY else key


def step(
    workflow: Any, name: str, arguments: BoundArguments, with_content: bool
) -> Step | ToolExecution | None:
    """A step of a workflow; of LlamaIndex's own agents only the turn of the model and the tools, the rest is plumbing.

    The step of an agent that calls a tool is the tool.
    """
    event = event_of(arguments)
    if is_a(event, ToolCall) and name == "call_tool":
        return ToolExecution(
            name=word(attribute(event, "tool_name")) or "tool",
            call_id=word(attribute(event, "tool_id")),
            arguments=attribute(event, "tool_kwargs") if with_content else None,
        )
    if name in _AGENT_PLUMBING and isinstance(workflow, AgentWorkflow | BaseWorkflowAgent):
        return None
    return Step(name=word(name))


def event_of(arguments: BoundArguments) -> Any:
    """The event that a workflow step was given, if it is one."""
    return event if is_a(event := arguments.arguments.get("ev"), Event) else None


def agent_of(workflow: Any, arguments: BoundArguments) -> Any:
    """The agent of an AgentWorkflow that a step works for, where its event tells."""
    if not isinstance(workflow, AgentWorkflow):
        return None
    return mapping(workflow.agents).get(word(attribute(event_of(arguments), "current_agent_name")) or "")


def waits(workflow: Any, name: str, result: Any) -> bool:
    """Whether a step ended only to wait for an event: with nothing, which it does not say it returns."""
    step = attribute(workflow, name)
    return result is None and step is not None and _returns_always(getattr(step, "__func__", step))


@lru_cache(maxsize=1024)
def _returns_always(step: Any) -> bool:
    try:
        annotated = get_type_hints(step).get("return")
    except Exception:  # a name that cannot be looked up from here
        return False
    return annotated not in (None, type(None), Any) and type(None) not in get_args(annotated)


def is_workflow(instance: Any) -> bool:
    """Whether steps may run in this."""
    return isinstance(instance, LlamaWorkflow)


def _synthesis(synthesizer: Any, arguments: BoundArguments, with_content: bool) -> Step:
    return Step(name="synthesis")


def _node_parsing(parser: Any, arguments: BoundArguments, with_content: bool) -> Step:
    return Step(name="node_parsing")


# --- retrieval, embeddings, rerankers, tools ---------------------------------------------------------------------


def _retrieval(retriever: Any, arguments: BoundArguments, with_content: bool) -> Retrieval:
    fields = mapping(attribute(retriever, "__dict__"))
    store, model = fields.get("_vector_store"), fields.get("_embed_model")
    top_k = next(
        (
            k
            for key in ("_similarity_top_k", "similarity_top_k", "_top_k", "top_k")
            if (k := integer(fields.get(key)))
        ),
        None,
    )
    operation = Retrieval(
        provider=type(store).__name__ if store is not None else None,
        top_k=top_k,
        embedding_model=inference.model_of(model) if model is not None else None,
        score_kind="similarity" if isinstance(retriever, VectorIndexRetriever) else None,
    )
    if with_content and arguments.args:
        operation.query = _question(arguments.args[0])
    return operation


def _embedding(model: Any, arguments: BoundArguments, with_content: bool) -> Embedding:
    provider = inference.provider_of(type(model), "embeddings")
    address, port = inference.endpoint_of(model, provider)
    given = arguments.args[0] if arguments.args else None
    return Embedding(
        name=inference.model_of(model),
        provider=provider,
        server_address=address,
        server_port=port,
        count=1 if is_a(given, str) else len(items(given)) if is_list(given) else None,
    )


def _rerank(postprocessor: Any, arguments: BoundArguments, with_content: bool) -> Rerank | None:
    """A postprocessor that gives new scores; others, which only choose or rewrite, have no span."""
    fields = mapping(attribute(postprocessor, "__dict__"))
    if "top_n" not in fields and not any(
        "rerank" in kind.__name__.lower() for kind in type(postprocessor).__mro__
    ):
        return None
    model = inference.model_of(postprocessor)
    if model is None and "llm" in fields:
        model = inference.model_of(fields["llm"])
    given = arguments.args
    operation = Rerank(name=model, top_n=integer(fields.get("top_n")))
    if given:
        operation.candidates = _documents(given[0])
    if with_content and len(given) > 1:
        operation.query = _question(given[1])
    return operation


def _tool(tool: Any, arguments: BoundArguments, with_content: bool) -> ToolExecution | None:
    """A tool; not the pretended one by which a program has a model fill in a class."""
    function = attribute(tool, "_real_fn") or attribute(tool, "_fn")
    if attribute(function, "__module__") == _TOOL_OF_PROGRAM:
        return None
    metadata = attribute(tool, "metadata")
    operation = ToolExecution(
        name=word(attribute(metadata, "name")) or "tool",
        description=word(attribute(metadata, "description"), DESCRIPTION_CHARACTERS),
    )
    if with_content:
        operation.arguments = arguments.kwargs or list(arguments.args)
    return operation


def _question(query: Any) -> str | None:
    return text(attribute(query, "query_str") if is_a(query, QueryBundle) else query)


def _documents(nodes: Any) -> list[Document] | None:
    if not is_list(nodes):
        return None
    return [_document(node) for node in items(nodes)[:_MAX_DOCUMENTS] if is_a(node, NodeWithScore)]


def _document(found: NodeWithScore) -> Document:
    node, score = attribute(found, "node"), number(attribute(found, "score"))
    if not is_a(node, BaseNode):  # type: ignore[type-abstract]
        return Document(score=score)
    return Document(
        id=name(attribute(node, "node_id")),
        score=score,
        content=_content_of(node),
        metadata=mapping(attribute(node, "metadata")),
    )


def _content_of(node: Any) -> str | None:
    try:
        content = node.get_content()
    except Exception:  # a node of the application's own kind; a new kind of LlamaIndex's may have no text
        return None
    return str.__str__(content) if is_a(content, str) else None


# --- the table ---------------------------------------------------------------------------------------------------


def _methods(*names: str) -> frozenset[str]:
    return frozenset(names)


_TABLE: tuple[tuple[Any, frozenset[str], Describe], ...] = (
    (BaseQueryEngine, _methods("query", "aquery"), _query),
    (BaseChatEngine, _methods("chat", "achat", "stream_chat", "astream_chat"), _chat),
    (IngestionPipeline, _methods("run", "arun"), _ingestion),
    (LlamaWorkflow, _methods("run"), _run),
    (BaseRetriever, _methods("retrieve", "aretrieve"), _retrieval),
    (
        (BaseEmbedding, BaseSparseEmbedding),
        _methods(
            *("get_query_embedding", "get_text_embedding", "get_text_embedding_batch"),
            *("aget_query_embedding", "aget_text_embedding", "aget_text_embedding_batch"),
        ),
        _embedding,
    ),
    (BaseNodePostprocessor, _methods("_postprocess_nodes", "_apostprocess_nodes"), _rerank),
    (BaseSynthesizer, _methods("synthesize", "asynthesize"), _synthesis),
    (NodeParser, _methods("__call__", "acall", "_parse_nodes", "_aparse_nodes"), _node_parsing),
    (BaseTool, _methods("__call__", "call", "acall"), _tool),
    ((BaseLLM, MultiModalLLM), _methods("chat", "achat"), inference.chat),
    ((BaseLLM, MultiModalLLM), _methods("stream_chat", "astream_chat"), inference.stream_chat),
    ((BaseLLM, MultiModalLLM), _methods("complete", "acomplete"), inference.complete),
    ((BaseLLM, MultiModalLLM), _methods("stream_complete", "astream_complete"), inference.stream_complete),
)


@lru_cache(maxsize=4096)
def describe(kind: type, method: str) -> Describe | None:
    """What makes an operation of a call of `method`; None if such calls have no span of their own."""
    if issubclass(kind, StructuredLLM):  # has another model do the work
        return None
    return next(
        (make for base, methods, make in _TABLE if method in methods and issubclass(kind, base)), None
    )


# --- the ends ----------------------------------------------------------------------------------------------------


def finish(operation: Operation, result: Any, *, with_content: bool) -> Failure | None:
    """Completes an operation other than a model call with its result; a result may say that it is a failure."""
    match operation:
        case Retrieval():
            operation.documents = _documents(result)
        case Rerank():
            kept = _documents(result)
            operation.documents = kept and without_retriever_scores(kept, operation.candidates or ())
        case Embedding():
            first = next(iter(items(result)), None)
            vector = items(first) if is_list(first) else items(result)
            if vector and not is_a(vector[0], dict):
                operation.dimension_count = len(vector)
        case ToolExecution():
            return _finish_tool(operation, result, with_content)
        case Workflow() | AgentInvocation() if with_content:
            operation.output_messages = messages.text_message("assistant", _said(result))
    return None


def _finish_tool(operation: ToolExecution, result: Any, with_content: bool) -> Failure | None:
    output = attribute(result, "tool_output") if is_a(result, ToolCallResult) else result
    if not is_a(output, ToolOutput):
        return None
    content = messages.text_in(output)
    operation.result_size = len(content or "")
    if with_content:
        operation.result = content
    if attribute(output, "is_error") is not True:
        return None
    error = attribute(output, "exception")
    return Failure.from_exception(error) if is_a(error, BaseException) else Failure("tool_error", content)


def _said(result: Any) -> Any:
    """The answer of a workflow: of an engine, of an agent, of a stream, or whatever the last event carries."""
    kind = type(result)
    carried = issubclass(kind, Event) and not issubclass(kind, AgentOutput)
    answer = attribute(result, "result") if carried else result
    return attribute(answer, "response") if issubclass(type(answer), _ANSWERS) else answer
