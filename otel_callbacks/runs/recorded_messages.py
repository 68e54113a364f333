"""The messages that are recorded in full already, for `ContentPolicy(history="new")`."""

from collections import OrderedDict
from typing import Any, TypeAlias

from otel_callbacks import limits
from otel_callbacks.runtime.fork import safe_lock

Place: TypeAlias = tuple[int, int, str]
"""Where a message is recorded: the trace id, its flags, and `ContentPolicy.where`.

Somebody who has only the events, or only the sampled spans, must find each message there.
"""


class RecordedMessages:
    """The hashes of the messages that are recorded in full, by the place that they are recorded in."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[tuple[Place, str], None] = OrderedDict()
        self._longest: OrderedDict[tuple[Place, int], tuple[int, str]] = OrderedDict()
        self._lock = safe_lock()

    def has(self, place: Place, identity: str) -> bool:
        """Tells whether a message is recorded in full. `identity` is its hash."""
        key = (place, identity)
        with self._lock:
            found = key in self._hashes
            if found:
                self._hashes.move_to_end(key)  # a conversation that goes on keeps its messages
        return found

    def add(self, place: Place, identity: str) -> bool:
        """Notes that a message is recorded in full; returns False if it was already. Of several threads one adds it."""
        key = (place, identity)
        with self._lock:
            if key in self._hashes:
                return False
            self._hashes[key] = None
            _forget_oldest(self._hashes)
        return True

    def longest(self, place: Place, message: int, size: int, identity: str) -> str:
        """Returns the hash of the longest version of a message that was cut: of this one, or of one before it.

        Args:
            place: where it is recorded.
            message: identifies the message before it was cut.
            size: the length of this version.
            identity: its hash.
        """
        key = (place, message)
        with self._lock:
            known = self._longest.get(key)
            if known is not None and known[0] >= size:
                self._longest.move_to_end(key)
                return known[1]
            self._longest[key] = size, identity
            _forget_oldest(self._longest)
        return identity


def _forget_oldest(remembered: OrderedDict[Any, Any]) -> None:
    if len(remembered) > limits.RECORDED_MESSAGES:
        remembered.popitem(last=False)
        limits.log_reached("RECORDED_MESSAGES", "a message sent long ago is recorded in full once more")
