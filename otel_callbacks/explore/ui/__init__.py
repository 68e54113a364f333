"""A local page over traces: a list with filters, sessions, one trace, costs, and what changed between two traces.

Everything is made on the server from finished spans; the browser gets plain HTML, a style sheet and one small script,
without which the page also works. All of a page's state is in its address. `server.py` runs it in a thread, `guard.py`
says who may read it, `application.py` has its addresses; the other files make what the templates show. Imported only
when it is used, because Starlette, Jinja2 and uvicorn come with the extra `ui`. Open `application.py` first.
"""

from otel_callbacks.runtime.extras import needs_extra


def check_installed() -> None:
    """Checks that a page can be served, without importing what serves it.

    Raises:
        ModuleNotFoundError: The extra `ui` is not installed.
    """
    for package in ("starlette", "jinja2", "uvicorn"):
        needs_extra(package, "ui")
