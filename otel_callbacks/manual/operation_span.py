"""Manual operations: each starts a run, takes details from the application, and ends the run."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as context_api

from otel_callbacks.manual import messages, results
from otel_callbacks.manual.current_recorder import current_recorder
from otel_callbacks.operations import (
    TOKEN_COUNTS,
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    Step,
    Workflow,
)
from otel_callbacks.rag.prompt import read_messages
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import enclosing_run, suppressed
from otel_callbacks.runtime.faults import guarded


def is_skipped(kind: type[Operation]) -> bool:
    """Tells whether an operation of this kind is not recorded here. Called before any other work is done for it.

    That is the case where tracing is suppressed, and below a dropped span unless something is counted there.
    """
    context = context_api.get_current()
    if suppressed(context):
        return True
    around = enclosing_run(context)
    recorder = _recorder(around)
    if kind is Step and recorder.detail == "operations":
        return True
    return recorder.drops_span(context, around) and not recorder.counts_elsewhere(around)


def _recorder(around: Run | None) -> Recorder:
    return current_recorder() if around is None else around.recorder


class OperationSpan:
    """An operation that lasts as long as the `with` block (or `async with`) it is used in.

    The methods add details, which go on the span when the block ends. They do nothing if there is no span, for example
    where tracing is suppressed. If the handler enforces budgets, an inference whose budget is spent raises
    `BudgetExceeded` instead of starting.
    """

    def __init__(self, kind: type[Operation], fields: Mapping[str, Any]) -> None:
        self._kind = kind
        self._fields = fields
        self._run: Run | None = None

    def __enter__(self) -> Self:
        if self._run is not None:
            raise RuntimeError("this operation has already started; make a new one for every `with`")
        if not is_skipped(self._kind):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if self._run is not None:
            self._end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, stack)

    # --- details added in between --------------------------------------------------------------------------------

    def documents(self, found: Sequence[Any]) -> None:
        """Sets the documents that a retrieval found or a reranker kept, the best first.

        Args:
            found: texts, mappings, (document, score) pairs, or objects of LangChain, LlamaIndex or a vector store. Id,
                score, text and metadata are read from them; a missing score stays missing.

        Raises:
            TypeError: `found` is not a sequence, or the operation is neither a retrieval nor a rerank.
        """
        self._only("documents", Retrieval, Rerank)
        self._put("documents", results.read_documents, results.check_sequence("documents", found))

    def candidates(self, given: Sequence[Any]) -> None:
        """Sets the documents that a reranker was given, in the forms that `documents` takes.

        Raises:
            TypeError: `given` is not a sequence, or the operation is not a rerank.
        """
        self._only("candidates", Rerank)
        self._put("candidates", results.read_documents, results.check_sequence("candidates", given))

    def model(self, name: str) -> None:
        """Sets the name of the model, if it was not known at the start.

        Raises:
            TypeError: `name` is not a string, or the operation does not call a model.
        """
        self._only("model", Inference, Embedding, Rerank)
        if not isinstance(name, str):
            raise TypeError(f"model() takes the name of a model, not {type(name).__name__}: {name!r:.100}")
        self._rename(name)

    def usage(self, reported: Any = None, /, **counts: int) -> None:
        """Sets the tokens of a model call, as its provider counts them.

        Args:
            reported: the provider's usage report, or its whole response. A response also has the model that answered,
                the response id and the finish reason.
            counts: `input_tokens` (cached ones included), `output_tokens` (reasoning included),
                `cache_read_input_tokens`, `cache_write_input_tokens`, `reasoning_output_tokens`,
                `audio_input_tokens`, `audio_output_tokens`.

        Raises:
            TypeError: a count has an unknown name or is not an integer, `reported` is a string or number, or the
                operation is neither an inference nor an embedding.
        """
        self._only("usage", Inference, Embedding)
        for name, count in counts.items():
            if name not in TOKEN_COUNTS or not isinstance(count, int):
                raise TypeError(f"usage({name}={count!r:.100}): takes integers, as {', '.join(TOKEN_COUNTS)}")
        if isinstance(reported, str | bytes | int | float):
            raise TypeError(f"usage() takes a provider's report or response, not {reported!r:.100}")
        self._count(reported, counts)

    def messages(self, *, input: Any = None, output: Any = None) -> None:
        """Sets the messages that went in and came out; recorded only if the content policy allows it.

        Args:
            input: a text, or messages as the providers' dictionaries or the frameworks' objects.
            output: the same.

        Raises:
            TypeError: the operation is not an inference, agent or workflow.
        """
        self._only("messages", Inference, AgentInvocation, Workflow)
        if self._wants_messages():
            if input is not None:
                self._put("input_messages", messages.input_messages, input)
            if output is not None:
                self._put("output_messages", lambda value: messages.output_messages(value, None), output)

    @guarded
    def result(self, value: Any) -> None:
        """Sets the result, which is read like the result of a decorated function.

        A retrieval or rerank takes a list of documents, an embedding takes vectors (their number and length are
        recorded), an inference takes a provider's response, and a tool anything (its size is recorded). Text is
        recorded only if the content policy allows it.
        """
        operation = self._operation()
        counts = isinstance(operation, Inference | Embedding)  # its tokens are counted even without a span
        if operation is not None and (counts or self._is_recorded()):
            results.read_result(operation, value, with_content=self._wants_messages())

    # --- start and end -------------------------------------------------------------------------------------------

    @guarded
    def _start(self) -> None:
        around = enclosing_run(context_api.get_current())
        recorder = _recorder(around)
        operation = self._kind(**self._start_fields())
        run = recorder.start(object(), operation, around)
        if isinstance(operation, Inference):
            recorder.refuse_over_budget(run)
            recorder.start_prompt(run)
        self._run = run

    def _start_fields(self) -> Mapping[str, Any]:
        """Returns the fields of the operation that are known at the start."""
        return self._fields

    @guarded
    def _end(self, error: BaseException | None) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._read_prompt(run)
        if error is None:
            run.recorder.finish(run)
        else:
            run.recorder.fail(run, error)

    @guarded  # an unreadable prompt must not cost the call its span
    def _read_prompt(self, run: Run) -> None:
        if run.prompt is not None and isinstance(run.operation, Inference):
            read_messages(run.prompt, run.operation.input_messages, run.operation.output_messages)

    def _wants_messages(self) -> bool:
        """Tells whether messages are needed: to record content, or to find documents in the prompt."""
        run = self._run
        return run is not None and (run.recorder.wants_content(run) or run.prompt is not None)

    def _operation(self) -> Operation | None:
        """Returns the operation while its run is open."""
        return self._run.operation if self._run is not None and self._run.open else None

    def _is_recorded(self) -> bool:
        """Tells whether a span records the result, its own or one above; documents are counted even without one."""
        run = self._run
        if run is None or not run.open:
            return False
        counts = isinstance(run.operation, Retrieval | Rerank) and run.recorder.counts_elsewhere(run)
        return counts or run.is_recorded()

    def _only(self, method: str, *kinds: type[Operation]) -> None:
        if not issubclass(self._kind, kinds):
            allowed = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{method}() is for {allowed}, not for {self._kind.__name__}")

    @guarded
    def _put(self, field: str, read: Callable[[Any], Any], value: Any) -> None:
        if self._is_recorded():
            setattr(self._operation(), field, read(value))

    @guarded
    def _rename(self, name: str) -> None:
        if self._run is not None and self._run.open:
            self._run.operation.name = name
            self._run.recorder.rename(self._run)

    @guarded
    def _count(self, reported: Any, counts: Mapping[str, int]) -> None:
        operation = self._operation()
        if not isinstance(operation, Inference | Embedding):
            return
        if reported is not None:
            self.result(reported)
            if isinstance(operation, Embedding):
                operation.usage = results.read_embedding_usage(reported, operation.usage)
        if counts:
            operation.usage = results.merge_usage(operation.usage, counts)
