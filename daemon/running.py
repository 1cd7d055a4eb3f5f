"""The job at work: what its process has said, how far it is, and how it ended."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.child import JobProcess
from daemon.cluster.view import Told
from daemon.config_model import Folder, WorkerLimits
from daemon.job import Job
from daemon.memory import memory_bytes
from daemon.outcome import Changed, Done, Failed, Outcome, Skipped, Stopped
from daemon.place import part_path
from daemon.report import believable, notes_of
from daemon.segment_rows import record_from
from daemon.space import size
from daemon.text import duration, printable
from engine.segment_records import SegmentRecord

_MEMORY_LOOK_S = 1.0

_PLAN = (
    *("kind", "sha256", "output_name", "output_is_folder", "frames", "segment_frames"),
    *("source_size", "output_size", "work_bytes", "output_bytes"),
)
_NO_LIMITS = WorkerLimits()
GLIMPSE = "glimpse.jpg"
"""In the work folder: a piece of a frame before and after. As `engine.glimpse` has it, which loads OpenCV."""
_SHA256 = re.compile("[0-9a-f]{64}")
_LONGEST_TEXT = 1 << 14
LINGER_S = 5.0
"""Seconds that a process has for its end once the job's outcome is known."""


@dataclass(frozen=True)
class Place:
    """Where a job's result goes."""

    sha256: str
    wanted: Path
    part: Path
    work_dir: Path


