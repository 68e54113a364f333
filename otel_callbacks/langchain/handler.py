"""The LangChain callback handler: one method per callback, which starts, updates or ends a run.

The methods are synchronous and run inline. LangChain calls any other handler in other threads and tasks, which cannot
reach the context of the body. So nothing here may block.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import time_ns
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from otel_callbacks import semconv
from otel_callbacks.handlers.shared import SharedByHandlers
from otel_callbacks.langchain import (
    bodies,
    framework_chains,
    inference,
    langgraph,
    messages,
    retrieval,
    tools,
    workflows,
)
from otel_callbacks.langchain.conversation import conversation_id, lend_to_parent, may_lend
from otel_callbacks.langchain.custom_events import event_name
from otel_callbacks.langchain.event_streams import InEventStream, when_collected
from otel_callbacks.langchain.functions import calling_frame
from otel_callbacks.langchain.inline import should_run_inline
from otel_callbacks.langchain.parent_run import body_key, component_of, find_parent, key_of
from otel_callbacks.langchain.prompt_templates import keep_template, use_template
from otel_callbacks.langchain.streamed_answer import keep_chunk, reports_of
from otel_callbacks.limits import CHUNK_GAPS
from otel_callbacks.operations import Operation, Retrieval, ToolExecution
from otel_callbacks.operations.payload import integer, items, mapping, mapping_or_fields, word
from otel_callbacks.operations.providers import tool_definitions
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import faults, guarded


class OTelCallbackHandler(SharedByHandlers, BaseCallbackHandler):
    """Traces LangChain and LangGraph with OpenTelemetry.

    Pass it in `config={"callbacks": [OTelCallbackHandler()]}` or to a constructor, or call `instrument()` for the
    whole process. Any combination gives one span per run.

    All arguments are optional; `__init__` says what they mean.
    """

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        """Tells LangChain to call this handler in the task and context of the caller."""
        return should_run_inline(OTelCallbackHandler)

    @property
    def raise_error(self) -> bool:  # type: ignore[override]
        """Tells LangChain to pass on exceptions: in tests, and to refuse a model call whose budget is spent."""
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
        name: Any = None,
        run_type: Any = None,
        **kwargs: Any,
    ) -> None:
        """Starts or hides a chain run."""
        recorder, runs = self._recorder, self._recorder.runs
        key, above = getattr(run_id, "int", run_id), getattr(parent_run_id, "int", parent_run_id)
        named = runs.get(above)
        if key in runs:
            return
        if named and named.uncounted is not False and recorder.passes_over(key, named, above, metadata):
            return
        known, name, run_type = mapping(metadata), word(name), word(run_type)
        parent, body = find_parent(runs, above, named, around := body_key())
        if run_type == "prompt" and parent is not None:
            keep_template(parent, above, name, known, inputs)
        is_node, shows_all = langgraph.is_node(known, tags), recorder.detail == "everything"
        is_unnamed = not is_node and workflows.is_unnamed(name, run_type)
        if is_unnamed and parent is not None and not shows_all:
            recorder.hide(key, parent, body, known, partial(bodies.inside_chain, runs, key))
            return
        frame, function = calling_frame()
        graph = component_of(frame) if function.is_graphs and not is_node else None
        if graph is None and not shows_all:
            plumbing = workflows.is_plumbing(name, run_type, is_node)
            if not is_node and not plumbing and framework_chains.is_frameworks_own(name, known, frame):
                plumbing, name = True, None
            if parent is not None and (plumbing or recorder.detail == "operations"):
                recorder.hide(key, parent, body, known, partial(bodies.inside_chain, runs, key))
                return
            if parent is None and run_type is not None:
                return  # a prompt or parser on its own
        operation = workflows.start_chain(name, run_type, known, graph, parent, is_node=is_node)
        inside = bodies.inside_chain(runs, key, frame) if function.is_generator else None
        options = {"inside": inside, "begun": bodies.body_begun(around), "body": body}
        resumes = graph is not None and langgraph.is_resumed(inputs)
        if (is_node or is_unnamed) and parent is not None and not may_lend(parent):
            frame = None  # what it is part of tells its conversation
        run = self._start(key, operation, parent, known, frame, resumes=resumes, **options)
        if recorder.wants_content(run):
            workflows.read_inputs(operation, graph, inputs)

    @guarded
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a chain run."""
        run = self._run_to_end(run_id)
        if run is None:
            return
        if self._recorder.wants_content(run):
            workflows.finish_chain(run.operation, kwargs.get("inputs"), outputs)
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
        recorder = self._recorder
        key, above = getattr(run_id, "int", run_id), getattr(parent_run_id, "int", parent_run_id)
        named = recorder.runs.get(above)
        if named and named.uncounted is not False and recorder.passes_over(key, named, above, metadata):
            return
        sent, (frame, function) = next(iter(items(batches)), ()), calling_frame()
        inside = bodies.inside_of(key, frame, function)
        whole: dict[str, Any] = {"inside": inside, "begun": bodies.never if inside is None else None}
        self._start_model(key, above, named, serialized, sent, metadata, kwargs, frame, **whole)
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
        recorder = self._recorder
        key, above = getattr(run_id, "int", run_id), getattr(parent_run_id, "int", parent_run_id)
        named = recorder.runs.get(above)
        if named and named.uncounted is not False and recorder.passes_over(key, named, above, metadata):
            return
        frame, _ = calling_frame()
        self._start_model(key, above, named, serialized, prompts, metadata, kwargs, frame, completion=True)

    def _start_model(
        self,
        key: Any,
        above: Any,
        named: Run | None,
        serialized: Mapping[str, Any] | None,
        sent: Sequence[Any],
        metadata: dict[str, Any] | None,
        kwargs: Mapping[str, Any],
        frame: FrameType | None,
        *,
        completion: bool = False,
        inside: Callable[[], bool] | None = None,
        begun: Callable[[], bool] | None = None,
    ) -> None:
        recorder, known = self._recorder, mapping(metadata)
        model = component_of(frame)
        operation = inference.start_inference(serialized, model, known, sent, kwargs, completion=completion)
        parent, body = find_parent(recorder.runs, above, named, body_key())
        attach = (integer(kwargs.get("batch_size")) or 1) <= 1
        options = {"inside": inside, "begun": begun, "attach": attach, "body": body}
        run = self._start(key, operation, parent, known, frame, **options)
        use_template(run, above)
        recorder.refuse_over_budget(run)
        parameters = mapping(kwargs.get("invocation_params"))
        tools = items(parameters.get("tools")) or parameters.get("functions")
        inference.find_summaries(run, sent)
        if run is not None and recorder.wants_content(run):
            operation.input_messages = (
                messages.prompts(sent) if completion else messages.conversation(sent, run)
            )
            operation.tool_definitions = tool_definitions(tools)
        if recorder.estimates_usage:
            inference.estimate_prompt(operation, sent)
        if (prompt := recorder.start_prompt(run)) is not None:
            inference.read_prompt(prompt, sent, tools)

    @guarded
    def on_llm_new_token(self, token: Any, *, run_id: UUID, chunk: Any = None, **kwargs: Any) -> None:
        """Notes a chunk of a streamed answer."""
        run = self._recorder.runs.get(key := getattr(run_id, "int", run_id))
        if run is None or run.key != key or run.recorder is not self._recorder:
            return  # perhaps another handler of ours sees the same stream
        times: Any = run.chunk_times  # there are some once a chunk may be plain
        try:  # nearly every chunk is plain: only its time is noted, with no call in between
            is_plain = reports_of(chunk) == run.plain_reports
        except Exception:  # a chunk of other fields, or with values of the application's own
            is_plain = False
        if is_plain and len(times) <= CHUNK_GAPS:
            times.append(time_ns())
        elif not inference.is_end_mark(token, chunk):
            run.add_chunk(time_ns())
            inference.add_chunk(run.operation, chunk)
            keep_chunk(run, chunk, inference.complete_run)

    @guarded
    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Notes the first content of a model that streams protocol events. Tokens report the later chunks."""
        run = self._recorder.runs.get(key := key_of(run_id))
        if run is None or run.key != key:
            return
        if isinstance(run.inside, InEventStream):
            run.inside.note_event()
        if run.first_chunk is None and inference.is_content(event):
            self._recorder.chunk(run)

    @guarded
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Finishes a model call."""
        run = self._run_to_end(run_id)
        if run is not None:
            inference.complete_run(run, response)
            self._recorder.finish(run)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Fails a model call, and records the answer as far as it came."""
        run = self._run_to_end(run_id)
        if run is not None:
            inference.complete_run(run, kwargs.get("response"), cut=True)
            self._fail(run_id, error)

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
        recorder, runs = self._recorder, self._recorder.runs
        key, above = getattr(run_id, "int", run_id), getattr(parent_run_id, "int", parent_run_id)
        named = runs.get(above)
        if named and named.uncounted is not False and recorder.passes_over(key, named, above, metadata):
            return
        frame, function = calling_frame()
        parent, body = find_parent(runs, above, named, body_key())
        operation = tools.start_tool(serialized, kwargs.get("name"), kwargs.get("tool_call_id"))
        known, inside = mapping(metadata), bodies.inside_of(key, frame, function)
        run = self._start(key, operation, parent, known, frame, inside=inside, body=body)
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
        recorder, runs = self._recorder, self._recorder.runs
        key, above = getattr(run_id, "int", run_id), getattr(parent_run_id, "int", parent_run_id)
        named = runs.get(above)
        if named and named.uncounted is not False and recorder.passes_over(key, named, above, metadata):
            return
        frame, function = calling_frame()
        known, inside = mapping(metadata), bodies.inside_of(key, frame, function)
        operation = retrieval.start_retrieval(known, component_of(frame))
        parent, body = find_parent(runs, above, named, body_key())
        run = self._start(key, operation, parent, known, frame, inside=inside, body=body)
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
        run = self._recorder.runs.get(key_of(run_id))
        if run is not None:
            attempt = integer(mapping_or_fields(retry_state).get("attempt_number"))
            run.span.add_event(semconv.EVENT_RETRY, {} if attempt is None else {"attempt": attempt})

    @guarded
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Adds the application's custom event to its run, under its own name unless that is a sentence."""
        run = self._recorder.runs.get(key_of(run_id))
        if run is not None:
            run.span.add_event(event_name(name) or semconv.EVENT_CUSTOM)

    def _start(
        self,
        key: Any,
        operation: Operation,
        parent: Run | None,
        metadata: Mapping[str, Any],
        frame: FrameType | None,
        **options: Any,
    ) -> Run | None:
        """Starts a run in its conversation; `options` are those of `Recorder.start`."""
        operation.conversation_id = conversation_id(metadata, frame)
        run = self._recorder.start(key, operation, parent, metadata=metadata, **options)
        if run is not None and operation.conversation_id is not None:
            lend_to_parent(run, self._recorder)
        return run

    def _run_to_end(self, run_id: UUID) -> Run | None:
        """Returns the run with this id. Returns None if it is unknown, or hidden; a hidden run ends here."""
        key: Any = getattr(run_id, "int", run_id)
        run = self._recorder.runs.get(key)
        if run is None or run.key == key:
            return run
        run.end_hidden_run(key)
        return None

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        found = self._recorder.runs.get(key_of(run_id))
        run = self._run_to_end(run_id)
        if run is not None:
            langgraph.fail(self._recorder, run, error)
        elif found is not None and langgraph.waits(error):
            found.interrupted = True  # a hidden run below it waits for somebody
