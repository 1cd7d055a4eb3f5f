"""Previews that people ask the status page for: each made by a process of its own, one at a time, kept for a while.

    {"do": "preview", "job": 12}       → {"jobs": [12], "refused": {}}
    {"do": "job", "job": 12}           → as `daemon.looks` has it, and "preview": {…} | null
    {"do": "preview_page", "job": 12}  → {"path": "…/previews/12/preview.html" | null}

While a job is at work, a preview is made beside it: on the CPU alone, at a niceness that leaves the job its cores.
Otherwise it has the machine as a job has, and no job begins before its end; that takes minutes at most.
What failed is known until the service ends; what was made, until `daemon.housekeeping` removes it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daemon.child import JobProcess
from daemon.config_model import Config, Folder
from daemon.folder_files import Hold
from daemon.housekeeping import KEPT_PREVIEWS, PREVIEWS, trim_previews
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.looks import Looks
from daemon.outcome import Failed
from daemon.place import remove
from daemon.request import Request
from daemon.running import Running
from daemon.settling import look
from daemon.text import printable
from daemon.worker import Worker
from engine.errors import KakudaiError, MissingInputError
from engine.files import storing
from engine.settings import Device

log = logging.getLogger(__name__)

PREVIEWED = ("queued", "failed", "incomplete")
"""States in which a job can be previewed: its source is there, and its hours are not spent yet."""
_PAGE = "preview.html"
_MOST_WAITING = 10
_NICER_BESIDE_A_JOB = 10
_NICEST = 19
_LARGEST = (1 << 63) - 1
_SAID = ("beat", "progress", "warning", "failed")
"""What the process of a preview says as that of a job does."""

Answer = Mapping[str, Any]


class _Making(Running):
    """A preview and its process, bounded as a job is."""

    made = False
    beside = False
    """Whether a job was at work when it began."""

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 1; None while that is not known."""
        progress = self._progress
        if progress is None or progress["stage"] != "enlarge" or not progress["total"]:
            return None
        return min(1.0, round(progress["done"] / progress["total"], 2))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "made":
            self.made = True
        elif event["event"] in _SAID:
            super()._take(event)
        else:
            raise ValueError(event)


