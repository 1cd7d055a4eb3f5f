"""How the attempt at a job ended, and what kind of failure a failure is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.config_model import Folder
from daemon.job import Job
from daemon.settling import mount_is_lost
from daemon.text import printable
from engine.errors import EnvironmentFault, KakudaiError

_FINAL = frozenset(
    {
        "InputError",
        "IncompleteInputError",
        "MissingInputError",
        "UsageError",
        "ConfigError",
        "WeightsError",
        "ToolError",
        "NothingToDo",
    }
)
"""Errors that another attempt at the same file would meet again."""
_OF_PLACES = frozenset({"EnvironmentFault", "OutputError"})
"""Errors that are seldom about the source: they have to say which file or disk is meant."""
_LONGEST_TEXT = 1 << 14


@dataclass(frozen=True)
class Done:
    """The part is complete and durable. `report` is JSON."""

    output_name: str
    inode: int
    size: int
    sha256: str
    report: str


@dataclass(frozen=True)
class Changed:
    """The source is not what was queued, or was written to meanwhile."""


@dataclass(frozen=True)
class Skipped:
    """There is nothing to do, and why."""

    reason: str


@dataclass(frozen=True)
class Stopped:
    """The service asked for the end."""


@dataclass(frozen=True)
class Failed:
    """`error` is the name of the class in `engine.errors`."""

    error: str
    reason: str
    remedy: str

    @classmethod
    def from_error(cls, error: KakudaiError) -> Failed:
        """From an error raised in the service."""
        return cls.from_event(
            {"error": type(error).__name__, "reason": error.reason, "remedy": error.remedy, "path": error.path}
        )

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Failed:
        """From what the job's process says: bounded, and nothing in it that a ledger or a log could not take."""
        error, reason, remedy = (_text(event[key]) for key in ("error", "reason", "remedy"))
        if error in _OF_PLACES and event.get("path"):
            reason = f"{_text(event['path'])}: {reason}"
        return cls(error, reason, remedy)

    def after_silence(self) -> Failed:
        """The same of a job whose places did not answer for a while: that is what work died of then."""
        if self.error != "ProcessingError":
            return self
        return Failed("EnvironmentFault", f"a mount did not answer for a while: {self.reason}", "it is tried again")

    @property
    def may_become_whole(self) -> bool:
        """Whether the source looks like one that is still being filled."""
        return self.error == "IncompleteInputError"

    @property
    def is_final(self) -> bool:
        """Whether trying again cannot help."""
        return self.error in _FINAL

    def source_is_gone(self, job: Job) -> bool:
        """Whether somebody removed the source, and its file system is there to tell."""
        return self.error == "MissingInputError" and not os.path.lexists(job.source) and not mount_is_lost(job)

    def is_fault(self, job: Job) -> bool:
        """Whether the machine, not the job, is at fault."""
        if self.error == "MissingInputError":
            return not os.path.lexists(job.source) and mount_is_lost(job)
        return self.error == "EnvironmentFault"

    def as_fault(self, folder: Folder) -> EnvironmentFault:
        """The fault for which the folder waits."""
        if self.error == "MissingInputError":
            return EnvironmentFault(
                "the sources are gone with their file system (is a mount lost?)",
                remedy="mount it again; work goes on by itself then",
                path=folder.input,
            )
        return EnvironmentFault(self.reason, remedy=self.remedy)


Outcome = Done | Changed | Skipped | Stopped | Failed


def _text(value: object) -> str:
    return "\n".join(printable(line) for line in str(value)[:_LONGEST_TEXT].split("\n"))
