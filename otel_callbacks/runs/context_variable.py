"""OpenTelemetry's current context, read and set where it is kept: every callback does both.

The functions of the API pass through two calls of Python each. Where the API keeps the context in a context variable,
as it does unless `OTEL_PYTHON_CONTEXT` names something else, the variable's own methods do the same.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


def _variable() -> Any:
    runtime = getattr(context_api, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    return variable if type(runtime) is ContextVarsRuntimeContext and type(variable) is ContextVar else None


_kept_in = _variable()

current_context: Callable[[], Context] = context_api.get_current if _kept_in is None else _kept_in.get
"""Returns the current context."""
attach: Callable[[Context], object] = context_api.attach if _kept_in is None else _kept_in.set
"""Makes a context the current one."""
