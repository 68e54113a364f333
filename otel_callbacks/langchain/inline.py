"""Decides when the handler must not run inline, because that would silence other handlers.

When LangChain starts text models in an asynchronous call, it calls either the inline handlers or the others, never
both. It starts these models in tasks of their own, so an inline handler could not make their spans current anyway.
"""

import sys
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager

_STARTS_TEXT_MODELS = AsyncCallbackManager.on_llm_start.__code__


def should_run_inline(kind: type) -> bool:
    """Tells whether a handler of type `kind` should report `run_inline`. Call it from that property only.

    The answer is no for the code above, unless another handler runs inline there and silences the rest anyway.
    """
    asking = sys._getframe(2)
    if asking.f_code is not _STARTS_TEXT_MODELS:
        above = asking.f_back  # before Python 3.12, a comprehension has its own frame
        if above is None or above.f_code is not _STARTS_TEXT_MODELS:
            return True
        asking = above
    handlers: Any = asking.f_locals["self"].handlers
    return any(other.run_inline for other in handlers if not isinstance(other, kind))
