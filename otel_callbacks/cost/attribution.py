"""Who pays: the labels of a call (tenant, feature, user …), on every span of it from its start.

They come from, each overriding what stands before it:

1. the handler's argument: labels, or a function that returns them, asked for at the root of every call;
2. baggage that came with the request, the keys that the handler lists;
3. `with attribution(...)`, the inner scope over the outer one;
4. the framework's call: LangChain's `config["metadata"]`, LlamaIndex's `instrument_tags`.

Credentials are taken out of them as they come in, personal data by the content policy wherever they are told:
budgets go by the value that was given.

What is opened further in counts more: a scope inside a tool overrides the metadata of the call around it.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit

from opentelemetry import baggage
from opentelemetry import context as context_api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from otel_callbacks import semconv
from otel_callbacks.operations import payload
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redaction import safe_name
from otel_callbacks.runs.current_span import Run, enclosing_run
from otel_callbacks.runtime import scopes
from otel_callbacks.runtime.faults import guarded

Labels = Mapping[str, str]
"""Values by the attribute that carries them."""

Given = Mapping[str, object] | Callable[[], Mapping[str, object] | None]
"""Labels as an application gives them, by their short names; or a function that returns them."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

NONE: Final[Labels] = {}
NAMES: Final = {
    "tenant": semconv.APP_TENANT_ID,
    "feature": semconv.APP_FEATURE,
    "user": semconv.USER_ID,
    "user_tier": semconv.APP_USER_TIER,
    "session": semconv.SESSION_ID,
}
"""The labels that have an attribute of their own; any other is `app.<name>`."""

_OF_CALL = NAMES | {f"{name}_id": NAMES[name] for name in ("tenant", "user", "session")}
_OF_CALL |= {attribute: attribute for attribute in NAMES.values()}
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_SCOPE_KEY = context_api.create_key("otel_callbacks-attribution")


def attribute_of(label: str) -> str:
    """The attribute of a label.

    Raises:
        ValueError: the name is not of the form `cost_centre`.
    """
    if label in _OF_CALL:
        return _OF_CALL[label]
    short = label.removeprefix(semconv.APP_PREFIX)
    if not _LABEL.fullmatch(short):
        raise ValueError(
            f"the label {label!r} must be lower-case letters, digits and _, such as 'cost_centre'"
        )
    return semconv.APP_PREFIX + short


def checked(labels: Mapping[str, object]) -> dict[str, str]:
    """Labels by their attributes, without those that are None.

    Raises:
        ValueError: a name is no name, or a value is empty.
        TypeError: a value is neither a text, a number nor a UUID.
    """
    found = {}
    for label, value in labels.items():
        name = attribute_of(label)
        if value is None:
            continue
        text = _text(value)
        if text is None:
            raise TypeError(f"{label} must be a text, a whole number or a UUID, not {type(value).__name__}")
        if not text:
            raise ValueError(f"{label} must not be empty; leave it out, or give None")
        found[name] = text
    return found


def asked(tags: Mapping[str, Any] | None) -> Labels:
    """The labels among the metadata or tags of a framework's call; what is no label's value is passed over."""
    given = payload.mapping(tags)
    if not given:
        return NONE
    return {_OF_CALL[key]: text for key in _OF_CALL if key in given and (text := _text(given[key]))}


def _text(value: object) -> str | None:
    if type(value) is str and not value:
        return ""
    found = payload.name(value)
    return None if found is None else safe_name(found)


class _Scope(NamedTuple):
    """What `attribution` puts into the context.

    Attributes:
        labels: all that hold within, those of the scopes and runs around included.
        owner: the `attribution` that put it there.
        within: the key of the run in whose body the scope was opened; runs further in have labels of their own.
        outside: the context to return to.
    """

    labels: Labels
    owner: "attribution"
    within: Any
    outside: Context


