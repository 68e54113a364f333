"""The messages that models were sent in one trace: what they were read as, and how they were written.

An agent sends its whole history again with every call. So what was made of a message is kept while its trace goes on.
A message is the same if it is the same object with the same text and tool calls.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from otel_callbacks import limits
from otel_callbacks.runs.run import Run

_NONE: Mapping[str, Any] = {}
_ROOM = 8


class Written(NamedTuple):
    """How a message was written in full under a policy.

    Attributes:
        message: as it was read.
        policy: the content policy.
        shape: what was written. To be copied.
        characters: how many characters of JSON it took.
        steps: how many steps it took.
    """

    message: Any
    policy: Any
    shape: Mapping[str, Any]
    characters: float
    steps: int

    def fits(self, characters: float, steps: int) -> bool:
        """Tells whether it is written the same where so much is left: parts of it may use only a share of that."""
        return _ROOM * self.characters <= characters and _ROOM * self.steps <= steps


class SentMessages:
    """The messages of a trace.

    Attributes:
        written: how each was written, by the identity of what it was read as, which is kept alive.
        hashes: the hash of each, by the same.
    """

    def __init__(self) -> None:
        self._read: dict[int, tuple[Any, Any, Any, Any]] = {}
        self.written: dict[int, Written] = {}
        self.hashes: dict[int, str] = {}

    def once(self, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Returns a function that reads a message as `read` does, but each only once."""
        known = self._read

        def read_once(message: Any) -> Any:
            try:
                fields: Any = getattr(message, "__dict__", _NONE)
            except Exception:  # the application's own kind of message may fail
                fields = _NONE
            content = fields.get("content")
            if type(content) is not str:
                return read(message)  # its blocks may be changed in place
            calls, before = fields.get("tool_calls"), known.get(id(message))
            if before is not None:
                same, same_content, same_calls, found = before
                if same is message and same_content is content and same_calls is calls:
                    return found
            found = read(message)
            if len(known) >= limits.MESSAGE_WEIGHTS:
                self.forget()
            known[id(message)] = message, content, calls, found
            return found

        return read_once

    def note(self, written: Written) -> None:
        """Keeps how a message was written."""
        if len(self.written) >= limits.MESSAGE_WEIGHTS:
            self.forget()
        self.written[id(written.message)] = written
        self.hashes.pop(id(written.message), None)

    def forget(self) -> None:
        """Forgets all messages."""
        for each in (self._read, self.written, self.hashes):
            each.clear()


def sent_messages_of(run: Run) -> SentMessages | None:
    """Returns the messages of a run's trace, which its outermost run holds; None for that run itself."""
    if run.parent is None:
        return None
    holder = run.outermost()
    if not holder.open:
        return None
    if holder.sent_messages is None:
        holder.sent_messages = SentMessages()
    found: SentMessages = holder.sent_messages
    return found
