"""A worker for RQ: `rq worker --worker-class otel_callbacks.export.rq_worker.FlushingWorker`.

RQ runs each job in a process that leaves by `os._exit`, and has no hook for its end but the class of the worker.
"""

from importlib import import_module
from typing import Any

from otel_callbacks.export.process_end import finish_process, flush_process
from otel_callbacks.runtime.faults import guarded

_Worker: Any = import_module("rq").Worker  # not needed by those who do not use RQ


class FlushingWorker(_Worker):  # type: ignore[misc]
    """Sends the telemetry of a job before its process leaves."""

    def perform_job(self, *arguments: Any, **keywords: Any) -> bool:
        """Performs a job as RQ does, then sends what waits."""
        try:
            return bool(super().perform_job(*arguments, **keywords))
        finally:
            guarded(finish_process if self.is_horse else flush_process)()
