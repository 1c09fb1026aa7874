"""Checks the host and the origin of each request, and adds headers to each answer."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.console.assets import ALLOWED
from service.console.hosts import Hosts, same_origin

# Nothing from other hosts, one script inline, and no page may frame this one.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' {ALLOWED}; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # without any, browsers hide the origin of a form
    "X-Accel-Buffering": "no",  # a proxy between has to pass on streams as they come
    "X-Content-Type-Options": "nosniff",
}


class Guards:
    """Refuses requests that other sites' pages may have sent, and adds headers to answers.

    Not Starlette's BaseHTTPMiddleware, which would keep streams in a queue of its own.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        answer = self._app if refusal is None else PlainTextResponse(refusal, 403)
        await answer(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if not self._hosts.allows(host):
            return "Host: is not one of this console's; allowed is an address, or CONSOLE_HOSTS"
        if method in ("GET", "HEAD"):
            return None
        if not same_origin(headers.get("origin"), headers.get("sec-fetch-site"), host):
            return "Origin: is not this console's; allowed are requests of its own page"
        return None
