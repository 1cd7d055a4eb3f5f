"""What people look at beside the status: the queue and the history in pages, one job, the folders.

    {"do": "queue", "first": 0, "limit": 50}                     → {"jobs": […], "total": 120}
    {"do": "history", "states": ["failed"], "search": "Title", "after": "1.7e9-12", "limit": 50}
                                                                 → {"jobs": […], "next": "1.69e9-7" | null}
    {"do": "job", "job": 12}                                     → {"job": {…}, "attempts": […], "report": {…} | null}
    {"do": "folders"}                                            → {"folders": […], "places": {…}}

Nothing here writes. Names are escaped; times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.config_model import Config, Folder
from daemon.history import ENDED, Mark
from daemon.ledger import Ledger
from daemon.status import job_for_people
from daemon.text import printable
from engine.errors import MissingInputError, UsageError

MOST = 200
"""Jobs of one page."""
LONGEST_SEARCH = 200
"""Letters."""

Answer = Mapping[str, Any]


class Looks:
    """Answers looks from the ledger. Raises `KakudaiError`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.known = {"queue": self._queue, "history": self._history, "job": self._job}

    def _queue(self, request: Answer) -> Answer:
        first, limit = _whole(request, "first", 0, most=1 << 31), _whole(request, "limit", 50, least=1, most=MOST)
        jobs = self._ledger.jobs("queued", limit=limit, first=first)
        return {"jobs": [job_for_people(job) for job in jobs], "total": self._ledger.counts().get("queued", 0)}

    def _history(self, request: Answer) -> Answer:
        states = request.get("states") or list(ENDED)
        if not isinstance(states, list) or not all(state in ENDED for state in states):
            raise UsageError("no such state in history", remedy=f"there are {', '.join(ENDED)}")
        limit = _whole(request, "limit", 50, least=1, most=MOST)
        try:
            after = Mark.from_text(str(request["after"])) if request.get("after") is not None else None
        except ValueError as error:
            raise UsageError("after is no mark", remedy="give the `next` of the page before") from error
        search = str(request.get("search") or "")
        if len(search) > LONGEST_SEARCH or not _is_utf8(search):
            raise UsageError("that cannot be searched for", remedy=f"give at most {LONGEST_SEARCH} letters, in UTF-8")
        jobs = self._ledger.history.latest(list(dict.fromkeys(states)), limit=limit + 1, search=search, after=after)
        shown = jobs[:limit]
        more = str(Mark(shown[-1].changed, shown[-1].id)) if len(jobs) > limit else None
        return {"jobs": [job_for_people(job) for job in shown], "next": more}

    def _job(self, request: Answer) -> Answer:
        number = _whole(request, "job", 0, most=(1 << 63) - 1)
        job = self._ledger.job(number)
        if job is None:
            raise MissingInputError(f"there is no job {number}", remedy="look into the history")
        history = self._ledger.history
        return {"job": job_for_people(job), "attempts": history.attempts(number), "report": history.report(number)}


def folders_for_people(
    config: Config, ledger: Ledger, waiting: Mapping[Path, tuple[str, str]], missing: Mapping[Path, str]
) -> Answer:
    """The watched folders with their profiles and how they are, and the places whose disks matter."""
    queued = ledger.queued_by_folder()
    places = {"state": config.state_dir, "work files": config.work_dir}
    places |= {f"output {number}": folder.output for number, folder in enumerate(config.folders, start=1)}
    return {
        "folders": [
            {
                **_plain(folder),
                "queued": queued.get(folder.input, 0),
                "there": folder.input not in missing,
                "waits": waiting.get(folder.input, (None, None))[0],
                "remedy": waiting.get(folder.input, (None, None))[1],
            }
            for folder in config.folders
        ],
        "places": {name: str(path) for name, path in places.items()},
    }


def _plain(folder: Folder) -> dict[str, Any]:
    settings = folder.settings
    return {
        "input": printable(folder.input),
        "output": printable(folder.output),
        "profile": folder.profile,
        "enlarges": f"to {settings.target}" if settings.target else f"{settings.scale}×",
        "mode": str(settings.mode),
        "model": settings.model_name,
        "encoder": settings.encoder.name,
        "original": str(folder.original),
    }


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(request: Answer, name: str, default: int, *, least: int = 0, most: int) -> int:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}", remedy="give a number")
    return value