class Previews:
    """Of one service; all methods belong to its loop."""

    def __init__(self, config: Config, ledger: Ledger, worker: Worker, *, clock: Callable[[], float]) -> None:
        self._config = config
        self._ledger = ledger
        self._worker = worker
        self._clock = clock
        self._waiting: deque[int] = deque()
        self._making: _Making | None = None
        self._failed: dict[int, tuple[str, str]] = {}
        """Reason and remedy, by job."""
        self._closed = False
        self.known = {"preview": self._order, "preview_page": self._page_path, "job": self._look}

    @property
    def at_work(self) -> list[Running]:
        """The preview that is being made, if there is one."""
        return [] if self._making is None else [self._making]

    @property
    def has_the_machine(self) -> bool:
        """Whether a job that begins now would disturb it."""
        return self._making is not None and not self._making.beside

    def reload(self, config: Config) -> None:
        """Make the next one by another configuration."""
        self._config = config

    def close(self) -> None:
        """End what is being made at once, and make nothing more."""
        self._closed = True
        self._waiting.clear()
        if self._making is not None:
            self._making.process.close()
            self._making = None

    # --- what people ask ---

    def _order(self, request: Answer) -> Answer:
        """Make a preview of a job as soon as those asked for earlier are made. Raises `MissingInputError`."""
        job = self._job(request.get("job"))
        under_way = self._is_under_way(job.id)
        why = None if under_way else self._why_not(job)
        if why is None and not under_way and len(self._waiting) >= _MOST_WAITING:
            why = f"{_MOST_WAITING} previews wait already"
        if why is not None:
            return {"jobs": [], "refused": {str(job.id): why}}
        if not under_way:
            self._failed.pop(job.id, None)
            self._waiting.append(job.id)
        return {"jobs": [job.id], "refused": {}}

    def _page_path(self, request: Answer) -> Answer:
        """Where the finished preview of a job lies. Raises `MissingInputError`."""
        number = self._job(request.get("job")).id
        ready = not self._is_under_way(number) and self._made_at(number) is not None
        return {"path": str(self._place(number) / _PAGE) if ready else None}

    def _look(self, request: Answer) -> Answer:
        answer = Looks(self._ledger).known["job"](request)
        return {**answer, "preview": self._state(answer["job"]["job"])}

    def _state(self, number: int) -> dict[str, Any] | None:
        """What became of a job's preview, JSON-ready; None where there is none."""
        state: dict[str, Any] = dict.fromkeys(("share", "reason", "remedy", "made", "address"))
        made_at = self._made_at(number)
        if self._making is not None and self._making.job.id == number:
            return {**state, "state": "making", "share": self._making.share}
        if number in self._waiting:
            return {**state, "state": "waiting"}
        if number in self._failed:
            reason, remedy = self._failed[number]
            return {**state, "state": "failed", "reason": reason, "remedy": remedy}
        if made_at is not None:
            return {**state, "state": "ready", "made": made_at, "address": f"/jobs/{number}/preview"}
        return None

    def plain(self) -> dict[str, Any]:
        """For the status, JSON-ready: which job's is being made, how far it is, and whose wait."""
        making = self._making
        return {
            "making": None if making is None else making.job.id,
            "share": None if making is None else making.share,
            "waiting": list(self._waiting),
        }

    def _job(self, number: object) -> Job:
        is_number = isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _LARGEST
        job = self._ledger.job(number) if is_number and isinstance(number, int) else None
        if job is None:
            raise MissingInputError("there is no such job", remedy="look into the history")
        return job

    def _is_under_way(self, number: int) -> bool:
        return number in self._waiting or any(making.job.id == number for making in self.at_work)

    def _why_not(self, job: Job) -> str | None:
        if self._closed:
            return "the service is ending"
        if job.state not in PREVIEWED:
            return f"it is {job.state}"
        if job.folder in self._worker.files.silent:
            return "its folder does not answer"
        seen = look(os.fspath(job.source), job.kind)
        if job.superseded or seen is None or not job.identity.same_file(seen.identity):
            return "its file has left or changed since"
        if self._folder_of(job) is None:
            return "its folder is not watched any more"
        return None

    def _folder_of(self, job: Job) -> Folder | None:
        return next((folder for folder in self._config.folders if folder.input == job.folder), None)

    def _place(self, number: int) -> Path:
        return self._config.state_dir / PREVIEWS / str(number)

    def _made_at(self, number: int) -> float | None:
        try:
            return (self._place(number) / _PAGE).lstat().st_mtime
        except OSError:
            return None

    # --- the work ---

    def tick(self) -> None:
        """Go on. Raises `EnvironmentFault` of the ledger."""
        if self._making is not None:
            self._attend(self._making)
        if self._making is None and self._waiting and not self._closed:
            job = self._ledger.job(self._waiting[0])
            self._waiting.popleft()
            if job is not None:
                self._begin(job)

    def _begin(self, job: Job) -> None:
        folder, why = self._folder_of(job), self._why_not(job)
        if why is not None or folder is None:
            self._fail(job, why or "its folder is not watched any more", "look at the job again")
            return
        found = self._worker.files.override(folder, job.source, job.kind)
        if isinstance(found, Hold):
            self._fail(job, found.reason, found.remedy)
            return
        try:
            self._making = self._start(job, found)
        except KakudaiError as error:
            self._fail(job, str(error), error.remedy)

    def _start(self, job: Job, folder: Folder) -> _Making:
        beside = bool(self._worker.at_work)
        settings, nice = folder.settings, self._config.worker.nice
        if beside:
            settings = dataclasses.replace(settings, device=Device.CPU)
            nice = min(_NICEST, nice + _NICER_BESIDE_A_JOB)
        place = self._place(job.id)
        remove(place)
        with storing(place):
            place.mkdir(parents=True)
        process = JobProcess(
            Request(job.source, job.kind, job.identity, settings, nice=nice),
            state_dir=self._config.state_dir,
            log_path=self._config.state_dir / "logs" / f"job-{job.id}-preview.log",
            module="daemon.preview_process",
        )
        process.answer(page=str(place / _PAGE))
        log.info("previewing %s (job %d)", printable(job.source), job.id)
        limits = self._config.worker
        making = _Making(job, folder, process, work_dir=place, clock=self._clock, limits=limits)
        making.beside = beside
        return making

    def _attend(self, making: _Making) -> None:
        making.hear()
        outcome = making.outcome
        if outcome is None and not making.made:
            outcome = making.verdict()
        if outcome is None and not making.made:
            return
        making.process.close()
        self._making = None
        if making.made and self._made_at(making.job.id) is not None:
            log.info("the preview of %s (job %d) is ready", printable(making.job.source), making.job.id)
        elif isinstance(outcome, Failed):
            self._fail(making.job, outcome.reason, outcome.remedy)
        else:
            self._fail(making.job, getattr(outcome, "reason", "there is no page"), "look into state_dir/logs")
        trim_previews(self._config, self._ledger)

    def _fail(self, job: Job, reason: str, remedy: str) -> None:
        log.warning("no preview of %s (job %d): %s; %s", printable(job.source), job.id, reason, remedy)
        self._failed.pop(job.id, None)
        self._failed[job.id] = (reason, remedy)
        while len(self._failed) > KEPT_PREVIEWS:
            del self._failed[next(iter(self._failed))]
