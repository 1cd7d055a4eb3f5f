"""Figures as people read them, the same on the page and in what updates it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.report import notes_of
from daemon.space import size
from daemon.text import duration, printable

__all__ = [
    "ago",
    "count",
    "duration",
    "fields_of",
    "folder_of",
    "moment",
    "name_of",
    "now_words",
    "percent",
    "quoted",
    "size",
]


def count(number: float) -> str:
    """`34,095`."""
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    """`64 %`; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.0f} %"


def ago(moment_: float) -> str:
    """`3m 20s ago`."""
    passed = time.time() - moment_
    return "just now" if passed < 5 else f"{duration(passed)} ago"


def moment(seconds: float) -> str:
    """`2026-11-24T20:46:37Z`: for machines, and for who points at `ago`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def name_of(path: str) -> str:
    """The last part of a path."""
    return Path(path).name


def folder_of(path: str) -> str:
    """What lies before it."""
    return str(Path(path).parent)


def quoted(path: str) -> str:
    """As a shell wants it."""
    return shlex.quote(path)


def now_words(running: Mapping[str, Any]) -> dict[str, Any]:
    """What changes while a job runs, in words; `share` is 0..1, None while it cannot be known."""
    total, done = running.get("total"), running.get("done")
    share = done / total if total and done is not None else None
    words = {
        "share": share,
        "percent": "" if share is None else f"{100 * share:.1f} %",
        "stage": running.get("stage") or "starting",
        "unit": running.get("unit") or "frames",
        "count": "–",
        "speed": "–",
        "left": "–",
        "since": duration(running["seconds"]),
        "bottleneck": running.get("bottleneck") or "–",
        "reused": percent(running.get("reused_share")),
        "stages": dict(running.get("stages") or {}),
        "glimpse": running.get("glimpse"),
    }
    if done is not None:
        words["count"] = f"{count(done)} of {count(total)}" if total else count(done)
    if running.get("per_second"):
        words["speed"] = f"{running['per_second']:.3g} {running['unit']}/s"
    if running.get("eta_s") is not None:
        words["left"] = duration(running["eta_s"])
    return words


def fields_of(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What of a report is worth a look, in its order."""
    details = report.get("details", {})
    found = {
        "Frames": count(report["frames"]),
        "Size": f"{report['source_size']} → {report['output_size']}",
        "Took": duration(report["seconds"]),
        "Device": details.get("device"),
        "Reused": percent(details["reused_share"]) if details.get("reused_share") is not None else None,
        "Held back by": details.get("bottleneck"),
        "Encoder": details.get("encoder"),
        "Segments": details.get("segments"),
        "To note": "; ".join(map(printable, notes_of(report))),
        "Tag": details.get("tag"),
        "Source, SHA-256": report.get("source", {}).get("sha256"),
        "Output, SHA-256": report.get("output", {}).get("sha256"),
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "")]
