"""Server-sent events for pages with JavaScript: the running job once a second, and word when anything else changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from daemon.web.guard import told
from daemon.web.site import Site
from daemon.web.visitors import may_look, refusal, site_of
from daemon.web.words import now_words
from engine.errors import EnvironmentFault

_EVERY_S = 1.0
_MOST_LISTENERS = 32
_LONGEST_S = 3600.0
"""Seconds after which a stream ends; the browser opens it again, with what it may look at by then."""
_OF_THE_RUNNING = ("job", "state", "source", "stage", "kind", "output_size")


async def stream(request: Request) -> Response:
    """`now`: the words of `daemon.web.words.now_words`; `changed`: fetch the page again."""
    if not may_look(request):
        return refusal(request)
    site = site_of(request)
    if site.listeners >= _MOST_LISTENERS:
        return told("", 503, "too many pages are open", "close some; this one shows what it was when it was loaded")
    return StreamingResponse(_events(site), media_type="text/event-stream")


async def _events(site: Site) -> AsyncIterator[str]:
    site.listeners += 1
    try:
        seen = ""
        until = time.monotonic() + _LONGEST_S
        while not site.closing.is_set() and time.monotonic() < until:
            try:
                state = await site.status()
            except EnvironmentFault:
                yield _event("waiting", {})
                await asyncio.sleep(_EVERY_S)
                continue
            if state.get("running"):
                yield _event("now", now_words(state["running"]))
            shape = shape_of(state)
            if shape != seen:
                yield _event("changed", {"shape": shape})
            seen = shape
            await asyncio.sleep(_EVERY_S)
    finally:
        site.listeners -= 1


def shape_of(state: Mapping[str, Any]) -> str:
    """A digest of all that the page shows but the running job's figures."""
    running = state.get("running") or {}
    moving = ("running", "also_running", "tally", "cluster")
    rest = {name: value for name, value in state.items() if name not in moving}
    cluster = state.get("cluster") or {"nodes": []}
    nodes = [[node[name] for name in ("node", "state", "workers", "segments", "reason")] for node in cluster["nodes"]]
    others = [[job["job"], job.get("done")] for job in state.get("also_running", ())]
    shown = [rest, nodes, others, [running.get(name) for name in _OF_THE_RUNNING], running.get("glimpse") is None]
    return hashlib.sha256(json.dumps(shown, default=str).encode()).hexdigest()[:16]


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
