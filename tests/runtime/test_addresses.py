"""Credentials in an address are shown nowhere, and reach the named host as a header."""

import pytest

from otel_callbacks.runtime.addresses import endpoint_of, shown_address

ADDRESSES = {
    "http://host": "http://host",
    "https://ann:hush@host:4318/v1/traces": "https://host:4318",
    "https://ann:hush@host:4318?token=hush#hush": "https://host:4318",
    "http://hush@host/hush/path": "http://host",
    "http://ann:hu/sh@host:4318": "http://host:4318",
    "http://ann:hu?sh@host": "http://host",
    "http://ann:hu@sh@host": "http://host",
    "http://ann:hu://sh@host": "http://host",
    "http://[::1]:4317/hush": "http://[::1]:4317",
    "ann:hush@host:4317": "host:4317",
    "postgres://ann:hush@host/db": "postgres://host",
    "localhost:4318": "localhost:4318",
    "http://ann%3Ahush%40host:4318": "http://host:4318",
    "http://ann:hush＠host": "http://host",
    "": "",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_scheme_host_and_port_are_shown(address: str) -> None:
    assert shown_address(address) == ADDRESSES[address]


@pytest.mark.parametrize(
    "address",
    [
        "ann:hush@host",
        "http://ann:hush@",
        "http://ann:hush@host:port",
        "http://ann:hu/sh@host",
        "ftp://ann:hush@host",
        "http://ann%3Ahush%40host:4318",
        "http://ann:hush＠host",
        "",
    ],
)
def test_an_error_has_no_credentials(address: str) -> None:
    with pytest.raises(ValueError, match="is not an http") as raised:
        endpoint_of(address)
    assert ("hu" not in str(raised.value) and raised.value.__context__ is None) or "hu" not in repr(
        raised.value
    )


def test_user_and_password_go_into_a_header() -> None:
    found = endpoint_of("https://ann:p%40ss@host:4318/base/v1/traces?a=b")
    assert found.address == "https://host:4318/base/v1/traces?a=b"
    assert (found.host, found.port, found.is_secure) == ("host:4318", 4318, True)
    assert found.authorization == "Basic YW5uOnBAc3M="
    assert found.url("/v1/logs") == "https://host:4318/base/v1/logs?a=b"
    assert endpoint_of("http://host").authorization is None
