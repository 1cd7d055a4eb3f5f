"""Folders whose work waits because the machine is not fit for it, and jobs that wait for their next attempt.

In memory, on the monotonic clock: after a restart everything is tried at once, and no clock change matters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config_model import Folder
from daemon.text import without_figures
from engine.errors import KakudaiError

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0
_SPACE_WORTH_A_TRY = 1 << 20


@dataclass(frozen=True)
class Pause:
    """Why a folder's work waits, until when on the clock, and how much was free on its disks."""

    reason: str
    remedy: str
    until: float
    length_s: float
    free: dict[Path, int]


class Pauses:
    """Which folders and jobs are not to be claimed now."""

    def __init__(self, *places: Path, clock: Callable[[], float]) -> None:
        """`places`: folders beside each folder's output where freed space ends a pause early."""
        self._places = places
        self._clock = clock
        self._folders: dict[Path, Pause] = {}
        self._jobs: dict[int, float] = {}

    def pause(self, folder: Folder, fault: KakudaiError) -> bool:
        """Let the folder wait: 5 s, then twice as long each time. True when this is news."""
        before = self._folders.get(folder.input)
        length_s = min(_LONGEST_PAUSE_S, before.length_s * 2) if before else _FIRST_PAUSE_S
        free = {place: _free_bytes(place) for place in (folder.output, *self._places)}
        self._folders[folder.input] = Pause(str(fault), fault.remedy, self._clock() + length_s, length_s, free)
        return before is None or without_figures(before.reason) != without_figures(str(fault))

    def is_paused(self, folder: Folder) -> bool:
        """Whether the folder's work waits still. Freed space, or a folder that is back, ends a pause early."""
        pause = self._folders.get(folder.input)
        if pause is None or self._clock() >= pause.until:
            return False
        return not any(_free_bytes(place) >= free + _SPACE_WORTH_A_TRY for place, free in pause.free.items())

    def over(self, folder: Folder) -> None:
        """The folder's work goes well again."""
        self._folders.pop(folder.input, None)

    def reasons(self) -> dict[Path, tuple[str, str]]:
        """Reason and remedy of each pause in force, by the folder's input."""
        now = self._clock()
        return {folder: (pause.reason, pause.remedy) for folder, pause in self._folders.items() if now < pause.until}

    def delay(self, job: int, seconds: float) -> None:
        """Do not claim this job before `seconds` have passed."""
        self._jobs[job] = self._clock() + seconds

    def delayed_jobs(self) -> set[int]:
        """Jobs that wait for their next attempt."""
        now = self._clock()
        self._jobs = {job: until for job, until in self._jobs.items() if until > now}
        return set(self._jobs)

    def forget_job(self, job: int) -> None:
        """Claim it as soon as its turn comes."""
        self._jobs.pop(job, None)


def _free_bytes(path: Path) -> int:
    try:
        status = os.statvfs(path)
    except OSError:
        return -_SPACE_WORTH_A_TRY  # not there: less than nothing
    return status.f_bavail * status.f_frsize
