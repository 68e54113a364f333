"""The IPython extension: `%load_ext otel_callbacks` keeps the traces of a notebook and adds `%%trace`."""

from typing import Any

from otel_callbacks.explore import notebook
from otel_callbacks.explore.collection import traces
from otel_callbacks.export.configure import configure


def load_ipython_extension(shell: Any) -> None:
    """Starts to keep the traces of this process, for `traces` and `handler.last_trace`, and adds `%%trace`."""
    configure(local=True)
    notebook.install(shell, traces)


def unload_ipython_extension(shell: Any) -> None:
    """Removes `%%trace`. Traces are still kept."""
    notebook.uninstall(shell)
