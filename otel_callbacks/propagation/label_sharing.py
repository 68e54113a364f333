"""Labels that travel with the requests that instrumentations of HTTP clients make, and come in with those of servers.

An instrumentation writes the headers itself, and knows nothing of labels. But it writes with the propagators that the
application has set, and meanwhile its span says where the request goes.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import SpanKind

from otel_callbacks import semconv
from otel_callbacks.carriers import texts
from otel_callbacks.cost.attribution import attribute_of, refuse_text
from otel_callbacks.runtime.faults import guarded

_HOSTS = ("server.address", "net.peer.name")  # the newer conventions of HTTP, and the older ones
_URLS = ("url.full", "http.url")


def share_labels(keys: Collection[str], *, hosts: Collection[str] = (), accept: bool = False) -> None:
    """Lets labels travel as baggage with requests to some hosts, and become labels again where they arrive.

    Call it once, when the application has set its propagators. A further call replaces what the one before said.
    Entries of the application's own baggage go along as before.

    Args:
        keys: short names of labels, such as "tenant".
        hosts: patterns such as "*.corp.example": the hosts to which the labels go. If a request does not say where it
            goes, they stay here. That is the case for spans that the sampler dropped, except with httpx.
        accept: whether incoming baggage with these keys becomes labels. Any client can send it, so say so only where
            nobody but your own services can call.

    Raises:
        TypeError: `keys` or `hosts` is a text. Each of its letters would count, and a `*` would match every host.
        ValueError: a label is not spelled like `cost_centre`.
    """
    refuse_text("keys", keys)
    refuse_text("hosts", hosts)
    inner = propagate.get_global_textmap()
    if isinstance(inner, _LabelPropagator):
        inner = inner.inner
    attributes = {key: attribute_of(key) for key in keys}
    propagate.set_global_textmap(_LabelPropagator(inner, attributes, hosts, accept) if attributes else inner)


class _LabelPropagator(TextMapPropagator):
    """The application's propagators, and labels.

    Args:
        inner: the application's propagators.
        attributes: the attribute name of each label, by its short name.
        hosts, accept: see `share_labels`.
    """

    def __init__(
        self, inner: TextMapPropagator, attributes: Mapping[str, str], hosts: Collection[str], accept: bool
    ) -> None:
        self.inner = inner
        self._attributes = attributes
        self._hosts = tuple(pattern.lower() for pattern in hosts)
        self._accept = accept

    @property
    def fields(self) -> set[str]:
        """The names that the application's propagators write."""
        return self.inner.fields

    def inject(
        self, carrier: Any, context: Context | None = None, setter: Setter[Any] = default_setter
    ) -> None:
        """Writes the context into a carrier, with the labels if it goes to one of the hosts, else without them."""
        context = context_api.get_current() if context is None else context
        if not self._write(carrier, context, setter):
            self.inner.inject(carrier, context, setter)

    @guarded  # a fault of ours must not cost the application its request
    def _write(self, carrier: Any, context: Context, setter: Setter[Any]) -> bool:
        hosts = _hosts(carrier, context)
        allowed = bool(hosts) and all(self._is_allowed(host) for host in hosts)
        sent = self._attributes if allowed else ()
        withheld = self._attributes if hosts and not allowed else ()
        texts.write(self.inner, carrier, context, sent, withheld, setter)
        return True

    def extract(
        self, carrier: Any, context: Context | None = None, getter: Getter[Any] = default_getter
    ) -> Context:
        """Returns the context with what a carrier brings."""
        found = self.inner.extract(carrier, context, getter)
        return self._accepted(found) or found

    @guarded
    def _accepted(self, context: Context) -> Context:
        return texts.accept_labels(context, self._attributes) if self._accept else context

    def _is_allowed(self, host: str) -> bool:
        return any(fnmatchcase(host.lower(), pattern) for pattern in self._hosts)


def _hosts(carrier: Any, context: Context) -> set[str]:
    """Returns where a request goes: what an instrumentation's span says of it, and its own header `Host`.

    A span of ours says nothing of a request that code inside it makes.
    """
    span: Any = trace.get_current_span(context)
    attributes = getattr(span, "attributes", None) or {}
    scope = getattr(span, "instrumentation_scope", None)
    if getattr(span, "kind", None) is not SpanKind.CLIENT or scope is None or scope.name == semconv.SCOPE:
        attributes = {}
    found = [attributes.get(name) for name in _HOSTS]
    found += [_host(str(attributes.get(name, ""))) for name in _URLS]
    header = default_getter.get(carrier, "Host") if isinstance(carrier, Mapping) else None
    found += [_host(f"//{each}") for each in header or ()]
    return {str(host) for host in found if host}


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as half an IPv6 address; the client will refuse it
        return None
