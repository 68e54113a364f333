"""The LangChain callback handler: one method per callback, which starts, updates or ends a run.

The methods are synchronous and run inline. LangChain calls any other handler in other threads and tasks, which cannot
reach the context of the body. So nothing here may block.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Unpack
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from otel_callbacks import semconv
from otel_callbacks.langchain import (
    bodies,
    framework_chains,
    inference,
    langgraph,
    messages,
    parent_run,
    retrieval,
    tools,
    workflows,
)
from otel_callbacks.langchain.event_streams import InEventStream, when_collected
from otel_callbacks.langchain.inline import should_run_inline
from otel_callbacks.limits import EVENT_NAME_CHARACTERS
from otel_callbacks.operations import AgentInvocation, Inference, Retrieval, ToolExecution, Workflow
from otel_callbacks.operations.payload import integer, items, mapping, mapping_or_fields, word
from otel_callbacks.operations.providers import tool_definitions
from otel_callbacks.options import Options, recorder
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import faults, guarded
from otel_callbacks.shared_by_handlers import SharedByHandlers

_EVENT_NAME = re.compile(rf"[\w.:/-]{{1,{EVENT_NAME_CHARACTERS}}}")


class OTelCallbackHandler(SharedByHandlers, BaseCallbackHandler):
    """Traces LangChain and LangGraph with OpenTelemetry.

    Pass it in `config={"callbacks": [OTelCallbackHandler()]}` or to a constructor, or call `instrument()` for the
    whole process. Any combination gives one span per run.

    Args:
        options: see `otel_callbacks.options.Options`; all are optional.

    Raises:
        TypeError, ValueError: an argument has the wrong type or value; the message says what is right.
    """

    _make_recorder: ClassVar[Callable[..., Recorder]] = staticmethod(recorder)

    def __init__(self, **options: Unpack[Options]) -> None:
        self._join(recorder(**options))

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        """Tells LangChain to call this handler in the task and context of the caller."""
        return should_run_inline(OTelCallbackHandler)

    @property
    def raise_error(self) -> bool:  # type: ignore[override]
        """Tells LangChain to pass on exceptions of this handler.

        It raises only in tests, and to refuse a model call whose budget is spent.
        """
        return faults.strict or self._recorder.enforces_budgets

    # --- chains, graphs, agents ----------------------------------------------------------------------------------

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
        parent, body = parent_run.find_parent(runs, parent_run_id)
        is_node = langgraph.is_node(known, tags)
        frame = parent_run.calling_frame()
        inside = bodies.inside_chain(runs, run_id, frame)
        graph = None if is_node else langgraph.graph_of(frame)
        if graph is None and recorder.detail != "everything":
            plumbing = workflows.is_plumbing(name, run_type, is_node)
            if not is_node and not plumbing and framework_chains.is_frameworks_own(name, known, frame):
                plumbing, name = True, None
            if parent is not None and (plumbing or recorder.detail == "operations"):
                recorder.hide(run_id, parent, inside, body, known)
                return
            if parent is None and run_type is not None:
                return  # a prompt or parser on its own
        outermost = parent is None and run_type is None
        operation = workflows.start_chain(name, known, graph, is_node=is_node, outermost=outermost)
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=inside,
            begun=bodies.body_begun(),
            resumes=graph is not None and langgraph.is_resumed(inputs),
            body=body,
            metadata=known,
        )
        if recorder.wants_content(run) and isinstance(operation, Workflow | AgentInvocation):
            operation.input_messages = messages.state_messages(inputs, "user")

    @guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a chain run."""
        run = self._run_to_end(run_id)
        if run is None:
            return
        operation = run.operation
        if self._recorder.wants_content(run) and isinstance(operation, Workflow | AgentInvocation):
            operation.input_messages = operation.input_messages or messages.state_messages(
                kwargs.get("inputs"), "user"
            )
            operation.output_messages = messages.result_messages(outputs)
        langgraph.finish(self._recorder, run)

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a chain run, unless LangGraph raised the error as control flow."""
        self._fail(run_id, error)

    # --- models --------------------------------------------------------------------------------------------------

    @guarded
    def on_chat_model_start(  # type: ignore[override]  # LangChain passes `batches` by position
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
        frame = parent_run.calling_frame()
        inside = bodies.inside_of(run_id, frame)
        sent = next(iter(items(batches)), ())
        operation = inference.start_inference(serialized, metadata, kwargs, sent, text_completion=False)
        self._start_model(
            run_id,
            parent_run_id,
            operation,
            sent,
            kwargs,
            metadata,
            inside,
            bodies.never if inside is None else None,
        )
        if frame is not None and isinstance(inside, InEventStream):
            when_collected(frame, partial(self.on_llm_error, GeneratorExit(), run_id=run_id))

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
        operation = inference.start_inference(serialized, metadata, kwargs, prompts, text_completion=True)
        self._start_model(run_id, parent_run_id, operation, prompts, kwargs, metadata)

    def _start_model(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        operation: Inference,
        sent: Sequence[Any],
        kwargs: Mapping[str, Any],
        metadata: dict[str, Any] | None,
        inside: Callable[[], bool] | None = None,
        begun: Callable[[], bool] | None = None,
    ) -> None:
        recorder = self._recorder
        parent, body = parent_run.find_parent(recorder.runs, parent_run_id)
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=inside,
            begun=begun,
            attach=(integer(kwargs.get("batch_size")) or 1) <= 1,
            body=body,
            metadata=mapping(metadata),
        )
        recorder.refuse_over_budget(run)
        parameters = mapping(kwargs.get("invocation_params"))
        tools = items(parameters.get("tools")) or parameters.get("functions")
        if recorder.wants_content(run):
            read = messages.prompts if operation.text_completion else messages.conversation
            operation.input_messages = read(sent)
            operation.tool_definitions = tool_definitions(tools)
        if recorder.estimates_usage:
            inference.estimate_prompt(operation, sent)
        if (prompt := recorder.start_prompt(run)) is not None:
            inference.read_prompt(prompt, sent, tools)

    @guarded
    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes a chunk of a streamed answer."""
        chunk = kwargs.get("chunk")
        if inference.is_end_mark(token, chunk):
            return
        run = self._recorder.runs.get(run_id)
        if run is not None:
            self._recorder.chunk(run)
            inference.add_chunk(run.operation, chunk)

    @guarded
    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes the first content of a model that streams protocol events.

        Later events are ignored: most integrations also report each chunk as a token, which must not count twice.
        """
        run = self._recorder.runs.get(run_id)
        if run is not None and isinstance(run.inside, InEventStream):
            run.inside.note_event()
        if run is not None and run.first_chunk is None and inference.is_content(event):
            self._recorder.chunk(run)

    @guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a model call."""
        run = self._run_to_end(run_id)
        if run is not None:
            self._complete_model(run, response)
            self._recorder.finish(run)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a model call, and records the answer as far as it came."""
        run = self._run_to_end(run_id)
        if run is not None:
            self._complete_model(run, kwargs.get("response"), cut=True)
            self._fail(run_id, error)

    def _complete_model(self, run: Run, response: Any, *, cut: bool = False) -> None:
        with_content = self._recorder.wants_content(run)
        if isinstance(run.operation, Inference):
            with_content, streamed = self._recorder.wants_content(run), run.first_chunk is not None
            inference.finish_inference(
                run.operation, response, with_content=with_content, streamed=streamed, cut=cut
            )
            inference.share_usage(run, run.operation, response)
            if run.prompt is not None and run.prompt.trace_documents is not None:
                run.prompt.answer = inference.answer_text(inference.choices_of(response)) or ""

    # --- tools and retrievers ------------------------------------------------------------------------------------

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
        parent, body = parent_run.find_parent(recorder.runs, parent_run_id)
        operation = tools.start_tool(
            serialized, kwargs.get("name"), kwargs.get("tool_call_id"), mapping(metadata), parent
        )
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=bodies.inside_of(run_id, parent_run.calling_frame()),
            body=body,
            metadata=mapping(metadata),
        )
        if recorder.wants_content(run):
            operation.arguments = inputs if inputs is not None else input_str

    @guarded
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a tool, or fails it if it returned a message with an error status."""
        run = self._run_to_end(run_id)
        if run is None or not isinstance(run.operation, ToolExecution):
            return
        failure = tools.finish_tool(run.operation, output, with_content=self._recorder.wants_content(run))
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
        frame = parent_run.calling_frame()
        operation = retrieval.start_retrieval(mapping(metadata), parent_run.component_of(frame))
        parent, body = parent_run.find_parent(recorder.runs, parent_run_id)
        run = recorder.start(
            run_id,
            operation,
            parent,
            inside=bodies.inside_of(run_id, frame),
            body=body,
            metadata=mapping(metadata),
        )
        if recorder.wants_content(run):
            operation.query = query

    @guarded
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a retrieval."""
        run = self._run_to_end(run_id)
        if run is not None and isinstance(run.operation, Retrieval):
            above = run.parent.operation if run.parent is not None else None
            retrieval.finish_retrieval(run.operation, documents, above)
            self._recorder.finish(run)

    @guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a retrieval."""
        self._fail(run_id, error)

    # --- events within a run -------------------------------------------------------------------------------------

    @guarded
    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Adds an event for a retry of a model call."""
        run = self._recorder.runs.get(run_id)
        if run is not None:
            attempt = integer(mapping_or_fields(retry_state).get("attempt_number"))
            run.span.add_event(semconv.EVENT_RETRY, {} if attempt is None else {"attempt": attempt})

    @guarded
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Adds the application's custom event to its run, under its own name unless that is a sentence."""
        run = self._recorder.runs.get(run_id)
        if run is not None:
            given = word(name) or ""
            run.span.add_event(redact_name(given) if _EVENT_NAME.fullmatch(given) else semconv.EVENT_CUSTOM)

    def _run_to_end(self, run_id: UUID) -> Run | None:
        """Returns the run with this id. Returns None if it is unknown, or hidden; a hidden run ends here."""
        run = self._recorder.runs.get(run_id)
        if run is None or run.key == run_id:
            return run
        run.end_hidden_run(run_id)
        return None

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        run = self._run_to_end(run_id)
        if run is not None:
            langgraph.fail(self._recorder, run, error)
