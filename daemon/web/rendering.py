"""Jinja2: whatever is put into a template is escaped, and a name that is missing is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from daemon.web import static, words
from daemon.web.visitors import session_of, site_of
from engine import __version__

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.filters |= {name: getattr(words, name) for name in words.__all__}

for _name in _templates.list_templates():
    _templates.get_template(_name)  # compiled now, not while the first reader waits


def render(name: str, request: Request, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. `form_key` is what its forms carry; None for who may only look."""
    site, session = site_of(request), session_of(request)
    page = _templates.get_template(name).render(
        version=__version__,
        static=static.VERSION,
        path=request.url.path,
        here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        form_key=None if session is None else site.access.form_key(session),
        note=None if session is None else site.notes.pop(session, None),
        **values,
    )
    return HTMLResponse(page, status_code=status)
