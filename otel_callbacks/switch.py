"""Switches the process-wide handlers off, whichever frameworks have one."""

import sys

from otel_callbacks.runtime.faults import guarded

_ROOMS = ("otel_callbacks.langchain", "otel_callbacks.llama_index")


def uninstrument() -> None:
    """Switches the process-wide handler off in every framework, and restores what was changed; it never raises.

    Open runs end as usual.
    """
    for room in _ROOMS:
        if (loaded := sys.modules.get(room)) is not None:  # else it has no handler
            guarded(loaded.uninstrument)()
