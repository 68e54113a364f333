"""The trace files at some paths, as an index that keeps up with them."""

import logging
import sqlite3
import threading
from pathlib import Path

from otel_callbacks.explore.files import trace_files
from otel_callbacks.explore.index import Index

_logger = logging.getLogger(__name__)


class TraceFiles:
    """The files that `paths` stand for, read as they are asked for and grow.

    The index of one file or folder stays beside the file or in the folder, so that it is built once; of
    several, and where nothing can be written, it is in memory.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._index: Index | None = None

    def index(self) -> Index:
        """Everything that is in the files by now.

        Raises:
            FileNotFoundError: A path does not exist.
            ValueError: A file holds something else than traces.
        """
        files = trace_files(self._paths)
        with self._lock:
            try:
                self._index = self._index or Index(self._beside())
                self._index.sync(files)
            except (PermissionError, sqlite3.Error) as error:  # sqlite3's: read-only, full, or damaged
                _logger.warning("%s cannot be used, indexing in memory: %s", self._beside(), error)
                self._index = Index()
                self._index.sync(files)
            return self._index

    def _beside(self) -> Path | None:
        if len(self._paths) != 1:
            return None
        [path] = self._paths
        return path / "index.sqlite" if path.is_dir() else path.with_name(f"{path.name}.sqlite")
