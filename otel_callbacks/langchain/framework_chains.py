"""Tells chains that are the frameworks' own from those of the application, by who wrote what runs in them.

A name does not tell it: an application may have a `load_history` of its own. Only instance dictionaries are read,
because some runnables look up unknown attributes in what they wrap, which may fail.
"""

from collections.abc import Mapping
from types import FrameType
from typing import Any

from otel_callbacks.langchain.parent_run import component_of

_PACKAGES = {
    "langchain",
    "langchain_anthropic",
    "langchain_aws",
    "langchain_azure_ai",
    "langchain_classic",
    "langchain_cohere",
    "langchain_community",
    "langchain_core",
    "langchain_deepseek",
    "langchain_fireworks",
    "langchain_google_genai",
    "langchain_google_vertexai",
    "langchain_groq",
    "langchain_huggingface",
    "langchain_mistralai",
    "langchain_ollama",
    "langchain_openai",
    "langchain_xai",
    "langgraph",
    "langgraph_supervisor",
    "langgraph_swarm",
}
_FUNCTIONS = ("func", "afunc", "_transform", "_atransform")
_EDGES = ("langgraph.graph._branch", "langgraph.graph.branch")
_NO_FIELDS: Mapping[str, Any] = {}


def is_frameworks_own(name: str | None, metadata: Mapping[str, Any], frame: FrameType | None) -> bool:
    """Tells whether a chain that starts in `frame` is a function of the frameworks, a graph's edge, or a mere wrapper.

    An edge chooses the next node. A wrapper, such as `with_retry`, is called like the class of what it wraps unless
    the application names it. So is the assignment that `RunnableWithMessageHistory` inserts.
    """
    component = component_of(frame)
    fields = _fields(component)
    functions = [function for each in _FUNCTIONS if (function := fields.get(each)) is not None]
    if functions and all(_package(function) in _PACKAGES for function in functions):
        return True
    if "langgraph_node" in metadata and _called_from_edge(frame, component):
        return True
    if name == "insert_history":
        return type(component).__name__ == "RunnableAssign"
    wrapped = component
    while (inner := _fields(wrapped).get("bound")) is not None:
        wrapped = inner
    return wrapped is not component and name == type(wrapped).__name__


def _fields(component: Any) -> Mapping[str, Any]:
    return getattr(component, "__dict__", None) or _NO_FIELDS


def _package(function: Any) -> str:
    return str(getattr(function, "__module__", None) or "").partition(".")[0]


def _called_from_edge(frame: FrameType | None, component: Any) -> bool:
    while frame is not None and component_of(frame) is component:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") in _EDGES
