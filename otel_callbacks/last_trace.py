"""`handler.last_trace`, for the handlers of both frameworks."""

from typing import TYPE_CHECKING

from otel_callbacks.recording.recorder import Recorder

if TYPE_CHECKING:
    from otel_callbacks.explore.trace import Trace


class HasLastTrace:
    """A handler that returns its last trace."""

    _recorder: Recorder

    @property
    def last_trace(self) -> "Trace":
        """The trace of the outermost call that this handler traced and that ended last.

        It comes from `otel_callbacks.traces`, which keeps traces in memory after `configure(local=True)`.

        Raises:
            LookupError: no call of this handler has ended yet, or its trace is not kept in this process.
        """
        from otel_callbacks.explore.collection import traces  # not needed only to trace

        trace_id = self._recorder.last_trace_id
        if trace_id is None:
            raise LookupError("no call of this handler has ended yet")
        try:
            return traces.get(trace_id)
        except LookupError:  # exported elsewhere, not written yet, or dropped for newer ones
            raise LookupError(
                f"trace {trace_id} is not kept in this process; call configure(local=True) to keep traces"
            ) from None
