"""What `%load_ext otel_callbacks` does: the traces of a notebook are kept, and `%%trace` shows them."""

from typing import Any

from otel_callbacks.explore import notebook
from otel_callbacks.explore.collection import traces
from otel_callbacks.export.configure import configure


def load_ipython_extension(shell: Any) -> None:
    """Keeps the traces of this process from now on, for `traces` and `handler.last_trace`, and adds `%%trace`."""
    configure(local=True)
    notebook.install(shell, traces)


def unload_ipython_extension(shell: Any) -> None:
    """Takes `%%trace` away again. Traces go on being kept."""
    notebook.uninstall(shell)
