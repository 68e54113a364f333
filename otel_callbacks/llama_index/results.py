"""Tells by the class of a method's result what it means for the run."""

from functools import lru_cache
from typing import NamedTuple

from llama_index.core.agent.workflow.workflow_events import AgentOutput

from otel_callbacks.limits import COMPONENT_CLASSES_CACHED
from otel_callbacks.llama_index.streams import Follow, follower_of


class ResultKind(NamedTuple):
    """What a class of results means for runs.

    Attributes:
        follow: follows the stream in such a result; None if there never is one.
        is_agent_output: it is what an agent answers.
    """

    follow: Follow | None
    is_agent_output: bool


@lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def result_kind(kind: type) -> ResultKind | None:
    """Returns what results of a class mean; None if they only are what the method was called for, as most are."""
    found = ResultKind(follower_of(kind), issubclass(kind, AgentOutput))
    return found if any(found) else None
