"""The rerankers that the application wants traced. A file of its own, so that the handler need not import any other."""

import weakref
from typing import Any

traced_rerankers: "weakref.WeakKeyDictionary[type, Any]" = weakref.WeakKeyDictionary()
"""The classes of the rerankers that `trace_reranker` traces, with the handler that it was given; None without one."""
