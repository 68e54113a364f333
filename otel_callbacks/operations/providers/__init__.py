"""What we know of model providers, for both frameworks: one file for each kind of knowledge.

To add a provider, add its name to `names.py`, its default address to `endpoints.py`, its parameters to
`request_parameters.py`, its token counts to `usage_reports.py`, its stop reasons to `finish_reasons.py` and the shape
of its tools to `tool_definitions.py`, where they differ from what is there. May import the files of `operations`
beside it. Open `usage_reports.py` first.
"""

from otel_callbacks.operations.providers.endpoints import endpoint
from otel_callbacks.operations.providers.finish_reasons import (
    FINISH_KEYS,
    message_finish_reason,
    read_finish_reasons,
)
from otel_callbacks.operations.providers.names import provider_name
from otel_callbacks.operations.providers.request_parameters import (
    PARAMETERS,
    Parameters,
    reasoning_effort,
    set_parameters,
)
from otel_callbacks.operations.providers.tool_definitions import tool_definitions
from otel_callbacks.operations.providers.usage_reports import read_usage, reported_usd, token_count

__all__ = [
    "FINISH_KEYS",
    "PARAMETERS",
    "Parameters",
    "endpoint",
    "message_finish_reason",
    "provider_name",
    "read_finish_reasons",
    "read_usage",
    "reasoning_effort",
    "reported_usd",
    "set_parameters",
    "token_count",
    "tool_definitions",
]
