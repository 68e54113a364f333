"""The trace files at some paths, as an index that keeps up with them."""

import logging
import sqlite3
import threading
from pathlib import Path

from otel_callbacks.explore.files.reading import trace_files
from otel_callbacks.explore.index.database import Index

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
            except (OSError, sqlite3.Error) as error:
                self._index = self._in_memory(error)
            try:
                self._index.sync(files)
            except sqlite3.Error as error:
                self._index = self._in_memory(error)
                self._index.sync(files)
            return self._index

    def _in_memory(self, error: Exception) -> Index:
        """The index there is instead of one that cannot be read or written, as on a full disk."""
        _logger.warning("%s cannot be used, indexing in memory: %s", self._beside(), error)
        return Index()

    def _beside(self) -> Path | None:
        if len(self._paths) != 1:
            return None
        [path] = self._paths
        return path / "index.sqlite" if path.is_dir() else path.with_name(f"{path.name}.sqlite")
