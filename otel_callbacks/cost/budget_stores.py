"""Where a budget's sum is kept for several processes: an SQLite file for one machine, Redis for more.

A store keeps one short JSON text per budget and period, and changes it atomically. What stands in it, and how it may
change, is in `settlements.py`; so both stores follow the same rules.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from typing import Any, Protocol, TypeVar

from otel_callbacks.limits import BUDGET_SUMS_KEPT_SECONDS
from otel_callbacks.privacy.redactor import redact_name

_TIMEOUT_SECONDS = 5.0

_Result = TypeVar("_Result")

State = dict[str, Any]
"""What a store keeps of a budget in one period; empty at first."""


class Store(Protocol):
    """Keeps the state of budgets for all processes."""

    def update(self, key: str, change: Callable[[State, float], _Result]) -> _Result:
        """Changes a state atomically, and returns what `change` returns.

        Args:
            key: of the budget and period.
            change: changes the state in place; it also gets the time in seconds since 1970, the same for all processes.
                It may be called again if another process was faster.

        Raises:
            Exception: the store cannot be reached.
        """


class SqliteStore:
    """Keeps budgets in an SQLite file, for the processes of one machine.

    Every update opens the file, so that no connection is inherited by a forked process.

    Raises:
        OSError: the file cannot be opened or is not an SQLite file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            os.close(
                os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            )  # who spent how much is for the owner alone
            with closing(self._connect()) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS budgets (key TEXT PRIMARY KEY, state TEXT, changed REAL)"
                )
                connection.execute(
                    "DELETE FROM budgets WHERE changed < ?", (time.time() - BUDGET_SUMS_KEPT_SECONDS,)
                )
        except (sqlite3.Error, OSError) as error:
            raise OSError(f"store={path!r} cannot be used as a budget's SQLite file: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_TIMEOUT_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:  # the file is no database
            connection.close()
            raise
        return connection

    def update(self, key: str, change: Callable[[State, float], _Result]) -> _Result:
        """See `Store`."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT state FROM budgets WHERE key = ?", (key,)).fetchone()
            state, now = json.loads(row[0]) if row else {}, time.time()
            result = change(state, now)
            connection.execute(
                "INSERT OR REPLACE INTO budgets VALUES (?, ?, ?)", (key, json.dumps(state), now)
            )
            connection.execute("COMMIT")
        return result


class RedisStore:
    """Keeps budgets in Redis, for the processes of several machines.

    Raises:
        ImportError: the package redis is not installed (the extra `redis`).
        ValueError: `url` is not an address that redis-py understands.
    """

    def __init__(self, url: str) -> None:
        try:
            redis = import_module("redis")
        except ImportError as error:
            raise ImportError(
                "a budget with a store in Redis needs redis: pip install 'otel-callbacks[redis]'"
            ) from error
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )

    def update(self, key: str, change: Callable[[State, float], _Result]) -> _Result:
        """See `Store`. The time is that of the server."""
        name = f"otel_callbacks:budget:{key}"

        def attempt(pipeline: Any) -> _Result:
            text = pipeline.get(name)
            seconds, microseconds = pipeline.time()
            state = json.loads(text) if text else {}
            result = change(state, seconds + microseconds / 1e6)
            pipeline.multi()
            pipeline.set(name, json.dumps(state), ex=BUDGET_SUMS_KEPT_SECONDS)
            return result

        result: _Result = self._client.transaction(attempt, name, value_from_callable=True, watch_delay=0.002)
        return result


def open_store(store: object) -> Store:
    """Returns the store at an address.

    Raises:
        TypeError: `store` is neither a path nor an address.
        ValueError, OSError, ImportError: it cannot be used.
    """
    if hasattr(store, "__fspath__"):
        store = store.__fspath__()
    if not isinstance(store, str):
        raise TypeError(f"store must be the path of an SQLite file or redis://…, not {store!r:.100}")
    if store.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(store)
    if not store or "://" in store:
        raise ValueError(
            f"store={redact_name(store)!r:.100} is not known; use the path of an SQLite file, or redis://…"
        )
    return SqliteStore(store)
