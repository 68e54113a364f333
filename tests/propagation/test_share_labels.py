"""Labels travel with the requests that instrumentations make to chosen hosts, and are labels again where they arrive.

What an instrumentation does is done here by hand: a span of kind CLIENT, and the propagators. `test_http.py` uses the
instrumentations themselves.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Headers, Request
from opentelemetry import baggage, propagate
from opentelemetry import context as context_api
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from otel_callbacks import attribution, retrieval
from otel_callbacks.propagation import inject, share_labels
from otel_callbacks.testing import Captured, capture

OURS, THEIRS = "https://api.corp.example/x", "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def experiment() -> Iterator[None]:
    """The application's own propagators and baggage; both are what they were, afterwards."""
    before = propagate.get_global_textmap()
    token = context_api.attach(baggage.set_baggage("experiment", "B"))
    yield
    context_api.detach(token)
    propagate.set_global_textmap(before)


def requested(captured: Captured, url: str, headers: Any = (), **attributes: Any) -> Any:
    """The baggage of a request as an instrumentation sends it."""
    tracer = captured.tracer_provider.get_tracer("opentelemetry.instrumentation.httpx")
    written = dict(headers)
    with tracer.start_as_current_span(
        "GET", kind=SpanKind.CLIENT, attributes=attributes or {"url.full": url}
    ):
        propagate.inject(written)
    return written.get("baggage")


def test_labels_go_to_chosen_hosts_only_and_with_the_applications_baggage(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.Corp.example"])
    with attribution(tenant="acme", user="u-7"):
        assert requested(captured, OURS) == "experiment=B,tenant=acme"
        assert requested(captured, THEIRS) == "experiment=B"
        assert requested(captured, "", **{"server.address": "b.corp.example"}) == "experiment=B,tenant=acme"
        assert requested(captured, "", **{"net.peer.name": "corp.example"}) == "experiment=B"
        assert requested(captured, "", **{"http.url": "http://[::1"}) == "experiment=B"
    assert requested(captured, OURS) == "experiment=B"


def test_without_an_instrumentation_the_header_host_says_where_a_request_goes(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    tracer = captured.tracer_provider.get_tracer("application")
    with attribution(tenant="acme"), tracer.start_as_current_span("serve", kind=SpanKind.SERVER):
        assert inject(Request("GET", OURS).headers)["baggage"] == "experiment=B,tenant=acme"
        assert inject(Request("GET", THEIRS).headers)["baggage"] == "experiment=B"
        assert inject({})["baggage"] == "experiment=B"
        assert (
            requested(captured, THEIRS, {"Host": "api.corp.example"}) == "experiment=B"
        )  # both must be chosen


def test_a_span_of_ours_says_nothing_of_the_requests_inside_it(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    with attribution(tenant="acme"), retrieval("docs", server_address="db.corp.example"):
        assert inject({})["baggage"] == "experiment=B"


def test_a_redirect_to_another_host_takes_no_label_along(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    with attribution(tenant="acme"):
        copied = {"baggage": requested(captured, OURS)}
        assert requested(captured, THEIRS, copied) == "experiment=B"
        context_api.attach(baggage.clear())
        assert requested(captured, THEIRS, {"baggage": "tenant=acme"}) is None


def test_baggage_that_came_in_is_not_passed_on_to_other_hosts(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    context_api.attach(baggage.set_baggage("tenant", "acme"))
    assert requested(captured, OURS) == "experiment=B,tenant=acme"
    assert requested(captured, THEIRS) == "experiment=B"


def test_an_instrumentation_keeps_what_was_written_by_hand(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    with attribution(tenant="acme", region="eu"):
        by_hand = inject(Headers({"baggage": "colour=red"}), labels=["region"])
        assert requested(captured, OURS, by_hand) == "experiment=B,colour=red,region=eu,tenant=acme"


def test_an_unsampled_request_that_does_not_say_where_it_goes_takes_none() -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    with capture(ALWAYS_OFF) as unsampled, attribution(tenant="acme"):
        assert requested(unsampled, OURS) == "experiment=B"
        assert requested(unsampled, OURS, {"Host": "api.corp.example"}) == "experiment=B,tenant=acme"


def test_they_are_labels_again_on_server_spans_and_passed_on_to_nobody(captured: Captured) -> None:
    share_labels(["tenant", "region"], accept=True)
    sent = {"baggage": "experiment=B,tenant=acme,region=,user=u-7"}
    context = propagate.extract(sent)
    tracer = captured.tracer_provider.get_tracer("opentelemetry.instrumentation.asgi")
    tracer.start_span("GET /", context, SpanKind.SERVER).end()
    assert captured.span("GET /").attributes == {"app.tenant_id": "acme"}
    assert dict(baggage.get_all(context)) == {"experiment": "B", "user": "u-7"}


def test_nothing_is_accepted_without_being_told_to(captured: Captured) -> None:
    share_labels(["tenant"], hosts=["*.corp.example"])
    context = propagate.extract({"baggage": "tenant=acme"})
    captured.tracer_provider.get_tracer("application").start_span("GET /", context).end()
    assert captured.span("GET /").attributes == {}


def test_the_last_call_counts_and_none_restores_the_applications_propagators(captured: Captured) -> None:
    before = propagate.get_global_textmap()
    share_labels(["tenant"], hosts=["*.corp.example"])
    share_labels(["region"], hosts=["*.corp.example"])
    with attribution(tenant="acme", region="eu"):
        assert requested(captured, OURS) == "experiment=B,region=eu"
    assert propagate.get_global_textmap().fields == before.fields
    share_labels([])
    assert propagate.get_global_textmap() is before


@pytest.mark.parametrize(
    ("keys", "hosts", "message"),
    [
        ("tenant", [], "keys must be a list, not the text 'tenant'"),
        (["tenant"], "*.corp.example", "hosts must be a list, not the text"),
    ],
)
def test_a_text_is_refused_because_its_asterisk_would_match_every_host(
    keys: Any, hosts: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        share_labels(keys, hosts=hosts)
