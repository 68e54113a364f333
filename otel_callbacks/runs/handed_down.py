"""What a framework hands down to a call that starts here: LangChain's metadata, LlamaIndex's tags.

The rooms of the frameworks put their readers here, so that code above no framework can ask.
"""

from collections.abc import Callable, Mapping
from typing import Any


class _Readers:
    """The readers of this process.

    Attributes:
        metadata: returns the metadata that LangChain would hand down from a run that is not traced.
        tags: returns the tags that LlamaIndex would hand down.
    """

    def __init__(self) -> None:
        self.metadata: Callable[[], Mapping[str, Any] | None] = lambda: None
        self.tags: Callable[[], Mapping[str, Any] | None] = lambda: None


readers = _Readers()
