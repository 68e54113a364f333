"""Addresses of other servers: how they are shown, and where their credentials go."""

import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?")  # a name, or an address of IPv6
_AT = re.compile("[@＠﹫]|%40")  # ends user and password, also by mistake
_OF_A_SIGNAL = re.compile(r"(/v1/(traces|metrics|logs))+$")
_USUAL_PORTS = {"http": 80, "https": 443}
_SAME_HOST = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}


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
        base = _OF_A_SIGNAL.sub("", parts.path.rstrip("/"))
        return parts._replace(path=base + path).geturl()


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


def normal_form(address: str, *, grpc: bool = False) -> str:
    """Returns the form of an address that all spellings of one destination have in common.

    Scheme and host are in lower case, the port is there, no slash is at the end, and this machine has one name. gRPC
    has no paths, and its addresses may have no scheme.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _USUAL_PORTS.get(parts.scheme, 443)
    netloc = f"{_SAME_HOST.get(host, host)}:{port}"
    return f"grpc://{netloc}" if grpc else f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def is_of_a_signal(address: str) -> bool:
    """Tells whether the path of an address ends with that of an OTLP signal, such as `/v1/traces`."""
    return _OF_A_SIGNAL.search(urlsplit(address).path.rstrip("/")) is not None


def shown_address(address: str) -> str:
    """Returns scheme, host and port of an address: the rest may hold a password or a key."""
    scheme, colon, rest = address.partition("://") if "://" in address else ("", "", address)
    host = re.split(r"[/?#\\\s]", _AT.split(rest)[-1], maxsplit=1)[0]
    return f"{scheme.rpartition('@')[2]}{colon}{host}"
