"""The LangChain callback handler: which event starts, completes or ends which run.

Its methods are synchronous and run inline: a handler that is neither is called in other threads and tasks, where
the context of the body cannot be reached. So nothing here may wait.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from otel_callbacks import semconv
from otel_callbacks.langchain import graphs, messages, parents, retrieval, translate
from otel_callbacks.langchain.inline import is_better_inline
from otel_callbacks.last_trace import HasLastTrace
from otel_callbacks.operations import (
    AgentInvocation,
    Inference,
    Retrieval,
    ToolExecution,
    Workflow,
    providers,
)
from otel_callbacks.operations.payload import integer, items, mapping, mapping_or_fields, word
from otel_callbacks.options import Options, recorder
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.runs.current_span import Run
from otel_callbacks.runtime.faults import faults, guarded

_NAME = re.compile(r"[\w.:/-]{1,64}")


class OTelCallbackHandler(HasLastTrace, BaseCallbackHandler):
    """Traces LangChain and LangGraph with OpenTelemetry.

    Pass it in `config={"callbacks": [OTelCallbackHandler()]}`, to a constructor, or use `instrument()` for the
    whole process; any combination gives one span per run.

    Args:
        options: see `otel_callbacks.options.Options`; all are optional.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message says what would be.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._recorder = recorder(**options)

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        """LangChain's switch for being called in the task and context of the caller."""
        return is_better_inline(OTelCallbackHandler)

    @property
    def raise_error(self) -> bool:  # type: ignore[override]
        """LangChain's switch for passing on what a handler raises.

        Ours raises only under test, and to refuse a model call whose budget is spent.
        """
        return faults.strict or self._recorder.enforces

    def trace_id(self, run_id: UUID | str) -> str | None:
        """The trace, in hex, of a run that goes on or of the outermost one of a call that is over; None if unknown.

        Remembered are the last 4,096 calls.

        Args:
            run_id: as given in `config={"run_id": ...}`, or as `astream_events` and callbacks tell it.
        """
        try:
            key: UUID | str = UUID(run_id) if isinstance(run_id, str) else run_id
        except ValueError:  # an id of LlamaIndex's, which only a handler of both frameworks knows
            key = run_id
        return self._recorder.trace_id(key)

    # --- chains, graphs, agents --------------------------------------------------------------------------------

    @guarded
    def on_chain_start(
        self,
        serialized: Mapping[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts or hides a chain run."""
        recorder = self._recorder
        runs = recorder.runs
        if run_id in runs:
            return
        known = mapping(metadata)
        name, run_type = word(kwargs.get("name")), word(kwargs.get("run_type"))
        parent = parents.named_parent(runs, parent_run_id)
        is_node = graphs.is_node(known, tags)
        frame = parents.caller()
        inside = parents.inside_chain(runs, run_id, frame)
        graph = None if is_node else graphs.graph_of(frame)
        if graph is None and recorder.detail != "everything":
            plumbing = not is_node and translate.is_plumbing(name, run_type)
            if parent is not None and (plumbing or recorder.detail == "operations"):
                parent.stand_for(run_id, inside)
                return
            if parent is None and run_type is not None:
                return  # a prompt or parser on its own
        operation = (
            graphs.node(known)
            if is_node
            else translate.chain(name, known, graph, outermost=parent is None and run_type is None)
        )
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=inside,
            found_by_id=True,
            resumes=graph is not None and graphs.resumes(inputs),
            tags=metadata,
        )
        if recorder.wants_content(run) and isinstance(operation, Workflow | AgentInvocation):
            operation.input_messages = messages.state(inputs, "user")

    @guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a chain run."""
        run = self._ending(run_id)
        if run is None:
            return
        if self._recorder.wants_content(run) and isinstance(run.operation, Workflow | AgentInvocation):
            operation = run.operation
            operation.input_messages = operation.input_messages or messages.state(
                kwargs.get("inputs"), "user"
            )
            operation.output_messages = messages.result(outputs)
        self._recorder.finish(run)

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a chain run, unless the error is LangGraph's control flow."""
        self._fail(run_id, error)

    # --- models ------------------------------------------------------------------------------------------------

    @guarded
    def on_chat_model_start(  # type: ignore[override]  # LangChain passes the batches by position
        self,
        serialized: Mapping[str, Any] | None,
        batches: Sequence[Sequence[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts a chat model call."""
        frame = parents.caller()
        sent = next(iter(items(batches)), ())
        suspendable = frame is not None and parents.is_generator(frame)
        self._start_model(
            run_id,
            parent_run_id,
            translate.inference(serialized, metadata, kwargs, text_completion=False),
            lambda: messages.conversation(sent),
            sent,
            kwargs,
            metadata,
            inside=parents.inside_by_frame(frame) if frame is not None else None,
            may_vanish=not suspendable,
        )

    @guarded
    def on_llm_start(
        self,
        serialized: Mapping[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts a text model call."""
        self._start_model(
            run_id,
            parent_run_id,
            translate.inference(serialized, metadata, kwargs, text_completion=True),
            lambda: messages.prompts(prompts),
            prompts,
            kwargs,
            metadata,
        )

    def _start_model(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        operation: Inference,
        conversation: Callable[[], Any],
        sent: Sequence[Any],
        kwargs: Mapping[str, Any],
        metadata: dict[str, Any] | None,
        *,
        inside: Callable[[], bool] | None = None,
        may_vanish: bool = False,
    ) -> None:
        recorder = self._recorder
        run = recorder.start(
            run_id,
            operation,
            parents.named_parent(recorder.runs, parent_run_id),
            inside=inside,
            may_vanish=may_vanish,
            attach=(integer(kwargs.get("batch_size")) or 1) <= 1,
            tags=metadata,
        )
        recorder.refuse(run)
        parameters = mapping(kwargs.get("invocation_params"))
        tools = items(parameters.get("tools")) or parameters.get("functions")
        if recorder.wants_content(run):
            operation.input_messages = conversation()
            operation.tool_definitions = providers.tool_definitions(tools)
        if (prompt := recorder.prompt_of(run)) is not None:
            messages.read_prompt(prompt, sent, tools)

    @guarded
    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes a chunk of a streamed answer."""
        if translate.is_end_mark(token, kwargs.get("chunk")):
            return
        run = self._recorder.runs.get(run_id)
        if run is not None:
            self._recorder.chunk(run)

    @guarded
    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes the first content of a model that streams protocol events.

        Only the first: most integrations also tell each chunk as a token, and one must not count twice.
        """
        run = self._recorder.runs.get(run_id)
        if run is not None and run.first_chunk is None and translate.is_content(event):
            self._recorder.chunk(run)

    @guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a model call."""
        run = self._ending(run_id)
        if run is not None:
            self._complete_model(run, response)
            self._recorder.finish(run)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a model call, with what had come back until then."""
        run = self._ending(run_id)
        if run is not None:
            self._complete_model(run, kwargs.get("response"), cut=True)
            self._fail(run_id, error)

    def _complete_model(self, run: Run, response: Any, *, cut: bool = False) -> None:
        if isinstance(run.operation, Inference):
            translate.finish_inference(
                run.operation, response, with_content=self._recorder.wants_content(run), cut=cut
            )
            if run.prompt is not None and run.prompt.found is not None:
                run.prompt.answer = messages.answer_text(translate.choices_of(response)) or ""

    # --- tools and retrievers ----------------------------------------------------------------------------------

    @guarded
    def on_tool_start(
        self,
        serialized: Mapping[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts a tool."""
        recorder = self._recorder
        runs = recorder.runs
        parent = parents.named_parent(runs, parent_run_id)
        operation = translate.tool(
            serialized, kwargs.get("name"), kwargs.get("tool_call_id"), mapping(metadata)
        )
        operation.agent_name = _agent_above(parent)
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=parents.inside_by_config(runs, run_id),
            may_vanish=True,
            tags=metadata,
        )
        if recorder.wants_content(run):
            operation.arguments = inputs if inputs is not None else input_str

    @guarded
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a tool, or fails it if its message says so."""
        run = self._ending(run_id)
        if run is None or not isinstance(run.operation, ToolExecution):
            return
        failure = translate.finish_tool(run.operation, output, with_content=self._recorder.wants_content(run))
        if failure is not None:
            self._recorder.fail(run, failure)
        else:
            self._recorder.finish(run)

    @guarded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a tool."""
        self._fail(run_id, error)

    @guarded
    def on_retriever_start(
        self,
        serialized: Mapping[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts a retrieval."""
        recorder = self._recorder
        frame = parents.caller()
        operation = retrieval.retrieval(mapping(metadata), parents.component(frame))
        run = recorder.start(
            run_id,
            operation,
            parents.named_parent(recorder.runs, parent_run_id),
            inside=parents.inside_by_frame(frame) if frame is not None else None,
            may_vanish=True,
            tags=metadata,
        )
        if recorder.wants_content(run):
            operation.query = query

    @guarded
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a retrieval."""
        run = self._ending(run_id)
        if run is not None and isinstance(run.operation, Retrieval):
            above = run.parent.operation if run.parent is not None else None
            retrieval.finish_retrieval(run.operation, documents, above)
            self._recorder.finish(run)

    @guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a retrieval."""
        self._fail(run_id, error)

    # --- what happens within a run -----------------------------------------------------------------------------

    @guarded
    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes that a model call is tried again."""
        run = self._recorder.runs.get(run_id)
        if run is not None:
            attempt = integer(mapping_or_fields(retry_state).get("attempt_number"))
            run.span.add_event(semconv.EVENT_RETRY, {} if attempt is None else {"attempt": attempt})

    @guarded
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Adds the application's own event to the run that sent it, by its name unless that is a sentence."""
        run = self._recorder.runs.get(run_id)
        if run is not None:
            known = word(name) or ""
            run.span.add_event(redact_name(known) if _NAME.fullmatch(known) else semconv.EVENT_CUSTOM)

    def _ending(self, run_id: UUID) -> Run | None:
        """The run with this id, to be ended; None if it is unknown, or a hidden one, which this ends."""
        run = self._recorder.runs.get(run_id)
        if run is None or run.key == run_id:
            return run
        run.end_hidden(run_id)
        return None

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        run = self._ending(run_id)
        if run is None:
            return
        signal = graphs.control_flow(error)
        if signal is None:
            self._recorder.fail(run, error)
        elif signal == "GraphInterrupt":
            self._recorder.interrupt(run)
        else:
            self._recorder.finish(run)


def _agent_above(run: Run | None) -> str | None:
    while run is not None:
        if isinstance(run.operation, AgentInvocation):
            return run.operation.name
        run = run.parent
    return None
