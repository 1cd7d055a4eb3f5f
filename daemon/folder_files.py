"""Files that steer the folder they lie in and all below it: `.pause` and `.kakudai.yaml`, which overrides the profile.

Whoever may write into an input folder may write these, so they are read with the care that sources are: regular files
only, no link, small, without YAML's aliases; and they can neither name other files (no `weights`) nor stop the service.
A mistake holds the jobs of that folder until it is corrected.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config import read_settings
from daemon.config_model import Folder
from daemon.config_reader import Section, load_yaml
from daemon.config_schema import PROFILE
from daemon.job import JobKind
from daemon.text import printable
from engine.settings import Settings

PAUSE_FILE = ".pause"
SETTINGS_FILE = ".kakudai.yaml"

_LARGEST = 1 << 14
_REMEMBERED = 1000
_SHOWN_PROBLEMS = 3
_FOLDER_KEYS = tuple(key.name for key in PROFILE if key.name != "weights")

_Mark = tuple[int, int, int, int]


@dataclass(frozen=True)
class Hold:
    """Why the jobs below `place` wait."""

    place: Path
    reason: str
    remedy: str


class FolderFiles:
    """Reads them; a file that has not changed is read once."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[Path, Settings], tuple[_Mark, Settings | str]] = OrderedDict()
        self.silent: Collection[Path] = ()
        """Input folders that are not looked into, since they do not answer."""

    def paused(self, folder: Folder, source: Path, kind: JobKind) -> Hold | None:
        """Whether a `.pause` file lies above the source."""
        if folder.input in self.silent:
            return None
        for place in _places(folder, source, kind):
            if os.path.lexists(place / PAUSE_FILE):
                return Hold(place, f"paused by the file {PAUSE_FILE} in it", f"remove {PAUSE_FILE}")
        return None

    def steer(self, folder: Folder, source: Path, kind: JobKind) -> Folder | Hold:
        """The folder with the settings that hold for one source: the profile's, then file by file from the top down."""
        return self.paused(folder, source, kind) or self.override(folder, source, kind)

    def override(self, folder: Folder, source: Path, kind: JobKind) -> Folder | Hold:
        """The same, paused or not."""
        if folder.input in self.silent:
            return folder
        settings = folder.settings
        for place in _places(folder, source, kind):
            found = self._override(place / SETTINGS_FILE, settings)
            if isinstance(found, str):
                return Hold(place, f"{SETTINGS_FILE}: {found}", "correct or remove that file; work goes on by itself")
            settings = found
        return replace(folder, settings=settings)

    def _override(self, path: Path, base: Settings) -> Settings | str:
        """`base` with the keys of the file at `path`; the mistakes in it; `base` itself where there is none."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            return base
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        mark = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        seen, found = self._read.get((path, base), (None, base))
        if seen != mark:
            found = _read(path, base)
            self._read[path, base] = (mark, found)
            if len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)
        return found


def _places(folder: Folder, source: Path, kind: JobKind) -> list[Path]:
    """The folders above a source (a folder of frames is one of them), from the input down."""
    parts = source.relative_to(folder.input).parts
    deepest = len(parts) if kind == "sequence" else len(parts) - 1
    return [folder.input.joinpath(*parts[:depth]) for depth in range(deepest + 1)]


def _read(path: Path, base: Settings) -> Settings | str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return "is no regular file"
            data = os.read(fd, _LARGEST + 1)
        finally:
            os.close(fd)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(data) > _LARGEST:
        return f"is larger than {_LARGEST:,} bytes: surely no settings"
    problems: list[str] = []
    try:
        document = load_yaml(data.decode(), problems, aliases=False)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    section = Section(document, path="", base=path.parent, known=_FOLDER_KEYS, problems=problems)
    settings = read_settings(section, base)
    if not problems:
        return settings
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return "; ".join(printable(problem) for problem in problems[:_SHOWN_PROBLEMS]) + more
