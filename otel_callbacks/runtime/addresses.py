"""Addresses of other servers: how they are shown, and where their credentials go."""

import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?")  # a name, or an address of IPv6
_AT = re.compile("[@＠﹫]|%40")  # ends user and password, also by mistake


class Endpoint(NamedTuple):
    """An http(s) address without credentials.

    Attributes:
        address: the address without user and password.
        host: the host with its port, for gRPC.
        port: the port; None for the usual one.
        is_secure: whether it is https.
        authorization: the header that says user and password; None without them.
    """

    address: str
    host: str
    port: int | None
    is_secure: bool
    authorization: str | None

    def url(self, path: str) -> str:
        """Returns the URL of an OTLP signal, such as `/v1/traces`, below the address."""
        parts = urlsplit(self.address)
        below = parts.path.rstrip("/").removesuffix("/v1/traces") + path
        return parts._replace(path=below).geturl()


def endpoint_of(address: str) -> Endpoint:
    """Takes an address apart.

    Raises:
        ValueError: it is not an http(s) address; the message has no credentials.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
        host = parts.hostname
    except ValueError:  # its message quotes the address
        parts, port, host = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or not _HOST.fullmatch(host):
        shown = shown_address(address)
        raise ValueError(f"{shown!r} is not an http(s) address; use one such as 'http://localhost:4318'")
    user, at, netloc = parts.netloc.rpartition("@")
    pair = unquote(user) if ":" in user else f"{unquote(user)}:"
    authorization = f"Basic {b64encode(pair.encode()).decode()}" if at else None
    return Endpoint(
        parts._replace(netloc=netloc).geturl(), netloc, port, parts.scheme == "https", authorization
    )


def shown_address(address: str) -> str:
    """Returns scheme, host and port of an address: the rest may hold a password or a key."""
    scheme, colon, rest = address.partition("://") if "://" in address else ("", "", address)
    host = re.split(r"[/?#\\\s]", _AT.split(rest)[-1], maxsplit=1)[0]
    return f"{scheme.rpartition('@')[2]}{colon}{host}"
