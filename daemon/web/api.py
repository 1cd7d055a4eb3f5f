"""`/api/v1`: what the page shows and does, as JSON. Described by `/api/v1/openapi.json`, made from the same tables."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daemon.web.guard import status_for
from daemon.web.operations import OPERATIONS
from daemon.web.schemas import LOOKS, describe
from daemon.web.visitors import body_of, has_token, may_look, refusal, site_of
from engine.errors import UsageError

BASE = "/api/v1"


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name} is a whole number", remedy=f"give {name} as digits")
    return int(text)


def _history(request: Request) -> Mapping[str, Any]:
    return {
        "do": "history",
        "states": request.query_params.getlist("state"),
        "search": request.query_params.get("search", ""),
        "after": request.query_params.get("after"),
        "limit": _number(request, "limit", 50),
    }


_REQUESTS: Mapping[str, Callable[[Request], Mapping[str, Any]]] = {
    "/status": lambda _: {"do": "status"},
    "/queue": lambda request: {
        "do": "queue",
        "first": _number(request, "first", 0),
        "limit": _number(request, "limit", 50),
    },
    "/history": _history,
    "/jobs/{job}": lambda request: {"do": "job", "job": request.path_params["job"]},
    "/folders": lambda _: {"do": "folders"},
}


def _looking(ask_for: Callable[[Request], Mapping[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def look(request: Request) -> Response:
        if not may_look(request):
            return refusal(request)
        return answered(await site_of(request).ask(**ask_for(request)))

    return look


def _doing(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def do(request: Request) -> Response:
        if not has_token(request):
            return refusal(request)
        try:
            given = json.loads(await body_of(request) or b"{}")
        except ValueError as error:
            raise UsageError("the body is no JSON", remedy="send one JSON object") from error
        if not isinstance(given, dict):
            raise UsageError("the body is no JSON object", remedy="send one JSON object")
        if request.path_params.keys() & given.keys():
            raise UsageError("job stands in the address", remedy="leave it out of the body")
        given |= request.path_params
        site = site_of(request)
        answer = await site.ask(**OPERATIONS[name].request(name, given))
        site.forget_status()
        return answered(answer)

    return do


async def _machine(request: Request) -> Response:
    if not may_look(request):
        return refusal(request)
    site = site_of(request)
    places = (await site.ask(do="folders"))["places"]
    return JSONResponse(await site.machine.look(places))


async def _openapi(request: Request) -> Response:
    if not may_look(request):
        return refusal(request)
    return JSONResponse(describe(BASE))


def answered(answer: Mapping[str, Any]) -> Response:
    """An answer of the service: 400 to 503 where it is an error; 409 where none of the jobs could be changed."""
    status = 200
    if "error" in answer:
        status = status_for(answer["exit_code"])
    elif answer.get("refused") and not answer.get("jobs"):
        status = 409
    return JSONResponse(answer, status_code=status)


ROUTES = [
    *(
        Route(BASE + path.replace("{job}", "{job:int}"), _looking(_REQUESTS[path]), methods=["GET"])
        for path in LOOKS
        if path in _REQUESTS
    ),
    Route(f"{BASE}/machine", _machine),
    Route(f"{BASE}/openapi.json", _openapi),
    *(
        Route(BASE + operation.path(name).replace("{job}", "{job:int}"), _doing(name), methods=["POST"])
        for name, operation in OPERATIONS.items()
    ),
]
