"""Runs the page in a thread of its own, beside whatever else the process does."""

import asyncio
import logging
import secrets
import socket
import threading
from html import escape

import uvicorn

from otel_callbacks.explore.ui.application import application
from otel_callbacks.explore.ui.guard import Guard
from otel_callbacks.explore.ui.listing import Source
from otel_callbacks.limits import UI_CONNECTIONS
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 24


class LocalPage:
    """A running page; a notebook shows its link.

    `url` is the link with the token, and `is_local` tells whether only this machine can reach it. `stop()` ends it.
    It runs in a daemon thread, so it never keeps a process alive. A forked child does not serve it.
    """

    def __init__(self, source: Source, host: str = LOOPBACK, port: int = 0) -> None:
        self._socket = _listening(host, port)
        address, self.port = self._socket.getsockname()[:2]
        self.host = host
        self.is_local = address == "::1" or address.startswith("127.")
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        names = {host.lower()} | (set() if self.is_local else {socket.gethostname().lower()})
        config = uvicorn.Config(
            Guard(application(source), self._token, self.port, frozenset(names)),
            ws="none",
            lifespan="off",
            log_config=None,  # else it would change the logging of an application that runs on uvicorn, too
            server_header=False,
            proxy_headers=False,
            limit_concurrency=UI_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        config.access_log = (
            False  # only now: given as an argument, it takes away the application's access log
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="otel_callbacks ui", daemon=True)
        fork.run_in_child(self._leave_to_parent)
        self._thread.start()

    @property
    def url(self) -> str:
        """The link to the page, with the token that it needs."""
        return f"{self.address}?token={self._token}"

    @property
    def address(self) -> str:
        """The address of the page, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def is_running(self) -> bool:
        """Tells whether the page can be read."""
        return self._thread.is_alive() and not self._server.should_exit

    def wait(self) -> None:
        """Waits until the page is stopped."""
        self._thread.join()

    def stop(self, timeout: float = 5.0) -> None:
        """Stops the page; waits at most `timeout` seconds for requests under way. A second call does nothing."""
        self._server.should_exit = True
        self._thread.join(timeout)

    def __repr__(self) -> str:
        return f"<page of traces at {self.url}>" if self.is_running else "<page of traces, stopped>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        if not self.is_running:
            return escape(repr(self))
        link = escape(self.url)
        return f'<a href="{link}" target="_blank" rel="noopener noreferrer">{escape(self.address)}</a>'

    @guarded
    def _serve(self) -> None:
        quiet = _NotOfThread(threading.get_ident())
        logs = [logging.getLogger(f"uvicorn.{name}") for name in ("error", "access")]
        for log in logs:
            log.addFilter(quiet)
        loop = asyncio.new_event_loop()
        try:
            # not `Server.run`: notebooks change `asyncio.run` so that it runs within a running loop
            loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        finally:
            for log in logs:
                log.removeFilter(quiet)
            self._socket.close()
            loop.close()

    def _leave_to_parent(self) -> None:
        """Closes the child's copy of the socket: else it would take connections that nobody there answers."""
        self._socket.close()


class _NotOfThread(logging.Filter):
    """Leaves out what our thread logs: the application did not start a server, and its access log is for its own.

    uvicorn's own switches change the loggers themselves, which an application that runs on uvicorn needs.
    """

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is logged."""
        return record.thread != self._thread


def _listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        TypeError, ValueError: The host is not a name or address, the port not a number from 0 to 65535.
        OSError: The address is taken, or is not one of this machine.
    """
    if not isinstance(host, str) or not host.strip():
        raise TypeError(f"host must be a name or an IP address, such as '127.0.0.1', not {host!r:.100}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
        raise ValueError(f"port must be a whole number from 0 (any free port) to 65535, not {port!r:.100}")
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise OSError(
            f"the page cannot be served at host={host!r:.100}, port={port}: {error}; port=0 takes a free port"
        ) from error
