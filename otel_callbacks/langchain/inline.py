"""Where being called inline would silence other handlers, and is not worth it.

To start text models in an asynchronous call, LangChain calls its inline handlers or else the others, never both. It
starts them in tasks of their own, so that we could not make their spans current anyway.
"""

import sys
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager

_STARTS_TEXT_MODELS = AsyncCallbackManager.on_llm_start.__code__


def is_better_inline(kind: type) -> bool:
    """Whether the handler whose property asks, one of a `kind`, is to say that it runs inline.

    Yes, but to the code above; and there, too, if another inline handler silences the others, which we would join.
    """
    asking = sys._getframe(2)
    if asking.f_code is not _STARTS_TEXT_MODELS:
        above = asking.f_back  # before Python 3.12, a comprehension has a frame of its own
        if above is None or above.f_code is not _STARTS_TEXT_MODELS:
            return True
        asking = above
    handlers: Any = asking.f_locals["self"].handlers
    return any(other.run_inline for other in handlers if not isinstance(other, kind))
