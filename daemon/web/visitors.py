"""Who looks and who steers: the token in an Authorization header (programs), a session cookie (browsers)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from daemon.web.guard import told
from daemon.web.site import Site
from engine.errors import UsageError

_LARGEST_BODY = 1 << 16
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Kakudai"'}
_HOW = "`kakudai status --url` prints the address with the token; programs send Authorization: Bearer TOKEN"


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site


def session_of(request: Request) -> str | None:
    """The session that a browser is in, if it is in one."""
    access = site_of(request).access
    cookie = request.cookies.get(access.cookie, "")
    return cookie if access.is_session(cookie) else None


def has_token(request: Request) -> bool:
    """Whether the request carries the token itself."""
    kind, _, said = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and site_of(request).access.is_token(said.strip())


def may_look(request: Request) -> bool:
    """On this machine everybody may; from elsewhere, who has the token."""
    return site_of(request).access.reading_is_open or session_of(request) is not None or has_token(request)


def refusal(request: Request) -> Response:
    """401, with the way in."""
    return told(request.url.path, 401, "this needs Kakudai's token", _HOW, headers=_CHALLENGE)


async def body_of(request: Request) -> bytes:
    """The request's body. Raises `UsageError` for one that is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise UsageError("the request is too large", remedy=f"send at most {_LARGEST_BODY:,} bytes")
    return bytes(body)


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form, all values of each. Raises `UsageError`."""
    try:
        fields = parse_qsl((await body_of(request)).decode(), keep_blank_values=True, max_num_fields=2000)
    except ValueError as error:
        raise UsageError(f"the form is not understood: {error}", remedy="load the page again") from error
    form: dict[str, list[str]] = {}
    for name, value in fields:
        form.setdefault(name, []).append(value)
    return form


def comes_from_here(request: Request, form: dict[str, list[str]], session: str) -> bool:
    """Whether a form was sent by a page of this session: it carries the session's key, and the browser, where it tells
    (Sec-Fetch-Site), agrees. Origin says `null` for a page that sends no referrer, and decides nothing then.
    """
    origin = request.headers.get("origin", "null")
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    said = form.get("form", [""])[0]
    return (
        fetched == "same-origin"
        and (origin == "null" or origin.partition("://")[2] == request.headers["host"])
        and site_of(request).access.is_form_key(said, session)
    )
