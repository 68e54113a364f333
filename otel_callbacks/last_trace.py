"""What a handler, of whichever framework, can show of the calls that it has traced."""

from typing import TYPE_CHECKING

from otel_callbacks.recording.recorder import Recorder

if TYPE_CHECKING:
    from otel_callbacks.explore.trace import Trace


class HasLastTrace:
    """A handler that gives its last trace back."""

    _recorder: Recorder

    @property
    def last_trace(self) -> "Trace":
        """The trace of the outermost call that ended last, of those that this handler traced.

        It is looked for where `otel_callbacks.traces` looks: after `configure(local=True)` in memory.

        Raises:
            LookupError: no call of this handler has ended yet, or its trace is not kept here.
        """
        from otel_callbacks.explore.collection import traces  # whoever only traces does without it

        trace_id = self._recorder.last_trace_id
        if trace_id is None:
            raise LookupError("this handler has traced no call to its end yet")
        try:
            return traces.get(trace_id)
        except LookupError:  # exported elsewhere, not yet written, or no longer among those that are kept
            raise LookupError(
                f"trace {trace_id} is not kept here; configure(local=True) keeps those of this process"
            ) from None
