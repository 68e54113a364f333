"""The process-wide handler, for whoever needs one where no call brought its own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_callbacks.langchain.handler import OTelCallbackHandler


class Slot:
    """Holds the handler of `instrument()`, and what LangChain asks for it at every call.

    It stands in for a `ContextVar`, of which LangChain only calls `get`: a value set in one is not seen by
    threads that are started later, and one with a default cannot be switched off.
    """

    def __init__(self) -> None:
        self.handler: OTelCallbackHandler | None = None

    def get(self) -> "OTelCallbackHandler | None":
        """The handler; None when the process is not instrumented."""
        return self.handler


slot = Slot()
