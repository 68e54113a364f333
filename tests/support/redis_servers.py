"""A Redis server of Debian's package, for as long as a test runs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port, listens
from waiting import patiently


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Starts a server that keeps its data in memory; gives its address."""
    port = free_port()
    ordered = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(ordered, stdout=subprocess.DEVNULL)
    try:
        patiently(lambda: listens(port), seconds=20)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
