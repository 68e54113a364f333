"""An index of trace files that keeps up with them as they grow."""

import logging
import sqlite3
import threading
from pathlib import Path

from otel_callbacks.explore.files.reading import trace_files
from otel_callbacks.explore.index.database import Index

_logger = logging.getLogger(__name__)


class FileIndex:
    """Opens the index of the trace files at `paths`, which are files or folders.

    The index of one path is a file, beside the trace file or in the folder, so it is built once. For several paths,
    and where no file can be written, it is in memory.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._inode: int | None = None  # of the index file; None in memory

    def index(self) -> Index:
        """Returns the index, up to date with the files.

        Raises:
            FileNotFoundError: A path does not exist.
            ValueError: A file is not a trace file.
        """
        files = trace_files(self._paths)
        with self._lock:
            try:
                if self._index is None or self._is_gone():
                    self._index = Index(self._index_path())
                    self._inode = self._inode_now()
            except (OSError, sqlite3.Error) as error:
                self._index, self._inode = self._in_memory(error), None
            try:
                self._index.sync(files)
            except sqlite3.Error as error:
                self._index, self._inode = self._in_memory(error), None
                self._index.sync(files)
            return self._index

    def _is_gone(self) -> bool:
        """Tells whether the index file was deleted, as `forget` does: it would keep what is to be forgotten."""
        return self._inode is not None and self._inode != self._inode_now()

    def _inode_now(self) -> int | None:
        path = self._index_path()
        return path.stat().st_ino if path is not None and path.exists() else None

    def _in_memory(self, error: Exception) -> Index:
        """Returns an index in memory, to replace one that cannot be read or written."""
        _logger.warning("cannot use the index %s; indexing in memory instead: %s", self._index_path(), error)
        return Index()

    def _index_path(self) -> Path | None:
        if len(self._paths) != 1:
            return None
        [path] = self._paths
        return path / "index.sqlite" if path.is_dir() else path.with_name(f"{path.name}.sqlite")
