"""API types: by which of its APIs OpenAI answered."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.operations.payload import mapping_or_fields, word

_OBJECTS = {
    "response": "responses",
    "chat.completion": "chat_completions",
    "chat.completion.chunk": "chat_completions",
}
_IDS = {"resp_": "responses", "chatcmpl-": "chat_completions"}


def openai_api_type(answer: Mapping[str, Any]) -> str | None:
    """Returns the API by the form of an answer, or by its id; None if neither tells."""
    inner = mapping_or_fields(answer.get("response")) or answer
    known = _OBJECTS.get(word(inner.get("object")) or "")
    identity = word(inner.get("id")) or ""
    return known or next((api for prefix, api in _IDS.items() if identity.startswith(prefix)), None)
