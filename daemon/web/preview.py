"""A finished preview, served as what it is: a page with script and style inside, which can act for nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from daemon.web.guard import told
from daemon.web.opening import open_plain
from daemon.web.visitors import may_look, site_of

_HEADERS = {
    # the sandbox gives it an origin that is nobody's: no cookie, no form, no word to the service
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    # by the HTML standard a sandboxed page that asks for an opener policy is not shown (Chromium shows it)
    "Cross-Origin-Opener-Policy": "unsafe-none",
}
_CHUNK = 1 << 18


async def show(request: Request) -> Response:
    """The preview of one job. The path comes from the service, made of the job's number and nothing else."""
    if not may_look(request):
        return RedirectResponse("/enter", 303)
    answer = await site_of(request).ask(do="preview_page", job=request.path_params["job"])
    path = answer.get("path")
    file = None if path is None else await asyncio.to_thread(open_plain, path)
    if file is None:
        return told("", 404, "there is no preview of this job", "ask for one on the job's page")
    size = os.fstat(file.fileno()).st_size
    headers = {**_HEADERS, "Content-Length": str(size)}
    return StreamingResponse(_chunks(file, size), media_type="text/html; charset=utf-8", headers=headers)


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    with file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk
