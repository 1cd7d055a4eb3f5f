"""What the configuration says, as frozen dataclasses with absolute paths. `daemon.config` reads it."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.cluster.settings import Cluster
from daemon.schedule import Span
from engine.settings import Device, Limits, Settings

DAY_S = 86_400.0
POLLING_SETTLE_S = 30.0
"""Unless told otherwise: how long a file on a network mount has to stand still."""
_LONGEST_LOOK_S = 3600.0


class Original(enum.StrEnum):
    """What becomes of a source once its result is delivered."""

    KEEP = "keep"
    MOVE = "move"
    DELETE = "delete"


class TakenName(enum.StrEnum):
    """When the output holds that name already: deliver as "name (2)", or skip the file."""

    NUMBER = "number"
    SKIP = "skip"


class ErrorFiles(enum.StrEnum):
    """Whether a failed file leaves a text that says why: below `failed` in the output folder, or not."""

    OFF = "off"
    FOLDER = "folder"


class Reports(enum.StrEnum):
    """Where the report of a delivered output goes: `reports` in the state folder, beside the output, or nowhere."""

    FOLDER = "folder"
    BESIDE = "beside"
    OFF = "off"


@dataclass(frozen=True)
class Retention:
    """How long things are kept once nobody works on them."""

    work_days: float = 7.0
    """Intermediate files of failed jobs, so that a retry can go on from them."""
    history_days: float = 365.0
    """Rows and logs of jobs whose source is gone from the input folder."""


@dataclass(frozen=True)
class Retry:
    """How often a job is tried whose failure may pass; the pause before the second try (then times four)."""

    attempts: int = 3
    wait_s: float = 10.0
    incomplete_wait_s: float = 60.0
    """Before the second look at a file that may still become whole; then twice as long each time, an hour at most."""
    incomplete_hours: float = 24.0
    """How long such a file is looked at before it counts as failed."""

    def look_after_s(self, looks: int) -> float | None:
        """The wait after so many looks before this one; None when the time is over. Needs no clock: it adds waits."""
        wait_s, spent_s = self.incomplete_wait_s, 0.0
        for _ in range(looks):
            spent_s += wait_s
            wait_s = min(wait_s * 2, max(_LONGEST_LOOK_S, self.incomplete_wait_s))
        return None if spent_s >= self.incomplete_hours * 3600 else wait_s


@dataclass(frozen=True)
class WorkerLimits:
    """What the process of a job may take, with all that it starts."""

    nice: int = 0
    """Its niceness; the service's own where that is higher."""
    memory_bytes: int | None = None
    """Resident memory, looked at every second; None: what the machine has."""
    stall_s: float = 3600.0
    """Seconds without progress, though the process lives, after which it counts as hung."""


@dataclass(frozen=True)
class Web:
    """Where the status page listens: on a host's port, or on a unix socket."""

    host: str = "127.0.0.1"
    port: int = 8640
    """0: any that is free."""
    socket: Path | None = None
    names: tuple[str, ...] = ()
    """Further names under which browsers reach it, such as a proxy's."""


class News(enum.StrEnum):
    """What people can be told of: jobs delivered, jobs that failed, work that waits, nothing left to do."""

    DONE = "done"
    FAILED = "failed"
    PAUSED = "paused"
    EMPTY = "empty"


@dataclass(frozen=True)
class Notify:
    """Whom to tell of what. `urls` are Apprise's, as they were written: `${NAME}` and `file:/path` still in them."""

    urls: tuple[str, ...] = ()
    on: tuple[News, ...] = tuple(News)


@dataclass(frozen=True)
class Folder:
    """One watched folder and what becomes of the files dropped into it. Paths are absolute."""

    input: Path
    output: Path
    profile: str
    settings: Settings
    settle_s: float = 5.0
    """Seconds without any change after which a file counts as finished."""
    polling: bool = False
    """No inotify, scans alone: for network mounts, which tell nothing about other machines' writes."""
    ignore: tuple[str, ...] = ()
    original: Original = Original.KEEP
    moved_to: Path | None = None
    taken_name: TakenName = TakenName.NUMBER
    sequence: bool = False
    """A sub-folder of numbered frames is one job."""
    errors: ErrorFiles = ErrorFiles.OFF
    priority: int = 0
    """Of the jobs queued from now on."""


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    path: Path
    state_dir: Path
    device: Device = Device.AUTO
    rescan_s: float = 60.0
    limits: Limits = dataclasses.field(default_factory=Limits)
    retention: Retention = dataclasses.field(default_factory=Retention)
    retry: Retry = dataclasses.field(default_factory=Retry)
    worker: WorkerLimits = dataclasses.field(default_factory=WorkerLimits)
    hours: tuple[Span, ...] = ()
    """When work is done; empty: always."""
    profiles: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
    folders: tuple[Folder, ...] = ()
    reports: Reports = Reports.FOLDER
    check_space: bool = True
    """Start a job only where the disks have room for what it is expected to need."""
    web: Web | None = dataclasses.field(default_factory=Web)
    """Where the status page is; None: there is none."""
    notify: Notify | None = None
    """Whom to tell of what; None: nobody."""
    cluster: Cluster | None = None
    """Where the segments of episodes are made; None: here."""
    work_base: Path | None = None
    """A folder of the user's, in which the work folder is made; None: it is `work` in `state_dir`."""

    @property
    def work_dir(self) -> Path:
        """Where segments lie until they are delivered, one folder for each job.

        In a folder of the user's it is hidden and named after the state folder: what else lies there is never
        touched, and two services may use one.
        """
        if self.work_base is None:
            return self.state_dir / "work"
        mark = hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:8]
        return self.work_base / f".kakudai-work-{mark}"
