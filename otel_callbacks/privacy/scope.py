"""`with content(...)`: another content policy for some calls, and for everything that they start."""

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from typing import Any, NamedTuple, Self, TypeVar

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_callbacks.privacy.policy import ContentPolicy, moved

_KEY = context_api.create_key("otel_callbacks-content")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Scope(NamedTuple):
    """What a scope asks for, and the scope around it.

    Attributes:
        policy: a policy that takes the place of the handler's; or, as a word, where to the handler's own shall write.
    """

    policy: ContentPolicy | Any
    outer: "Scope | None"

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

    Also a decorator, of functions and coroutine functions. Scopes nest; they follow the context into threads and tasks,
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
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> Self:
        scope = Scope(self._policy, scope_in(context_api.get_current()))
        self._tokens.append(context_api.attach(context_api.set_value(_KEY, scope)))
        return self

    def __exit__(self, *raised: object) -> None:
        context_api.detach(self._tokens.pop())

    def __call__(self, function: _Function) -> _Function:
        """Has every call of a function run in such a scope."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"content() cannot decorate the generator {function.__qualname__}; enter it inside"
            )
        policy = self._policy

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def in_scope(*args: Any, **kwargs: Any) -> Any:
                with content(policy):
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def in_scope(*args: Any, **kwargs: Any) -> Any:
                with content(policy):
                    return function(*args, **kwargs)

        return in_scope  # type: ignore[return-value]


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
