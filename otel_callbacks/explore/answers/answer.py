"""The answer for one workflow, before it is said."""

from collections.abc import Sequence
from dataclasses import dataclass

from otel_callbacks.explore.causes.expensive import Expensive
from otel_callbacks.explore.causes.failing import Failing
from otel_callbacks.explore.causes.misses import Misses
from otel_callbacks.explore.causes.slow import Slow
from otel_callbacks.explore.evidence.runs import Run


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of the runs of one workflow; a question is None if it does not arise, as without a failed run.

    With `before`, `runs` are compared with those; else the tail of `runs` with the usual ones. `refused` says why
    nothing can be compared.
    """

    workflow: str
    runs: Sequence[Run]
    before: Sequence[Run] | None = None
    refused: str | None = None
    slow: Slow | None = None
    expensive: Expensive | None = None
    failing: Failing | None = None
    failing_before: Failing | None = None
    misses: Misses | None = None

    @property
    def conversations(self) -> int:
        """How many conversations the runs belong to; a run without one counts as its own."""
        return len({run.conversation for run in self.runs})
