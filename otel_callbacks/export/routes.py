"""Where each signal goes: to a provider of ours, or to what the application has set up already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from opentelemetry import _logs, metrics, trace
from opentelemetry.util._once import Once

from otel_callbacks.export import environment
from otel_callbacks.export.deliveries import Sender
from otel_callbacks.export.destinations import destinations_of, without_repeats
from otel_callbacks.export.otlp import Signal
from otel_callbacks.runtime.faults import guarded


class _Global(NamedTuple):
    """The global provider of a signal: how it is read and set, and its method that takes one more destination."""

    get: Callable[[], Any]
    set: Callable[[Any], None]
    add: str


_GLOBAL: Mapping[Signal, _Global] = {
    "traces": _Global(trace.get_tracer_provider, trace.set_tracer_provider, "add_span_processor"),
    "metrics": _Global(metrics.get_meter_provider, metrics.set_meter_provider, "add_metric_reader"),
    "logs": _Global(_logs.get_logger_provider, _logs.set_logger_provider, "add_log_record_processor"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a signal goes.

    Attributes:
        signal: the signal.
        provider: what takes the signal from the handlers; None if there is nothing to send it to.
        senders: what sends it to our destinations.
        is_ours: whether we made the provider.
        kept: the application's provider, if it has set one.
        served: the destinations that the application sends to already.
    """

    signal: Signal
    provider: Any
    senders: Sequence[Sender] = ()
    is_ours: bool = True
    kept: Any = None
    served: Sequence[str] = ()

    @property
    def is_reached(self) -> bool:
        """Whether what handlers record arrives at a destination of ours, or at the application's provider."""
        if environment.is_sdk_disabled():
            return False
        if self.kept is None:
            return bool(self.senders)
        return not self.is_ours or not (self.senders or _is_no_op(self.kept))

    def leave(self) -> None:
        """Takes our readers out of the application's meter provider, which would go on collecting for them."""
        remove = getattr(self.provider, "remove_metric_reader", None)
        if not self.is_ours and remove is not None:
            for sender in self.senders:
                remove(sender.component)

    def __str__(self) -> str:
        if environment.is_sdk_disabled():
            return "nowhere: OTEL_SDK_DISABLED is true"
        where = ", ".join(sender.name for sender in self.senders)
        if self.kept is None:
            return where or "nowhere"
        kind = f"{type(self.kept).__module__.partition('.')[0]}'s {type(self.kept).__name__}"
        kept = f"the application's provider ({kind})"
        if not where or not self.is_ours:
            served = f", which sends to {', '.join(self.served)} already" if self.served else ""
            return f"{where}, and wherever {kept} sends{served}" if where else f"{kept}{served}"
        return f"{kept}, which takes no further exporter: nothing arrives at {where}"


def application_provider(signal: Signal) -> Any:
    """Returns the global provider that somebody else has set; None if nobody has."""
    provider = _GLOBAL[signal].get()
    kind = type(provider)
    is_placeholder = kind.__module__.startswith("opentelemetry.") and "Proxy" in kind.__name__
    return None if is_placeholder else provider


def takes_more(signal: Signal, provider: Any) -> bool:
    """Tells whether a provider takes further destinations, as those of the SDK do."""
    return callable(getattr(provider, _GLOBAL[signal].add, None))


def allow_again() -> None:
    """Lets the global providers be set once more."""
    trace._TRACER_PROVIDER_SET_ONCE = Once()
    metrics._internal._METER_PROVIDER_SET_ONCE = Once()
    _logs._internal._LOGGER_PROVIDER_SET_ONCE = Once()


def _is_no_op(provider: Any) -> bool:
    return type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")
    )


def set_global(signal: Signal, provider: Any) -> None:
    """Makes a provider the global one."""
    _GLOBAL[signal].set(provider)


def add_to(signal: Signal, provider: Any, found: Sequence[Sender]) -> Route:
    """Adds destinations to the application's provider; leaves out those that it sends to already."""
    new, served = _parted(found, provider)
    for sender in new:
        getattr(provider, _GLOBAL[signal].add)(sender.component)
    return Route(
        signal, provider, new, is_ours=False, kept=provider, served=[sender.name for sender in served]
    )


def distinct(found: Sequence[Sender]) -> Sequence[Sender]:
    """Returns the senders without those that would send to one place twice."""
    return _parted(found, None)[0]


def _parted(found: Sequence[Sender], provider: Any) -> tuple[list[Sender], list[Sender]]:
    """Parts senders into those to new destinations, ready for a provider, and repeats, which are shut down."""
    new, _ = without_repeats([sender.component for sender in found], destinations_of(provider))
    kept = {id(component) for component in new}
    repeats = [sender for sender in found if id(sender.component) not in kept]
    for sender in repeats:
        guarded(sender.component.shutdown)()
    return [sender.plugged() for sender in found if id(sender.component) in kept], repeats
