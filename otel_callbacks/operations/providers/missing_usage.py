"""Says in the log, once for each model, that its streams report no usage, and what to write to get it."""

import logging
from functools import lru_cache

from otel_callbacks.limits import STREAMS_WITHOUT_USAGE_LOGGED

logger = logging.getLogger("otel_callbacks")


@lru_cache(maxsize=STREAMS_WITHOUT_USAGE_LOGGED)
def log_missing_usage(provider: str | None, model: str | None, how_to_get_usage: str | None) -> None:
    """Logs that a streamed answer came without usage. `how_to_get_usage` is None if its framework drops it anyway."""
    logger.warning(
        "streamed answers of %s (%s) come without usage, so they have no cost; %s",
        model,
        provider or "unknown provider",
        how_to_get_usage
        or "for a rough count of their tokens, which is never priced, make the handler with estimate_usage=True",
    )
