"""`with content(...)`: changes the content policy for some calls, and for everything that they start."""

from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_callbacks.privacy.policy import ContentPolicy, redirected
from otel_callbacks.runtime.scopes import run_inside

SCOPE_KEY = context_api.create_key("otel_callbacks-content")
"""Where a context has the scope that is open in it."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


class ContentScope(NamedTuple):
    """An open `with content(...)`, and the scope around it.

    Attributes:
        policy: a policy that replaces the handler's, or a word that replaces only its `where`.
        outer: the scope around it.
        owner: the `content` that entered it.
        previous_context: the context to return to.
    """

    policy: ContentPolicy | Any
    outer: "ContentScope | None"
    owner: "content"
    previous_context: Context

    def is_within(self, other: "ContentScope") -> bool:
        """Tells whether this scope was entered while `other` was open."""
        scope: ContentScope | None = self
        while scope is not None:
            if scope is other:
                return True
            scope = scope.outer
        return False


class content:
    """Sets which content is recorded of the calls inside, whichever handler records them.

        with content("none"):
            chain.invoke(question)

    It is also a decorator for functions, coroutine functions and generators. Scopes nest, and follow the context into
    threads and tasks. A run keeps the scope that it was started in, and so do all runs below it, wherever they start.

    Args:
        policy: "none", "spans", "events" or "both" redirects the content that the handler's policy allows; a
            `ContentPolicy` replaces the handler's.

    Raises:
        TypeError: the policy is neither a string nor a `ContentPolicy`.
        ValueError: the string is not "none", "spans", "events" or "both".
    """

    def __init__(self, policy: ContentPolicy | str) -> None:
        if policy is None:
            raise TypeError('content() needs a policy: "none", "spans", "events", "both" or a ContentPolicy')
        checked = ContentPolicy.parse(policy)
        self._policy = checked if isinstance(policy, ContentPolicy) else checked.where

    def __enter__(self) -> Self:
        context = context_api.get_current()
        entered = ContentScope(self._policy, find_content_scope(context), self, context)
        context_api.attach(context_api.set_value(SCOPE_KEY, entered, context))
        return self

    def __exit__(self, *raised: object) -> None:
        # no token: a scope may be left in another copy of the context than it was entered in
        entered: ContentScope | None = context_api.get_value(SCOPE_KEY)  # type: ignore[assignment]
        if entered is not None and entered.owner is self:
            context_api.attach(entered.previous_context)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function so that each call runs in such a scope; of a generator, each step."""
        return run_inside(lambda *_, **__: self, function)


def find_content_scope(context: Context, parent_scope: ContentScope | None = None) -> ContentScope | None:
    """Returns the scope for a run that starts in a context, below a run that was started in `parent_scope`.

    The parent's scope counts, unless another was entered inside it: a stream may be read after its scope was left.
    """
    found: ContentScope | None = context.get(SCOPE_KEY)  # type: ignore[assignment]
    if parent_scope is None or (found is not None and found.is_within(parent_scope)):
        return found
    return parent_scope


def scoped_policy(scope: ContentScope | None, own_policy: ContentPolicy) -> ContentPolicy:
    """Returns the policy that counts in a scope for a handler with a policy of its own."""
    if scope is None:
        return own_policy
    return scope.policy if isinstance(scope.policy, ContentPolicy) else redirected(own_policy, scope.policy)
