"""Style, script and mark: read once at the start, served by name from memory. No address reaches the file system."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from daemon.web.guard import told

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in sorted((Path(__file__).parent / "static").iterdir())
    if path.suffix in _TYPES
}
VERSION = hashlib.sha256(b"".join(content for content, _ in _FILES.values())).hexdigest()[:12]
"""Stands in the addresses, so that browsers may keep the files for ever."""


async def serve(request: Request) -> Response:
    """One of the files."""
    found = _FILES.get(request.path_params["name"])
    if found is None:
        return told("", 404, "there is nothing here", "begin at /")
    content, kind = found
    return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})