class attribution:  # it reads as a statement: `with attribution(tenant="acme"):`
    """Labels everything that happens inside with who pays for it.

    A context manager, and a decorator for functions of every kind; each step of a generator runs inside, its
    consumer does not. Scopes nest: what an inner one does not name stays. Nothing of it is sent to other hosts.

    Args:
        tenant: whose bill it is, `app.tenant_id`.
        feature: what part of the application, `app.feature`.
        user: on whose behalf, `user.id`.
        user_tier: for instance "free", `app.user_tier`.
        session: `session.id`.
        others: anything else the application wants to add up by, each as `app.<name>`.

    Raises:
        ValueError: a name is no name, or a value is empty.
        TypeError: a value is neither a text, a number nor a UUID.
    """

    def __init__(
        self,
        *,
        tenant: object = None,
        feature: object = None,
        user: object = None,
        user_tier: object = None,
        session: object = None,
        **others: object,
    ) -> None:
        named = {
            "tenant": tenant,
            "feature": feature,
            "user": user,
            "user_tier": user_tier,
            "session": session,
        }
        self._labels = checked(named | others)

    def __enter__(self) -> None:
        context = context_api.get_current()
        run = enclosing_run(context)
        labels = {**_labels(context, run), **self._labels}
        entered = _Scope(labels, self, run.key if run is not None else None, context)
        context_api.attach(context_api.set_value(_SCOPE_KEY, entered, context))

    def __exit__(self, *error: object) -> None:
        # without a token: a scope may be left in another copy of the context than it was entered in
        entered: _Scope | None = context_api.get_value(_SCOPE_KEY)  # type: ignore[assignment]
        if entered is not None and entered.owner is self:
            context_api.attach(entered.outside)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function."""
        return scopes.inside(lambda: self, function)


def labels_in(context: Context, otherwise: ContentPolicy | None = None) -> Labels:
    """The labels that hold where `context` is current, as the policy of the run around lets them be seen.

    `otherwise` is the policy that holds where no run is around.
    """
    run = enclosing_run(context)
    policy = run.content if run is not None else otherwise
    labels = _labels(context, run)
    return labels if policy is None else policy.labels(labels)


def _labels(context: Context, run: Run | None) -> Labels:
    entered: _Scope | None = context.get(_SCOPE_KEY)  # type: ignore[assignment]
    if entered is not None and (run is None or entered.within == run.key):
        return entered.labels
    return run.labels if run is not None else NONE


class Attribution:
    """Decides the labels of a handler's runs.

    Args:
        given: the lowest of the sources; see the module.
        baggage_keys: the entries of incoming baggage to read; any other is ignored, for anybody can send one.

    Raises:
        TypeError, ValueError: as `checked`; or the arguments are of another kind.
    """

    def __init__(self, given: Given | None = None, baggage_keys: Sequence[str] = ()) -> None:
        if given is not None and not callable(given) and not isinstance(given, Mapping):
            raise TypeError(
                f"attribution must be labels such as {{'feature': 'search'}} or a function, not {given!r:.100}"
            )
        _check_list("baggage_keys", baggage_keys)
        self._resolve = given if callable(given) else None
        self._fixed: Labels = NONE if given is None or callable(given) else checked(given)
        self._keys = {key: attribute_of(key) for key in baggage_keys}

    def of_run(self, parent: Run | None, context: Context, asked: Labels) -> Labels:
        """The labels of a run that starts in `context` below `parent`, whose call asked for some of its own."""
        entered: _Scope | None = context.get(_SCOPE_KEY)  # type: ignore[assignment]
        if parent is None:
            inherited = self._of_root(context, entered.labels if entered is not None else NONE)
        elif entered is not None and entered.within == parent.key:
            inherited = entered.labels
        else:
            inherited = parent.labels
        # the frameworks hand metadata and tags on to everything below, where they say nothing new
        if asked and (parent is None or asked != parent.asked):
            return {**inherited, **asked}
        return inherited

    def _of_root(self, context: Context, scoped: Labels) -> Labels:
        if self._resolve is None and not self._keys and not self._fixed:
            return scoped
        carried = {
            name: text
            for key, name in self._keys.items()
            if (text := _text(baggage.get_baggage(key, context)))
        }
        return {**self._fixed, **(self._resolved() or NONE), **carried, **scoped}

    @guarded  # the function is the application's; its fault must not cost the span
    def _resolved(self) -> Labels:
        return checked(self._resolve() or NONE) if self._resolve is not None else NONE


def baggage_headers(url: str, *, keys: Collection[str], hosts: Collection[str]) -> dict[str, str]:
    """The labels of the current call as a W3C baggage header, for a service of one's own that goes on with it.

    Nothing is sent unless this is called: the headers of a request to a model's provider carry no labels.

    Args:
        url: where the request goes.
        keys: the labels to send, by their short names; the header calls them the same.
        hosts: patterns such as "*.corp.example"; for another host the result is empty.

    Raises:
        TypeError: `keys` or `hosts` is a text, whose letters would each count, `*` for every host.
    """
    _check_list("keys", keys)
    _check_list("hosts", hosts)
    host = urlsplit(url).hostname or ""
    if not any(fnmatchcase(host, pattern.lower()) for pattern in hosts):
        return {}
    labels = labels_in(context_api.get_current())
    carrier: dict[str, str] = {}
    context = Context()
    for key in keys:
        if (value := labels.get(attribute_of(key))) is not None:
            context = baggage.set_baggage(key, value, context)
    W3CBaggagePropagator().inject(carrier, context)
    return carrier


def _check_list(name: str, value: object) -> None:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list, not the text {value!r:.100}")
