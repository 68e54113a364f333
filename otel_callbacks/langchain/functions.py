"""What is known of a function by its code: whether it is LangChain's, and what a run that starts in it is like.

Callbacks come by the same few functions, so each of the frameworks' and ours is looked at once. They are as many as
these packages have; functions of the application are not kept.
"""

import sys
from types import CodeType, FrameType
from typing import NamedTuple

from otel_callbacks.runtime.execution_context import is_generator

_BETWEEN = ("langchain_core.callbacks.", "otel_callbacks.")
_FRAMEWORKS = ("langchain_core.", "langgraph.", "langchain.", "langchain_classic.")
_MODELS = "langchain_core.language_models.chat_models"
_RUN_BODIES = {"generate", "agenerate", "stream", "astream", "run", "arun", "invoke", "ainvoke"}
"""The methods of LangChain's models, tools and retrievers that start a run and then run its body."""


class Function(NamedTuple):
    """A function in whose frame a run may start.

    Attributes:
        is_between: it is part of the callback machinery, LangChain's or ours.
        is_frameworks: it is LangChain's or LangGraph's.
        is_graphs: it runs a graph of LangGraph's.
        has_config: LangChain's config of a call is, or may be, in its variable `config`.
        runs_body: what starts in it also runs in it.
        starts_stream: what starts in it streams protocol events, after it has returned.
        is_generator: it can pause.
    """

    is_between: bool
    is_frameworks: bool
    is_graphs: bool
    has_config: bool
    runs_body: bool
    starts_stream: bool
    is_generator: bool


_known: dict[CodeType, Function] = {}
_between: set[CodeType] = set()
"""Those that are between, again: callbacks come through several of them."""


_NONE = Function(False, False, False, False, False, False, False)


def function_of(frame: FrameType | None) -> Function:
    """Returns the function that runs in a frame."""
    if frame is None:
        return _NONE
    known = _known.get(frame.f_code)
    return _look_at(frame) if known is None else known


def calling_frame() -> tuple[FrameType | None, Function]:
    """Returns the frame that fired the callback, the first one outside the callback machinery, and its function."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code not in _between:
            function = function_of(frame)
            if not function.is_between:
                return frame, function
        frame = frame.f_back
    return None, _NONE


def _look_at(frame: FrameType) -> Function:
    code, module = frame.f_code, frame.f_globals.get("__name__", "")
    is_between, is_frameworks = module.startswith(_BETWEEN), module.startswith(_FRAMEWORKS)
    found = Function(
        is_between=is_between,
        is_frameworks=is_frameworks,
        is_graphs=module.startswith("langgraph.pregel"),
        has_config="config" in (*code.co_varnames, *code.co_cellvars, *code.co_freevars),
        runs_body=module.startswith("langchain_core.") and code.co_name in _RUN_BODIES,
        starts_stream=module == _MODELS and code.co_name == "ensure_started",
        is_generator=is_generator(frame),
    )
    if is_between:
        _between.add(code)
    elif is_frameworks:
        _known[code] = found
    return found
