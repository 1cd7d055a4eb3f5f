"""Stands before every route: the Host header, headers that bind the browser, and errors in words."""

from __future__ import annotations

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.web.access import Access
from engine.errors import EnvironmentFault, KakudaiError, MissingInputError

log = logging.getLogger(__name__)

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Refuses what names another host, and adds the same headers to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A header that a route sets for itself stays as it is."""

        async def send_bound(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] != "http":
            return
        host = Headers(scope=scope).get("host", "")
        own = scope.get("server")
        if self._access.knows_host(host, own_address=own[0] if own else None):
            await self._app(scope, receive, send_bound)
            return
        refusal = told(
            scope["path"],
            403,
            "this address is not one of Kakudai's",
            "use the address that `kakudai status --url` prints; for a name of your own put it under web: names",
        )
        await refusal(scope, receive, send_bound)


def told(path: str, status: int, error: str, remedy: str, *, headers: dict[str, str] | None = None) -> Response:
    """An error in words: JSON for programs, plain text for people."""
    if path.startswith("/api/"):
        return JSONResponse({"error": error, "remedy": remedy}, status_code=status, headers=headers)
    return PlainTextResponse(f"Kakudai: {error}.\n\n→ {remedy}\n", status_code=status, headers=headers)


async def on_error(request: Request, error: Exception) -> Response:
    """An error of the house, as an answer."""
    assert isinstance(error, KakudaiError)
    return told(request.url.path, status_for(error.exit_code), str(error), error.remedy)


def status_for(exit_code: int) -> int:
    """HTTP's word for an error: 404 for what is not there, 503 for what passes, 400 for the rest."""
    return {MissingInputError.exit_code: 404, EnvironmentFault.exit_code: 503}.get(exit_code, 400)


async def on_unknown(request: Request, _: Exception) -> Response:
    """404."""
    return told(request.url.path, 404, "there is nothing here", "begin at /")


async def on_wrong_method(request: Request, error: Exception) -> Response:
    """405."""
    assert isinstance(error, HTTPException)
    words = f"{request.method} is not understood here", "see /api/v1/openapi.json"
    return told(request.url.path, 405, *words, headers=dict(error.headers or {}))


async def on_fault(request: Request, error: Exception) -> Response:
    """500: a fault of ours."""
    log.error("the status page failed on %s", request.url.path, exc_info=error)
    return told(request.url.path, 500, "the page failed", "please report this with the service's journal")
