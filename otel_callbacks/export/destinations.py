"""Where telemetry is sent, by us and by the application, so that nothing is sent to one place twice."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from otel_callbacks.export.signals import PerProcess
from otel_callbacks.runtime.addresses import normal_form

C = TypeVar("C")

_OF_THE_REQUEST = {"accept", "content-encoding", "content-type", "user-agent"}
"""Headers that say nothing about the account that data is for."""


class Destination(NamedTuple):
    """Where OTLP is sent to.

    Attributes:
        address: in normal form.
        headers: those that may name an account, in lower case.
    """

    address: str
    headers: frozenset[tuple[str, str]]


def destination_of(component: Any) -> Destination | None:
    """Returns where a processor or reader sends to; None if that is not OTLP, or not known.

    Looks into the SDK's processors, readers and exporters, ours included, and assumes nothing of any other.
    """
    try:
        exporter = _exporter_of(component)
        modules = [kind.__module__ for kind in type(exporter).__mro__]
        if not any(".otlp.proto." in module for module in modules):
            return None
        client = getattr(exporter, "_client", None)
        headers = dict(getattr(exporter, "_headers", None) or getattr(client, "_headers", None) or {})
        account = {(str(name).lower(), str(value)) for name, value in headers.items()}
        is_grpc = any(".otlp.proto.grpc" in module for module in modules)
        return Destination(
            normal_form(exporter._endpoint, grpc=is_grpc),
            frozenset(each for each in account if each[0] not in _OF_THE_REQUEST),
        )
    except Exception:  # an SDK whose internals we do not know
        return None


def destinations_of(provider: Any) -> set[Destination]:
    """Returns where a provider sends OTLP to, as far as that is known."""
    return {found for each in _components(provider) if (found := destination_of(each)) is not None}


def without_repeats(components: Iterable[C], known: set[Destination]) -> tuple[list[C], list[C]]:
    """Parts processors or readers into those that send to new places, and those that repeat one."""
    new: list[C] = []
    repeats: list[C] = []
    for each in components:
        found = destination_of(each)
        (repeats if found in known else new).append(each)
        if found is not None:
            known = known | {found}
    return new, repeats


def _exporter_of(component: Any) -> Any:
    """Returns what is innermost: the exporter of a processor, of a reader, or of our delivery in either."""
    found = getattr(component, "_batch_processor", component)
    found = getattr(found, "span_exporter", None) or getattr(found, "_exporter", found)
    found = getattr(found, "_exporter", found)  # a reader has our delivery, which has an exporter
    return found() if isinstance(found, PerProcess) else found


def _components(provider: Any) -> Sequence[Any]:
    """Returns the processors or readers of a provider of the SDK; nothing of any other."""
    traces = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", None)
    logs = getattr(getattr(provider, "_multi_log_record_processor", None), "_log_record_processors", None)
    readers = getattr(getattr(provider, "_measurement_consumer", None), "_reader_storages", None)
    found = traces or logs or readers
    return tuple(found) if isinstance(found, Sequence | Mapping) else ()
