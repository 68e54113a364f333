"""Who pays: the labels of a call (tenant, feature, user …), which every span of the call carries from its start.

Labels have four sources. A later one overrides an earlier one:

1. the handler's argument: labels, or a function that returns them and is called at the root of every trace;
2. incoming baggage, only the keys that the handler lists;
3. `with attribution(...)`, an inner scope over an outer one;
4. the framework's call: LangChain's `config["metadata"]`, LlamaIndex's `instrument_tags`.

The nearest source wins: a scope inside a tool overrides the metadata of the call around the tool. The frameworks hand
metadata and tags down to every call below. So only those keys count as named by a call whose value differs from the one
that was handed down to it.

Credentials are removed as labels come in. Personal data stays, because budgets compare the original values; the
content policy redacts it wherever labels are recorded.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from opentelemetry import baggage
from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_callbacks import semconv
from otel_callbacks.limits import LABELS_OF_A_CALL, log_reached
from otel_callbacks.operations import payload
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.runs.handed_down import readers
from otel_callbacks.runs.run import BodyLabels
from otel_callbacks.runs.surroundings import enclosing_labels, enclosing_run
from otel_callbacks.runtime import scopes
from otel_callbacks.runtime.faults import guarded

Labels = Mapping[str, str]
"""Values by attribute name."""

LabelSource = Mapping[str, object] | Callable[[], Mapping[str, object] | None]
"""A handler's `attribution` argument: labels by their short names, or a function that returns them."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

NO_LABELS: Final[Labels] = {}
LABEL_ATTRIBUTES: Final = {
    "tenant": semconv.APP_TENANT_ID,
    "feature": semconv.APP_FEATURE,
    "user": semconv.USER_ID,
    "user_tier": semconv.APP_USER_TIER,
    "session": semconv.SESSION_ID,
}
"""The labels that have an attribute of their own; any other is `app.<name>`."""

_TAG_ATTRIBUTES = LABEL_ATTRIBUTES | {
    f"{name}_id": LABEL_ATTRIBUTES[name] for name in ("tenant", "user", "session")
}
_TAG_ATTRIBUTES |= {attribute: attribute for attribute in LABEL_ATTRIBUTES.values()}
_TAG_NAMES = frozenset(_TAG_ATTRIBUTES)
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CONTENT_NAMES = frozenset(
    {"prompt", "prompts", "question", "query", "input", "inputs", "output", "outputs", "answer", "response"}
    | {"completion", "message", "messages", "content", "text", "document", "documents", "context"}
)
"""What metadata may hold as `app.<name>` but is content, which only a content policy records."""

_SCOPE_KEY = context_api.create_key("otel_callbacks-attribution")


def attribute_of(label: str) -> str:
    """Returns the attribute name of a label.

    Raises:
        ValueError: the label is not spelled like `cost_centre`.
    """
    if label in _TAG_ATTRIBUTES:
        return _TAG_ATTRIBUTES[label]
    short = label.removeprefix(semconv.APP_PREFIX)
    if not _LABEL_NAME.fullmatch(short):
        raise ValueError(
            f"the label {label!r} must be lower-case letters, digits and _, such as 'cost_centre'"
        )
    return semconv.APP_PREFIX + short


def labels_by_attribute(labels: Mapping[str, object]) -> dict[str, str]:
    """Checks labels and returns them by attribute name, without those that are None.

    Raises:
        ValueError: a name is malformed, or a value is empty.
        TypeError: a value is not a string, a whole number or a UUID.
    """
    checked = {}
    for label, value in labels.items():
        name = LABEL_ATTRIBUTES.get(label) or attribute_of(label)
        if value is None:
            continue
        text = _text(value)
        if text is None:
            raise TypeError(f"{label} must be a text, a whole number or a UUID, not {type(value).__name__}")
        if not text:
            raise ValueError(f"{label} must not be empty; leave it out, or give None")
        checked[name] = text
    return checked


def _labels_in_tags(tags: Mapping[str, Any] | None) -> Labels:
    """Returns the labels in a call's metadata or tags, by the application's own names for them.

    Skips values that cannot be labels, and names of content.
    """
    if not tags:
        return NO_LABELS
    known = tags if type(tags) is dict else payload.mapping(tags)
    try:  # LangGraph's metadata has a dozen keys, and usually no label
        if _TAG_NAMES.isdisjoint(known) and semconv.APP_PREFIX not in "\0".join(known):
            return NO_LABELS
    except TypeError:  # a key is no text
        pass
    keys = [
        key for key in known if type(key) is str and (key in _TAG_ATTRIBUTES or key[:4] == semconv.APP_PREFIX)
    ]
    found = {key: text for key in _TAG_ATTRIBUTES if key in keys and (text := _text(known[key]))}
    for key in keys:
        if key in _TAG_ATTRIBUTES:
            continue
        name = key.removeprefix(semconv.APP_PREFIX)
        if name in _CONTENT_NAMES or not _LABEL_NAME.fullmatch(name) or not (text := _text(known[key])):
            continue
        if len(found) >= LABELS_OF_A_CALL:
            log_reached("LABELS_OF_A_CALL", "further labels in a call's metadata or tags are left out")
            break
        found[key] = text
    return found


