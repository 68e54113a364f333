"""Names the application's custom events."""

import re
from typing import Any

from otel_callbacks.limits import EVENT_NAME_CHARACTERS
from otel_callbacks.operations.payload import word

_EVENT_NAME = re.compile(rf"[\w.:/-]{{1,{EVENT_NAME_CHARACTERS}}}")


def event_name(name: Any) -> str | None:
    """Returns the name of a custom event, without credentials; None for a sentence, which is content."""
    # here, because its patterns take 5 ms to import; a handler has loaded them when it is made
    from otel_callbacks.privacy.redactor import redact_name

    given = word(name) or ""
    return redact_name(given) if _EVENT_NAME.fullmatch(given) else None
