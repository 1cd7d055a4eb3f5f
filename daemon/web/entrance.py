"""In and out: the token becomes a browser's session, and the session ends."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from daemon.web.access import SESSION_S
from daemon.web.rendering import render
from daemon.web.visitors import comes_from_here, form_of, refusal, session_of, site_of


async def enter(request: Request) -> Response:
    """Token in, session out: by the address that `kakudai status --url` prints, or typed into the page's form."""
    said = request.query_params.get("token")
    if request.method == "POST":
        said = (await form_of(request)).get("token", [""])[0]
    site = site_of(request)
    if said is not None and site.access.is_token(said.strip()):
        response: Response = RedirectResponse("/", 303)
        response.set_cookie(
            site.access.cookie,
            site.access.new_session(),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return response
    return render("enter.html", request, status=401 if said is not None else 200, wrong=said is not None)


async def leave(request: Request) -> Response:
    """End the session."""
    session = session_of(request)
    if session is None or not comes_from_here(request, await form_of(request), session):
        return refusal(request)
    response = RedirectResponse("/", 303)
    response.delete_cookie(site_of(request).access.cookie)
    return response
