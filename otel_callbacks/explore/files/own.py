"""The trace files that this process writes: what still waits for them is written before they are read."""

from collections.abc import Callable
from pathlib import Path

from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.limits import OWN_FILE_SECONDS
from otel_callbacks.runtime.faults import guarded

_flushes: dict[Path, Callable[[float], object]] = {}


def writes_to(path: Path, flush: Callable[[float], object]) -> None:
    """Notes that this process writes to a file or folder; `flush` writes what waits, within a number of seconds."""
    _flushes[path] = flush


def own_places() -> list[Path]:
    """Returns the local folder and what else this process writes to, as far as they exist, with all that waited."""
    for flush in list(_flushes.values()):
        guarded(flush)(OWN_FILE_SECONDS)
    places = [LOCAL_FOLDER, *(path for path in _flushes if path.parent != LOCAL_FOLDER)]
    return [path for path in dict.fromkeys(map(Path.absolute, places)) if path.is_dir() or path.is_file()]
