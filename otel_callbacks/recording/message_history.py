"""Records each message of a trace in full once, and a hash of it afterwards: `ContentPolicy(history="new")`.

The first time, a message has its `hash` beside its parts. Afterwards a single part, `{"type": "reference", "hash": …}`,
stands for its parts. `explore` puts the conversation together again.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from otel_callbacks.privacy.json_values import to_json
from otel_callbacks.runs.recorded_messages import Place, RecordedMessages

REFERENCE_CHARACTERS = 120  # of JSON; more than a hash takes beside the parts of a message
_HASH_DIGITS = 32
_KEPT = ("role", "finish_reason")


class MessageHistory:
    """What is recorded already in one place."""

    def __init__(self, recorded: RecordedMessages, place: Place) -> None:
        self._recorded = recorded
        self._place = place

    def short(
        self, message: dict[str, Any], cut_from: int | None, known: str | None = None
    ) -> dict[str, Any]:
        """Returns a reference to a message that is recorded in full already, else the message with its hash.

        The hash is that of the message as it is recorded: what the policy removed does not count. An answer has the
        same hash when it is sent back as history, without its finish reason.

        Args:
            message: as it would be recorded.
            cut_from: if it was cut, what identifies the whole message. The caps cut a message differently at each
                call; a reference to a version that is at least as long will do.
            known: its hash, if that is known.
        """
        identity = known
        if identity is None:
            hashed = to_json({key: value for key, value in message.items() if key != "finish_reason"})
            digest = hashlib.sha256(hashed.encode("utf-8", "surrogatepass")).hexdigest()
            identity = f"sha256:{digest[:_HASH_DIGITS]}"
        recorded = identity
        if cut_from is not None:
            recorded = self._recorded.longest(self._place, cut_from, len(hashed), identity)
        if self._recorded.has(self._place, recorded):
            return _reference(message, recorded)
        return {**message, "hash": identity}

    def first_in_full(self, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Notes the messages that an attribute holds in full; one that is in full elsewhere now becomes a reference."""
        return [
            message
            if "hash" not in message or self._recorded.add(self._place, message["hash"])
            else _reference(message, message["hash"])
            for message in messages
        ]


def _reference(message: dict[str, Any], identity: str) -> dict[str, Any]:
    kept = {key: message[key] for key in _KEPT if key in message}
    return {**kept, "parts": [{"type": "reference", "hash": identity}]}
