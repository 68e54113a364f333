"""An operation by hand: where it starts and ends, and what is learnt about it in between."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as context_api

from otel_callbacks.manual import messages, results
from otel_callbacks.manual.recorder import current_recorder
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    Step,
    Usage,
    Workflow,
)
from otel_callbacks.rag.prompt_sources import read_messages
from otel_callbacks.recording.inheritance import inherit
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import Run, enclosing_run, suppressed
from otel_callbacks.runtime.faults import guarded


def passed_over(kind: type[Operation]) -> bool:
    """Whether an operation of this kind is not recorded here, told before anything is made of it.

    So it is where tracing is suppressed; and below a dropped span, unless what happens there is counted. A step counts
    for nothing but its span.
    """
    context = context_api.get_current()
    if suppressed(context):
        return True
    around = enclosing_run(context)
    recorder = _recorder(around)
    if kind is Step:
        return recorder.detail == "operations" or recorder.drops(context, around)
    return recorder.drops(context, around) and not recorder.counts_within(around)


def _recorder(around: Run | None) -> Recorder:
    return current_recorder() if around is None else around.recorder


class OperationSpan:
    """An operation that lasts as long as the `with` block (or `async with`) it is used in.

    What the methods are told goes on the span when the block ends. Without a span, because tracing is suppressed
    for one, they do nothing. An inference whose budget is spent raises `BudgetExceeded` instead of beginning, if the
    handler enforces budgets.
    """

    def __init__(self, kind: type[Operation], fields: Mapping[str, Any]) -> None:
        self._kind = kind
        self._fields = fields
        self._run: Run | None = None

    def __enter__(self) -> Self:
        if self._run is not None:
            raise RuntimeError("this operation is going on already; make a new one for every `with`")
        if not passed_over(self._kind):
            self._begin()
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

    # --- what is learnt on the way -----------------------------------------------------------------------------

    def documents(self, found: Sequence[Any]) -> None:
        """What a retrieval found, or a reranker kept: the best first.

        Args:
            found: texts, mappings, pairs of one of these and its score, or the objects of LangChain, LlamaIndex or
                a vector store. Id, score, text and metadata are read where they are; a score is never made up.

        Raises:
            TypeError: it is no sequence, or the operation is neither a retrieval nor a rerank.
        """
        self._only("documents", Retrieval, Rerank)
        self._put("documents", results.documents, results.sequence("documents", found))

    def candidates(self, given: Sequence[Any]) -> None:
        """What a reranker was given, as in `documents`.

        Raises:
            TypeError: it is no sequence, or the operation is no rerank.
        """
        self._only("candidates", Rerank)
        self._put("candidates", results.documents, results.sequence("candidates", given))

    def model(self, name: str) -> None:
        """The model that is called, where it was not known at the start.

        Raises:
            TypeError: it is no string, or the operation calls no model.
        """
        self._only("model", Inference, Embedding, Rerank)
        if not isinstance(name, str):
            raise TypeError(f"model() takes the name of a model, not {type(name).__name__}: {name!r:.100}")
        self._rename(name)

    def usage(self, reported: Any = None, /, **counts: int) -> None:
        """The tokens of a model call, as its provider counts them.

        Args:
            reported: the provider's usage report, or its whole response, which also tells the model that answered,
                its id and why it stopped.
            counts: `input_tokens` (the cached ones included), `output_tokens` (the reasoning included),
                `cache_read_input_tokens`, `cache_write_input_tokens`, `reasoning_output_tokens`,
                `audio_input_tokens`, `audio_output_tokens`.

        Raises:
            TypeError: a count has another name or is no integer, the report is a plain text or number, or the
                operation is neither an inference nor an embedding.
        """
        self._only("usage", Inference, Embedding)
        for name, count in counts.items():
            if name not in Usage.__slots__ or not isinstance(count, int):
                raise TypeError(
                    f"usage({name}={count!r:.100}): takes integers, as {', '.join(Usage.__slots__)}"
                )
        if isinstance(reported, str | bytes | int | float):
            raise TypeError(f"usage() takes a provider's report or response, not {reported!r:.100}")
        self._count(reported, counts)

    def messages(self, *, input: Any = None, output: Any = None) -> None:
        """What was asked and answered, recorded if the content policy says so.

        Args:
            input: a text, or messages: the providers' dictionaries or the frameworks' objects.
            output: as `input`.

        Raises:
            TypeError: the operation is no inference, agent or workflow.
        """
        self._only("messages", Inference, AgentInvocation, Workflow)
        if self._wants_messages():
            if input is not None:
                self._put("input_messages", messages.asked, input)
            if output is not None:
                self._put("output_messages", lambda given: messages.answered(given, None), output)

    @guarded
    def result(self, value: Any) -> None:
        """The result, of which is recorded what it tells by itself, as of one that a decorated function returns.

        That is a list of documents for a retrieval or rerank, vectors for an embedding (only their number and
        length), a provider's response for an inference, the size of what a tool returned; and, if the content
        policy says so, the text.
        """
        operation = self._operation()
        counts = isinstance(operation, Inference | Embedding)  # its tokens do, whether there is a span or not
        if operation is not None and (counts or self._is_told_of()):
            results.result(operation, value, with_content=self._wants_messages())

    # --- beginning and end -------------------------------------------------------------------------------------

    @guarded
    def _begin(self) -> None:
        around = enclosing_run(context_api.get_current())
        recorder = _recorder(around)
        operation = self._kind(**self._given())
        inherit(operation, around)
        run = recorder.start(object(), operation, around)
        if isinstance(operation, Inference):
            recorder.refuse(run)
            recorder.prompt_of(run)
        self._run = run

    def _given(self) -> Mapping[str, Any]:
        """The fields of the operation that are known when it starts."""
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

    @guarded  # what is told of prompts must not cost a call its span
    def _read_prompt(self, run: Run) -> None:
        if run.prompt is not None and isinstance(run.operation, Inference):
            read_messages(run.prompt, run.operation.input_messages, run.operation.output_messages)

    def _wants_messages(self) -> bool:
        """Whether content is recorded, or looked at to tell what reached the prompt."""
        run = self._run
        return run is not None and (run.recorder.wants_content(run) or run.prompt is not None)

    def _operation(self) -> Operation | None:
        """The operation, while it goes on."""
        return self._run.operation if self._run is not None and self._run.open else None

    def _is_told_of(self) -> bool:
        """Whether anybody is told what comes out of it: a span, its own or one above."""
        return self._run is not None and self._run.open and self._run.is_told_of()

    def _only(self, method: str, *kinds: type[Operation]) -> None:
        if not issubclass(self._kind, kinds):
            those = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{method}() is for {those}, not for {self._kind.__name__}")

    @guarded
    def _put(self, field: str, read: Callable[[Any], Any], value: Any) -> None:
        if self._is_told_of():
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
            operation.usage = results.usage(reported, operation.usage)
        if counts:
            operation.usage = results.merge(operation.usage, counts)
