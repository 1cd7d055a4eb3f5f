"""One tree of errors. Each carries what went wrong, how to cure it and the exit code of the command.

Exit codes follow sysexits.h where it has a fitting one.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class KakudaiError(Exception):
    """Anything that Kakudai refuses or fails to do, in words meant for the user.

    `reason` says what and why in one line; `remedy` says what to do about it; `path` names the file concerned.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, reason: str, *, remedy: str, path: Path | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path = path

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path is not None else ""
        return f"{where}{self.reason}"


class UsageError(KakudaiError):
    """The command line asks for something impossible or unknown (EX_USAGE)."""

    exit_code = 64


class InputError(KakudaiError):
    """The source is damaged, incomplete or of a kind that is refused (EX_DATAERR). Trying again cannot help."""

    exit_code = 65


class IncompleteInputError(InputError):
    """The source ends in zeros, as a copy does that got its full size before it was filled: it may become whole."""


class MissingInputError(KakudaiError):
    """The source is not there or cannot be read (EX_NOINPUT)."""

    exit_code = 66


class ToolError(KakudaiError):
    """A program or library that the job needs is missing or unusable (EX_UNAVAILABLE)."""

    exit_code = 69


class ProcessingError(KakudaiError):
    """The work itself failed: a child process died, frames were lost, a check did not hold (EX_SOFTWARE)."""

    exit_code = 70


class OutputError(KakudaiError):
    """The output exists already or cannot be written (EX_CANTCREAT)."""

    exit_code = 73


class EnvironmentFault(KakudaiError):  # noqa: N818  (the machine's fault, not the job's error)
    """The machine is not fit for now: disk full, file system read-only, mount lost (EX_TEMPFAIL).

    Work pauses and no attempt is used; the same job succeeds once the fault is gone.
    """

    exit_code = 75


class WeightsError(KakudaiError):
    """A weights file or its card is missing, damaged or not what it says (EX_CONFIG)."""

    exit_code = 78


class ConfigError(KakudaiError):
    """config.yaml cannot be used as it stands (EX_CONFIG). `problems` holds every complaint, one line each."""

    exit_code = 78

    def __init__(self, problems: list[str], *, path: Path | None = None) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{len(problems)} problem{'s' if len(problems) != 1 else ''} in the configuration:\n{listed}",
            remedy="correct the lines above; `kakudai config show` prints what is understood",
            path=path,
        )
        self.problems = problems


class NothingToDo(KakudaiError):  # noqa: N818  (not an error for the user: the job is skipped, with the reason)
    """The source needs no work: it is large enough already, or Kakudai made it. Ends as `skipped`, exit code 0."""

    exit_code = 0