def _add_named(labels: Labels, given: Labels, handed_down: Labels) -> Labels:
    """Adds the labels that a call itself names: those whose value the framework did not hand down to it."""
    if not given or given == handed_down:
        return labels
    named = {
        _TAG_ATTRIBUTES.get(key, key): text for key, text in given.items() if handed_down.get(key) != text
    }
    return {**labels, **named} if named else labels


def _text(value: object) -> str | None:
    if type(value) is str:
        return redact_name(payload.word(value) or "")
    name = payload.name(value)
    return None if name is None else redact_name(name)


class _Scope(NamedTuple):
    """The context entry of an open `with attribution(...)`.

    Attributes:
        inside: who pays inside the scope, with the labels around it. Its key is that of the run whose body opened
            the scope: runs inside that one have their own labels.
        owner: the `attribution` that opened it; None for labels that another process sent.
        previous: the context to return to.
    """

    inside: BodyLabels
    owner: "attribution | None"
    previous: Context


class attribution:  # lower case because it reads as a statement: `with attribution(tenant="acme"):`
    """Labels everything inside with who pays for it.

    A context manager, and a decorator for functions, coroutines and generators. A decorated generator has the labels
    while it runs; the code that consumes it does not. An inner scope keeps the outer labels that it does not set.
    The labels are not sent to other hosts, unless `otel_callbacks.propagation` is told to.

    Args:
        tenant: whose bill it is, `app.tenant_id`.
        feature: which part of the application, `app.feature`.
        user: on whose behalf, `user.id`.
        user_tier: for instance "free", `app.user_tier`.
        session: `session.id`.
        others: any other label to group costs by, each as `app.<name>`.

    Raises:
        ValueError: a name is malformed, or a value is empty.
        TypeError: a value is not a string, a whole number or a UUID.
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
        self._labels = labels_by_attribute(named | others)

    def __repr__(self) -> str:
        return f"<attribution {' '.join(f'{name}={value!r:.100}' for name, value in self._labels.items())}>"

    def __enter__(self) -> None:
        context = context_api.get_current()
        here = _labels_here(context, enclosing_labels(context))
        # what a framework hands down from outside is further away than this scope
        metadata = {**here.metadata, **_labels_in_tags(readers.metadata())}
        tags = _labels_in_tags(readers.tags())
        labels = _add_named(_add_named(here.labels, metadata, here.metadata), tags, here.tags)
        inside = BodyLabels(here.key, {**labels, **self._labels}, metadata, tags)
        context_api.attach(context_api.set_value(_SCOPE_KEY, _Scope(inside, self, context), context))

    def __exit__(self, *error: object) -> None:
        # without a token: the application may leave a scope in another copy of the context than it entered it in
        scope: _Scope | None = context_api.get_value(_SCOPE_KEY)  # type: ignore[assignment]
        if scope is not None and scope.owner is self:
            context_api.attach(scope.previous)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function, a coroutine function or a generator function."""
        return scopes.run_inside(lambda *_, **__: self, function)


def labels_in(context: Context, default_policy: ContentPolicy | None = None) -> Labels:
    """Returns the labels of `context`, redacted by the content policy of the run around it.

    Args:
        context: where to look for scopes and runs.
        default_policy: the policy to use outside every run; None redacts nothing there.
    """
    run = enclosing_run(context)
    policy = run.content_policy if run is not None else default_policy
    labels = given_labels(context)
    return labels if policy is None else policy.labels(labels)


def given_labels(context: Context) -> Labels:
    """Returns the labels of `context` as given."""
    return _labels_here(context, enclosing_labels(context)).labels


def context_with_labels(labels: Labels, context: Context) -> Context:
    """Returns `context` with labels that another process sent, as inside a scope; values by attribute, as given."""
    here = _labels_here(context, enclosing_labels(context))
    inside = BodyLabels(here.key, {**here.labels, **labels}, here.metadata, here.tags)
    return context_api.set_value(_SCOPE_KEY, _Scope(inside, None, context), context)


