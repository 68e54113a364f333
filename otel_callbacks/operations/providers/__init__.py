"""What we know of model providers, for both frameworks: one file for each kind of knowledge.

To add a provider, add its name to `names.py`, its default address to `endpoints.py`, its parameters to
`request_parameters.py`, the spelling of its token counts to `usage_counts.py`, what is inside what to
`usage_reports.py`, what else decides its price to `billing.py`, the blocks of its messages to `content_blocks.py`, its
stop reasons to `finish_reasons.py`, the shape of its tools to `tool_definitions.py` and what it caches of prompts
to `prompt_caches.py`, where they differ from what is there. Where its words are in a payload stands in
`payload_places.py`. May import the files of `operations` beside it.
Open `answers.py` first.
"""

from otel_callbacks.operations.providers.answers import add_chunk_usage, read_answer
from otel_callbacks.operations.providers.billing import (
    DEARER_SOUND,
    read_billing,
    requested_billing,
    with_uncounted_sound,
)
from otel_callbacks.operations.providers.compaction import has_compaction
from otel_callbacks.operations.providers.content_blocks import (
    answer_parts,
    block_parts,
    content_parts,
    part_type,
    tool_call,
    tool_calls,
    tool_response,
)
from otel_callbacks.operations.providers.endpoints import endpoint
from otel_callbacks.operations.providers.finish_reasons import message_finish_reason, read_finish_reasons
from otel_callbacks.operations.providers.media_blocks import modality_of
from otel_callbacks.operations.providers.names import provider_name
from otel_callbacks.operations.providers.payload_places import (
    finish_reasons_in,
    goes_on,
    layers,
    usage_reports_in,
)
from otel_callbacks.operations.providers.prompt_caches import PromptCache, prompt_cache
from otel_callbacks.operations.providers.request_parameters import (
    PARAMETERS,
    Parameters,
    reasoning_effort,
    set_parameters,
)
from otel_callbacks.operations.providers.tool_definitions import (
    definitions_without_parameters,
    tool_definitions,
)
from otel_callbacks.operations.providers.usage_counts import token_count
from otel_callbacks.operations.providers.usage_reports import read_embedding_usage, read_usage

__all__ = [
    "DEARER_SOUND",
    "PARAMETERS",
    "Parameters",
    "PromptCache",
    "add_chunk_usage",
    "answer_parts",
    "block_parts",
    "content_parts",
    "definitions_without_parameters",
    "endpoint",
    "finish_reasons_in",
    "goes_on",
    "has_compaction",
    "layers",
    "message_finish_reason",
    "modality_of",
    "part_type",
    "prompt_cache",
    "provider_name",
    "read_answer",
    "read_billing",
    "read_embedding_usage",
    "read_finish_reasons",
    "read_usage",
    "reasoning_effort",
    "requested_billing",
    "set_parameters",
    "token_count",
    "tool_call",
    "tool_calls",
    "tool_definitions",
    "tool_response",
    "usage_reports_in",
    "with_uncounted_sound",
]
