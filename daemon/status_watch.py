"""`kakudai status --watch`: the page again and again, until Ctrl-C."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from daemon.status import render
from engine.errors import EnvironmentFault, KakudaiError

_ALONE, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's second screen without a cursor, and back to the first."""
_TOP, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(ask: Callable[[], Mapping[str, Any]], *, every_s: float, as_json: bool) -> int:
    """Show what `ask` tells every so many seconds; returns 0 at Ctrl-C.

    On a terminal each page covers the last; elsewhere, and as JSON (one line each), they follow each other. A service
    that does not answer for a while is shown as that. Raises what the first question raises.
    """
    covers = sys.stdout.isatty() and not as_json
    page = _page(ask(), as_json=as_json)
    try:
        if covers:
            sys.stdout.write(_ALONE)
        while True:
            sys.stdout.write(_covering(page) if covers else f"{page}\n")
            sys.stdout.flush()
            time.sleep(every_s)
            try:
                page = _page(ask(), as_json=as_json)
            except EnvironmentFault as fault:
                page = _trouble(fault, as_json=as_json)
    except KeyboardInterrupt:
        return 0
    finally:
        if covers:
            sys.stdout.write(_BACK)
            sys.stdout.flush()


def _page(state: Mapping[str, Any], *, as_json: bool) -> str:
    return json.dumps(state, ensure_ascii=False) if as_json else render(state)


def _trouble(error: KakudaiError, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"error": error.reason, "remedy": error.remedy}, ensure_ascii=False)
    return f"{error}\n  → {error.remedy}"


def _covering(page: str) -> str:
    """`page` from the top of the screen, cut to it, with what stood there before wiped."""
    size = shutil.get_terminal_size()
    lines = [f"{time.strftime('%H:%M:%S')}  (Ctrl-C ends)", "", *page.splitlines()][: size.lines - 1]
    return _TOP + "".join(f"{line[: size.columns]}{_REST_OF_LINE}\n" for line in lines) + _REST
