"""Carriers: mappings that travel with a message, such as headers, message properties or environment variables.

All reading and writing is done by the propagators that the application has set (`OTEL_PROPAGATORS`).
"""

import functools
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, TypeVar, overload

from opentelemetry import baggage, propagate
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator, default_setter

from otel_callbacks.cost.attribution import (
    attribute_of,
    context_with_labels,
    labels_in,
    received_labels,
    refuse_text,
)
from otel_callbacks.runtime.faults import guarded, logger


class _Writable(Protocol):
    """Headers, a dictionary, or whatever else takes a text under a name."""

    def __setitem__(self, name: str, text: str, /) -> None: ...


_Carrier = TypeVar("_Carrier", bound=_Writable)


@overload  # for `inject({})`, whose type no checker could find otherwise
def inject(carrier: dict[str, str], labels: Collection[str] = ()) -> dict[str, str]: ...


@overload
def inject(carrier: _Carrier, labels: Collection[str] = ()) -> _Carrier: ...


def inject(carrier: Any, labels: Collection[str] = ()) -> Any:
    """Writes the current trace context and the application's baggage into a carrier.

    Other entries stay as they are, and so do the entries that its baggage has already.

    Args:
        carrier: headers, message properties, or any other mapping from texts to texts.
        labels: short names of labels, such as "tenant", that go along as baggage. Others stay here.

    Returns:
        The carrier, so that `inject({})` makes a new one.

    Raises:
        TypeError: `carrier` cannot be written to, or `labels` is a text.
        ValueError: a label is not spelled like `cost_centre`.
    """
    if not hasattr(carrier, "__setitem__") or isinstance(carrier, list):
        raise TypeError(f"carrier must be a mapping that can be changed, not {type(carrier).__name__}")
    if carrier is os.environ:
        raise TypeError("carrier must not be os.environ, which all threads share; use environment()")
    refuse_text("labels", labels)
    for label in labels:
        attribute_of(label)
    guarded(write)(propagate.get_global_textmap(), carrier, context_api.get_current(), labels)
    return carrier


def environment(labels: Collection[str] = ()) -> dict[str, str]:
    """Returns this process's environment variables with the current context, for a process that it starts.

    The names are those of OpenTelemetry's specification, such as `TRACEPARENT`; `extract(os.environ)` reads them.

    Args:
        labels: as in `inject`.

    Raises:
        TypeError, ValueError: as in `inject`.
    """
    return {**os.environ, **{_normal(name): text for name, text in inject({}, labels).items()}}


def write(
    propagator: TextMapPropagator,
    carrier: Any,
    context: Context,
    labels: Iterable[str],
    withheld: Iterable[str] = (),
    setter: Setter[Any] = default_setter,
) -> None:
    """Writes `context` into a carrier, with some labels as baggage; merges it with the baggage that is there.

    Args:
        propagator: what writes.
        carrier: a mapping, or whatever else `setter` writes to.
        context: what to write.
        labels: the short names of the labels to write. If one is not set here, an older value in the carrier goes.
        withheld: the short names of labels that must not be written, whether the carrier or the baggage has them.
        setter: how to write.
    """
    wanted, unwanted = tuple(labels), tuple(withheld)
    own = baggage.get_all(context)
    if wanted or unwanted or own:
        here = labels_in(context)
        given = {key: text for key in wanted if (text := here.get(attribute_of(key))) is not None}
        if given and not _carries_baggage(propagator):
            _warn_that_labels_stay()
        found = baggage.get_all(read(propagator, carrier, Context()))
        kept = {key: value for key, value in found.items() if key not in wanted and key not in unwanted}
        if kept != found:
            _remove_baggage(carrier)
        for key, value in {**kept, **own, **given}.items():
            context = baggage.set_baggage(key, value, context)
        for key in unwanted:
            context = baggage.remove_baggage(key, context)
    propagator.inject(carrier, context, setter)


def read(propagator: TextMapPropagator, carrier: object, context: Context) -> Context:
    """Returns `context` with what a carrier brings. Anything else than a mapping brings nothing."""
    return propagator.extract(_Received(carrier), context, _GETTER)


def accept_labels(context: Context, attributes: Mapping[str, str]) -> Context:
    """Returns `context` with entries of its baggage turned into labels.

    They are no baggage any more: requests to other hosts must not pass them on.

    Args:
        context: a context with baggage that has come in.
        attributes: the attribute name of each label, by its short name.
    """
    labels = received_labels(attributes, baggage.get_all(context))
    for key in attributes:
        context = baggage.remove_baggage(key, context)
    return context_with_labels(labels, context) if labels else context


def _normal(name: str) -> str:
    """Returns a name as an environment variable spells it, whatever the case that a server gives to headers."""
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _carries_baggage(propagator: TextMapPropagator) -> bool:
    probe: dict[str, str] = {}
    propagator.inject(probe, baggage.set_baggage("probe", "1", Context()))
    return bool(probe)


@functools.cache
def _warn_that_labels_stay() -> None:
    logger.warning(
        "labels do not travel: none of the propagators that are set carries baggage; add it to OTEL_PROPAGATORS"
    )


def _remove_baggage(carrier: Any) -> None:
    for name in [name for name in carrier if _text(name).lower() == "baggage"]:
        del carrier[name]


def _text(value: Any) -> str:
    """Returns a text, also from the bytes of Redis or ASGI; an empty one for anything else."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


class _Received:
    """The texts of a carrier, and its names, whatever their spelling."""

    def __init__(self, carrier: Any) -> None:
        pairs: Iterable[tuple[Any, Any]] = carrier.items() if hasattr(carrier, "items") else ()
        self.values = {_text(name).lower(): text for name, value in pairs if (text := _text(value))}
        self.by_normal_name = {_normal(name): text for name, text in self.values.items()}


class _Getter(Getter[_Received]):
    def get(self, carrier: _Received, key: str) -> list[str] | None:
        found = carrier.by_normal_name.get(_normal(key))
        return None if found is None else [found]

    def keys(self, carrier: _Received) -> list[str]:
        return list(carrier.values)


_GETTER = _Getter()