def received_labels(attributes: Mapping[str, str], sent: Mapping[str, object]) -> Labels:
    """Returns the labels among the values that another process sent, without what cannot be a label.

    Args:
        attributes: the attribute name of each wanted key.
        sent: the values by key.
    """
    return {name: text for key, name in attributes.items() if (text := _text(sent.get(key)))}


def _labels_here(context: Context, body: BodyLabels) -> BodyLabels:
    """Returns who pays in a body, or in the scope that is open in it."""
    scope: Any = context.get(_SCOPE_KEY)
    return body if scope is None else _labels_in(scope, body)


def _labels_in(scope: _Scope, body: BodyLabels) -> BodyLabels:
    """Returns who pays in a body, or in the scope if that was opened in it."""
    inside = scope[0]
    if body[0] is None or (inside[0] is not None and body[0] == inside[0]):  # their keys
        return inside
    return body


class LabelResolver:
    """Decides which labels the runs of a handler have.

    Args:
        source: the handler's own labels, the weakest of the four sources in the module's docstring.
        baggage_keys: the entries of incoming baggage to read. Others are ignored, because any client can send them.

    Raises:
        TypeError: an argument is of the wrong kind.
        TypeError, ValueError: a label is wrong, see `labels_by_attribute`.
    """

    def __init__(self, source: LabelSource | None = None, baggage_keys: Sequence[str] = ()) -> None:
        if source is not None and not callable(source) and not isinstance(source, Mapping):
            raise TypeError(
                f"attribution must be labels such as {{'feature': 'search'}} or a function, not {source!r:.100}"
            )
        refuse_text("baggage_keys", baggage_keys)
        self._function = source if callable(source) else None
        self._fixed: Labels = NO_LABELS if source is None or callable(source) else labels_by_attribute(source)
        self._baggage_attributes = {key: attribute_of(key) for key in baggage_keys}

    def labels_of_run(
        self,
        key: Any,
        body: BodyLabels,
        named: BodyLabels | None,
        context: Context,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> BodyLabels:
        """Returns who pays for a run that starts, and in its body.

        Args:
            key: the framework's id of the run.
            body: the labels in the body that the run starts in.
            named: the labels in the body that the framework names as the caller; LangChain handed down its metadata.
            context: the context in which the run starts.
            metadata: the metadata of its call; None if it is not a call of LangChain's.
            tags: the tags of its call; None if it is not a call of LlamaIndex's.
        """
        scope: Any = context.get(_SCOPE_KEY)
        here = body if scope is None else _labels_in(scope, body)
        _, labels, in_metadata, in_tags = here
        if body.key is None:
            labels = self._labels_of_root(context, labels)
        if not metadata:
            in_metadata = in_metadata if metadata is None else NO_LABELS
        elif in_metadata := _labels_in_tags(metadata):
            labels = _add_named(labels, in_metadata, (named or here).metadata)
        if not tags:
            in_tags = in_tags if tags is None else NO_LABELS
        elif in_tags := _labels_in_tags(tags):
            labels = _add_named(labels, in_tags, here.tags)
        return tuple.__new__(BodyLabels, (key, labels, in_metadata, in_tags))

    def labels_of_hidden_run(
        self,
        key: Any,
        body: BodyLabels,
        named: BodyLabels | None,
        context: Context,
        metadata: Mapping[str, Any] | None,
    ) -> BodyLabels:
        """Returns who pays in the body of a run without a span: `body` itself if its call changes nothing.

        The arguments are those of `labels_of_run`.
        """
        if not metadata and not body.metadata:
            return body
        in_metadata = _labels_in_tags(metadata)
        handed_down = (named or body).metadata
        if in_metadata == handed_down == body.metadata:
            return body
        here = _labels_here(context, body)
        return BodyLabels(key, _add_named(here.labels, in_metadata, handed_down), in_metadata, here.tags)

    def _labels_of_root(self, context: Context, scope_labels: Labels) -> Labels:
        if self._function is None and not self._baggage_attributes and not self._fixed:
            return scope_labels
        from_baggage = received_labels(self._baggage_attributes, baggage.get_all(context))
        return {**self._fixed, **(self._labels_of_function() or NO_LABELS), **from_baggage, **scope_labels}

    @guarded  # a fault of the application's function must not cost the span
    def _labels_of_function(self) -> Labels:
        return labels_by_attribute(self._function() or NO_LABELS) if self._function is not None else NO_LABELS


def refuse_text(argument: str, value: object) -> None:
    """Refuses a text where a list of names is wanted, because each of its letters would count as a name.

    Raises:
        TypeError: `value` is a text.
    """
    if isinstance(value, str):
        raise TypeError(f"{argument} must be a list, not the text {value!r:.100}")
