"""Who may read the page: the token of its link, then a cookie; only by an address that is this machine's."""

import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing is loaded from elsewhere, and no script, style, form or frame of anybody else's runs here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",  # traces hold prompts, which must not stay in a browser's cache
}
"""The headers of every answer."""

_REFUSED = "This page needs the link with its token, which was printed when the page was started."


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets requests through to `app` that have the token or the cookie of an earlier one, by GET and HEAD only.

    The name of the cookie has the port in it, because browsers send cookies to every port. The host in the request must
    be an IP address, `localhost` or one of `names`: otherwise any web site could let its own name point to this machine
    and read the page through the browser.
    """

    app: ASGIApp
    token: str
    port: int
    names: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, every answer with the headers of `HEADERS`."""
        if scope["type"] != "http":  # the page has no web sockets
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(scope) or self.app
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Returns the answer to a request that does not get through."""
        request = HTTPConnection(scope)
        if not self._is_this_machine(request.headers.get("host", "")):
            return PlainTextResponse("This page is not served under that host name.", 400)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This page can only be read.", 405, {"Allow": "GET, HEAD"})
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None and self._is_token(given):
            return self._with_cookie(scope["path"], [pair for pair in query if pair[0] != "token"])
        if self._is_token(request.cookies.get(self._cookie, "")):
            return None
        return PlainTextResponse(_REFUSED, 403)

    def _with_cookie(self, path: str, query: list[tuple[str, str]]) -> Response:
        """Takes the token out of the address, where others would see it; the cookie has it from now on."""
        page = "./" + quote(path.rpartition("/")[2])
        answer = RedirectResponse(f"{page}?{urlencode(query)}" if query else page, 303)
        # "lax" and not "strict": the link may be clicked in a notebook, which is another site
        answer.set_cookie(self._cookie, self.token, httponly=True, samesite="lax")
        return answer

    @property
    def _cookie(self) -> str:
        return f"otel_callbacks_ui_{self.port}"

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _is_this_machine(self, host: str) -> bool:
        name, _, rest = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        name = (name if rest.isdecimal() else host).lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True
