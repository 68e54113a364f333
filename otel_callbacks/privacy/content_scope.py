"""`with content(...)`: another content policy for some calls, and for everything that they start."""

from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_callbacks.privacy.policy import ContentPolicy, moved
from otel_callbacks.runtime.scopes import inside

_KEY = context_api.create_key("otel_callbacks-content")
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Scope(NamedTuple):
    """What a scope asks for, and the scope around it.

    Attributes:
        policy: a policy that takes the place of the handler's; or, as a word, where to the handler's own shall write.
        outer: the scope around it.
        owner: the `content` that entered it.
        outside: the context to return to.
    """

    policy: ContentPolicy | Any
    outer: "Scope | None"
    owner: "content"
    outside: Context

    def is_within(self, other: "Scope") -> bool:
        """Whether this scope was entered while `other` was open."""
        scope: Scope | None = self
        while scope is not None:
            if scope is other:
                return True
            scope = scope.outer
        return False


class content:
    """Sets what content is recorded of the calls within, whichever handler records them.

        with content("none"):
            chain.invoke(question)

    Also a decorator, of functions of every kind. Scopes nest; they follow the context into threads and tasks,
    and a run that was started in one keeps to it, with all runs below, wherever they are started.

    Args:
        policy: "none", "spans", "events" or "both" moves what the handler's policy lets through; a `ContentPolicy`
            takes its place.

    Raises:
        TypeError, ValueError: the policy is none.
    """

    def __init__(self, policy: ContentPolicy | str) -> None:
        if policy is None:
            raise TypeError('content() needs a policy: "none", "spans", "events", "both" or a ContentPolicy')
        checked = ContentPolicy.parse(policy)
        self._policy = checked if isinstance(policy, ContentPolicy) else checked.where

    def __enter__(self) -> Self:
        context = context_api.get_current()
        entered = Scope(self._policy, scope_in(context), self, context)
        context_api.attach(context_api.set_value(_KEY, entered, context))
        return self

    def __exit__(self, *raised: object) -> None:
        # without a token: a scope may be left in another copy of the context than it was entered in
        entered: Scope | None = context_api.get_value(_KEY)  # type: ignore[assignment]
        if entered is not None and entered.owner is self:
            context_api.attach(entered.outside)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Has every call of a function run in such a scope; of a generator, every step."""
        return inside(lambda: self, function)


def scope_in(context: Context, above: Scope | None = None) -> Scope | None:
    """The scope of what starts in a context, under a run that was started in the scope `above`.

    That one holds, unless another was entered within it: a stream may be read after its scope was left.
    """
    found: Scope | None = context.get(_KEY)  # type: ignore[assignment]
    if above is None or (found is not None and found.is_within(above)):
        return found
    return above


def policy_in(scope: Scope | None, handlers: ContentPolicy) -> ContentPolicy:
    """The policy that a scope gives to a handler with a policy of its own."""
    if scope is None:
        return handlers
    return scope.policy if isinstance(scope.policy, ContentPolicy) else moved(handlers, scope.policy)