class Running:
    """One job and its process."""

    def __init__(
        self,
        job: Job,
        folder: Folder,
        process: JobProcess,
        *,
        work_dir: Path,
        clock: Callable[[], float],
        limits: WorkerLimits = _NO_LIMITS,
    ) -> None:
        self.job = job
        self.folder = folder
        self.process = process
        self.outcome: Outcome | None = None
        self.outlived = False
        self.paused = False
        """Whether a file in its folder wants it to wait."""
        self.draining = False
        """Whether it is to be ended after its segment."""
        self.asked_to_end: float | None = None
        """When, on the clock."""
        self.plans: deque[dict[str, Any]] = deque()
        self.segments: deque[SegmentRecord] = deque()
        self.warnings: deque[str] = deque(maxlen=100)
        self.notes: deque[str] = deque()
        """Of what it has made."""
        self.plan: Mapping[str, Any] = {}
        self.wanted: Path | None = None
        self.glimpse: int | None = None
        """The frame of the last look at the work."""
        self.cluster: Told | None = None
        """What it said last of the cluster's nodes, until somebody takes it."""
        self.was_excused = False
        self._work_dir = work_dir
        self._clock = clock
        self._limits = limits
        self._looked_at_memory = clock()
        self._started = self._heard = self._moved = clock()
        self._ending_since: float | None = None
        self._progress: Mapping[str, Any] | None = None
        self._stage_began: tuple[float, int] = (self._started, 0)

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return self._clock() - self._started

    def ask_to_end(self) -> None:
        """Ask its process for an orderly end, once."""
        if self.asked_to_end is None:
            self.asked_to_end = self._clock()
            self.process.terminate()

    def excuse(self) -> None:
        """Its silence and its stalling mean nothing until now: its places did not answer."""
        self.was_excused = True
        self._heard = self._moved = self._clock()

    def seconds_to_safety(self) -> float | None:
        """How long, at the present pace, until its work cannot be lost any more; None where that cannot be told."""
        each, progress = self.plan.get("segment_frames"), self._progress
        if not isinstance(each, int) or each < 1 or progress is None or progress["stage"] != "enlarge":
            return None
        if self._pace <= 0:
            return None
        left = each - progress["done"] % each
        if progress["total"] is not None:
            left = min(left, progress["total"] - progress["done"])
        return left / self._pace

    @property
    def _pace(self) -> float:
        """Frames (or whatever is counted) a second since the stage began; 0.0 while nothing is known."""
        began, first = self._stage_began
        elapsed = self._clock() - began
        done = self._progress["done"] if self._progress else 0
        return (done - first) / elapsed if elapsed > 0 else 0.0

    def hear(self) -> None:
        """Take in what the process has said."""
        for event in self.process.events():
            self._heard = self._clock()
            try:
                self._take(event)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                self.process.kill()  # nothing that it says can be relied on
                return
        self.process.trim_log()

    def _take(self, event: dict[str, Any]) -> None:
        """Note one event. Raises KeyError, TypeError, ValueError or the like for one that is not as it should be."""
        match event["event"]:
            case "planned":
                self.plan = {key: _plain(event[key]) for key in _PLAN}
                if not _SHA256.fullmatch(str(self.plan["sha256"])):
                    raise ValueError(event)
                self.plans.append(dict(self.plan))
                self._moved = self._heard
            case "progress":
                self._note_progress(
                    {
                        "stage": str(event["stage"]),
                        "done": _whole(event["done"]),
                        "total": None if event["total"] is None else _whole(event["total"]),
                        "unit": str(event["unit"]),
                        "stages": {str(stage): _share(busy) for stage, busy in dict(event["stages"]).items()},
                        "bottleneck": None if event["bottleneck"] is None else str(event["bottleneck"]),
                        "reused_share": None if event["reused_share"] is None else _share(event["reused_share"]),
                    }
                )
            case "segment":
                self.segments.append(record_from(event))
                self._moved = self._heard
            case "cluster":
                self.cluster = Told.from_event(event)
            case "glimpse":
                self.glimpse = _whole(event["frame"])
            case "warning":
                self.warnings.append(str(event["message"])[:_LONGEST_TEXT])
            case "done":
                name = str(event["output_name"])
                if not _is_file_name(name) or not _SHA256.fullmatch(str(event["sha256"])):
                    raise ValueError(event)
                report = believable(event["report"])
                self.notes.extend(notes_of(report))
                self.outcome = Done(
                    name,
                    _whole(event["inode"]),
                    _whole(event["size"]),
                    str(event["sha256"]),
                    json.dumps(report),
                )
            case "changed":
                self.outcome = Changed()
            case "failed" if event["error"] == "NothingToDo":
                self.outcome = Skipped(printable(str(event["reason"])))
            case "failed":
                self.outcome = Failed.from_event(event)

    def verdict(self) -> Outcome | None:
        """The outcome that the process itself did not tell: it died, or hangs. None while all is well."""
        now = self._clock()
        silence_s = self.folder.settings.limits.silence_s
        status = self.process.exit_status()
        if status is not None:
            self.hear()  # its last words
            if self.outcome is not None or self.plans or self.segments:
                return self.outcome
            return _death(status) if self.asked_to_end is None else Stopped()
        if now - self._heard > silence_s:
            return Failed(
                "ProcessingError",
                f"the job's process gave no sign of life for {silence_s:g} s and was ended",
                "if it happens each time, the file is damaged or the machine overloaded",
            )
        if now - self._moved > self._limits.stall_s:
            return Failed(
                "ProcessingError",
                f"the job made no progress for {duration(self._limits.stall_s)} and was ended",
                "if it happens each time, choose a smaller scale or a lighter denoise, or raise worker.stall_s",
            )
        return self._too_large(now)

    def _too_large(self, now: float) -> Failed | None:
        limit = self._limits.memory_bytes
        if limit is None or now < self._looked_at_memory + _MEMORY_LOOK_S:
            return None
        self._looked_at_memory = now
        taken = memory_bytes(self.process.pid)
        if taken <= limit:
            return None
        return Failed(
            "ProcessingError",
            f"the job took {size(taken)} of memory, worker.memory_bytes allows {size(limit)}, and was ended",
            "raise worker.memory_bytes, or choose a smaller scale or a lighter preset of the encoder",
        )

    def ended(self) -> bool:
        """Whether the process is gone; it is ended if it lingers after its outcome is known."""
        if self.process.exit_status() is not None:
            return True
        if self._ending_since is None:
            self._ending_since = self._clock()
        told = isinstance(self.outcome, Done | Changed)
        if not told or self._clock() - self._ending_since > LINGER_S:
            self.process.kill()
            return True
        return False

    def place_for(self, plan: Mapping[str, Any]) -> Place | Failed:
        """Where the planned result goes: the tree below the input is mirrored in the output."""
        name = str(plan["output_name"])
        if not _is_file_name(name):
            return Failed("ProcessingError", f"{name!r} is no file name", "check the profile's name template")
        folder = self.folder.output / self.job.relative.parent
        return Place(str(plan["sha256"]), folder / name, part_path(folder, name, str(self.job.id)), self._work_dir)

    def status(self) -> dict[str, Any]:
        """For people: how far, how fast, how long still."""
        status: dict[str, Any] = {"seconds": round(self.seconds, 1), "pid": self.process.pid}
        status["profile"] = self.folder.profile
        status |= {"draining": self.draining, "memory_bytes": memory_bytes(self.process.pid), "glimpse": self.glimpse}
        for key in ("kind", "source_size", "output_size", "frames"):
            status[key] = self.plan.get(key)
        if self._progress:
            done, total = self._progress["done"], self._progress["total"]
            rate = self._pace
            status |= {
                "stage": self._progress["stage"],
                "done": done,
                "total": total,
                "unit": self._progress["unit"],
                "per_second": round(rate, 3),
                "eta_s": round((total - done) / rate, 1) if total is not None and rate > 0 else None,
                "stages": self._progress["stages"],
                "bottleneck": self._progress["bottleneck"],
                "reused_share": self._progress["reused_share"],
            }
        return status

    def _note_progress(self, event: Mapping[str, Any]) -> None:
        if self._progress is None or event["stage"] != self._progress["stage"]:
            self._stage_began = (self._heard, event["done"])
        if self._progress is None or event["done"] != self._progress["done"]:
            self._moved = self._heard
        self._progress = event


def _whole(value: object) -> int:
    if not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(value)
    return value


def _share(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(value)
    return float(value)


def _plain(value: object) -> str | int | bool | None:
    if value is None or (isinstance(value, str) and len(value) <= _LONGEST_TEXT):
        return value
    return _whole(value)


def _is_file_name(name: str) -> bool:
    """Whether it names a file in a folder, and nothing elsewhere: the process that says it may be taken over."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _death(status: int) -> Failed:
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        remedy = "it may have run out of memory: lower limits.max_output_pixels or give the machine more"
        if name != "SIGKILL":
            remedy = "look into the job's log in state_dir/logs; please report it if it happens each time"
        return Failed("ProcessingError", f"the job's process was killed by {name}", remedy)
    return Failed(
        "ProcessingError",
        f"the job's process ended with status {status} without a word",
        "look into the job's log in state_dir/logs",
    )
