"""Names from files and times, made fit for people's eyes."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from engine.programs import printable as printable_text

_FIGURE = re.compile(r"\d[\d.,]*( (bytes|kB|MB|GB|TB))?")


def printable(name: str | bytes | Path) -> str:
    """`name` on one line: whatever does not print (line breaks, controls, stray bytes) is written as an escape."""
    return printable_text(os.fsdecode(name))


def duration(seconds: float) -> str:
    """`45s`, `3m 20s`, `2h 05m`, `3d 4h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600}h"


def clock_time(seconds: float, *, decimals: int = 3) -> str:
    """A place in an episode: `1:02.500`, `1:23:45.000`."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    seconds = round(seconds, decimals)
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    rest = f"{seconds % 60:0{decimals + 3 if decimals else 2}.{decimals}f}"
    return f"{sign}{hours}:{minutes:02d}:{rest}" if hours else f"{sign}{minutes}:{rest}"


def without_figures(text: str) -> str:
    """What two reasons have in common of which one is the other a moment later: a full disk has a few bytes more."""
    return _FIGURE.sub("", text)


class OneLineFormatter(logging.Formatter):
    """Log lines with whatever does not print escaped: a file's name cannot forge a line. Tracebacks keep theirs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        return "\n    ".join(printable_text(line) for line in super().formatMessage(record).split("\n"))
