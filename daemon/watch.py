"""Which files are finished and new: events are hints, the rescan is the truth.

Everything happens in the caller's thread, when it calls `tick`; the clock is the caller's as well.
"""

from __future__ import annotations

import logging
import os
import random
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from daemon.config_model import Folder
from daemon.inotify import Inotify
from daemon.job import Found, Identity, JobKind
from daemon.names import is_ignored, is_left_alone, source_kind
from daemon.settling import Seen, is_still_downloading, listed, look, writer_of
from daemon.text import printable

log = logging.getLogger(__name__)

Known = Callable[[Path, Identity], bool]


@dataclass
class _Candidate:
    kind: JobKind
    seen: Seen
    since: float


@dataclass
class _Watched:
    """One folder: what waits to settle (oldest first) and what is known to the ledger already."""

    folder: Folder
    root: str
    waiting: dict[str, _Candidate] = field(default_factory=dict)
    known: dict[str, Identity] = field(default_factory=dict)
    missing: str | None = None
    silent: bool = False
    refused: set[str] = field(default_factory=set)
    """Directories that could not be listed: told once."""
    writers_unseen: str | None = None
    """Why it could not be told of a file whether it is still written to, if that was so."""


class Watcher:
    """Watches folders. `known` asks the ledger whether a file was queued before; `let_go` tells it which paths
    have left, with all that was below them.
    """

    def __init__(
        self,
        folders: Iterable[Folder],
        *,
        known: Known,
        let_go: Callable[[list[Path]], None],
        rescan_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._watched = [_Watched(folder, os.fspath(folder.input)) for folder in folders]
        self._known = known
        self._let_go = let_go
        self._left: dict[str, bool] = {}
        self._rescan_s = rescan_s
        self._clock = clock
        self._next_scan = clock()
        self._hints: dict[str, bool] = {}
        self._limit_told = False
        self.scans = 0
        """How often all folders were listed."""
        self._inotify: Inotify | None = None
        if any(not watched.folder.polling for watched in self._watched):
            try:
                self._inotify = Inotify()
            except OSError as error:
                log.warning("%s; new files are found by the rescan alone, every %g s", error, rescan_s)

    @property
    def fd(self) -> int | None:
        """Readable when `tick` has something to read; None when there are no events."""
        return self._inotify.fd if self._inotify else None

    def close(self) -> None:
        """End all watches."""
        if self._inotify:
            self._inotify.close()

    def missing(self) -> dict[Path, str]:
        """Watched folders that cannot be listed for now, with the reason."""
        return {watched.folder.input: watched.missing for watched in self._watched if watched.missing}

    def settling(self) -> int:
        """Files that are seen, but not yet finished."""
        return sum(len(watched.waiting) for watched in self._watched)

    def how(self, folder: Path) -> dict[str, str | None]:
        """How new files of a watched folder are found, and why it is not told who writes, if it is not."""
        (watched,) = (watched for watched in self._watched if watched.folder.input == folder)
        found_by = "events and rescan" if self._inotify else "rescan alone, without inotify"
        return {
            "found_by": "polling" if watched.folder.polling else found_by,
            "writers_unseen": watched.writers_unseen,
        }

    def next_due(self) -> float:
        """When, on the clock, `tick` has something to do, events apart."""
        due = [self._next_scan]
        for watched in self._watched:
            if watched.waiting:
                due.append(next(iter(watched.waiting.values())).since + watched.folder.settle_s)
        return min(due)

    def rescan_soon(self) -> None:
        """List everything at the next `tick`."""
        self._next_scan = self._clock()

    def forget(self, source: Path) -> None:
        """The ledger no longer holds this file: look at it anew."""
        for watched in self._watched:
            watched.known.pop(os.fspath(source), None)

    def tick(self, silent: Mapping[Path, str] = MappingProxyType({})) -> list[Found]:
        """Look at what events hint at, or at everything when it is time, and return what is finished and new.

        The caller queues those and calls `queued`; what it does not confirm comes again. The watched folders in
        `silent` do not answer, for that reason, and are not looked at.
        """
        for watched in self._watched:
            self._hear(watched, silent.get(watched.folder.input))
        self._read_events()
        self._tell_what_left()
        if self._clock() >= self._next_scan:
            self._hints.clear()
            for watched in self._answering:
                self._scan_root(watched)
            self.scans += 1
            self._next_scan = self._clock() + self._rescan_s * random.uniform(0.9, 1.1)  # noqa: S311
        hints, self._hints = self._hints, {}
        for path, is_directory in hints.items():
            self._follow_hint(path, is_directory=is_directory)
        return [found for watched in self._answering for found in self._settled(watched)]

    @property
    def _answering(self) -> list[_Watched]:
        return [watched for watched in self._watched if not watched.silent]

    def _hear(self, watched: _Watched, silent: str | None) -> None:
        """Note whether a folder answers; one that does again is listed at once, for its events went unheard."""
        if silent is None and watched.silent:
            self.rescan_soon()
        watched.silent = silent is not None
        if silent is not None:
            self._note_missing(watched, silent)

    @staticmethod
    def _note_missing(watched: _Watched, problem: str | None) -> None:
        if problem != watched.missing:
            if problem:
                log.warning("%s: %s; jobs wait until it is back (is a mount lost?)", printable(watched.root), problem)
            else:
                log.info("%s: is back", printable(watched.root))
            watched.missing = problem

    def queued(self, found: Iterable[Found]) -> None:
        """These are in the ledger."""
        for file in found:
            for watched in self._watched:
                if watched.folder.input == file.folder:
                    watched.waiting.pop(os.fspath(file.path), None)
                    watched.known[os.fspath(file.path)] = file.identity

    def _read_events(self) -> None:
        while self._inotify and (events := self._inotify.read()):
            for event in events:
                if event.overflow:
                    log.warning("the system lost events (inotify queue overflow): listing all folders")
                    self.rescan_soon()
                elif event.left:
                    self._left[event.path] = event.is_directory
                elif event.is_directory or source_kind(event.path.rpartition("/")[2]):
                    self._hints[event.path] = event.is_directory

    def _tell_what_left(self) -> None:
        """Before anything is looked at: what comes back under the same name is to be seen as new."""
        if not self._left:
            return
        self._let_go([Path(path) for path in self._left])
        directories = {path for path, is_directory in self._left.items() if is_directory}
        for watched in self._watched:
            for path in self._left:
                watched.known.pop(path, None)
            if directories:
                known = watched.known.items()
                watched.known = {path: seen for path, seen in known if directories.isdisjoint(_above(path))}
        self._left.clear()

    def _follow_hint(self, path: str, *, is_directory: bool) -> None:
        for watched in self._answering:
            if path.startswith(f"{watched.root}/"):
                relative = path[len(watched.root) + 1 :]
                parts = relative.split("/")
                if any(is_left_alone(part) for part in parts):
                    return
                if is_ignored(relative, watched.folder.ignore, is_directory=is_directory):
                    return
                if is_directory:
                    self._scan(watched, path, seen=set())
                elif watched.folder.sequence and len(parts) > 1 and source_kind(path) == "picture":
                    self._observe(watched, path.rpartition("/")[0], "sequence")
                else:
                    self._observe(watched, path, "file")

    def _scan_root(self, watched: _Watched) -> None:
        try:
            is_folder = stat.S_ISDIR(watched.folder.input.stat().st_mode)
            problem = None if is_folder else "is not a folder"
        except OSError as error:
            problem = error.strerror or str(error)
        self._note_missing(watched, problem)
        if problem:
            return
        seen: set[str] = set()
        self._scan(watched, watched.root, seen=seen)
        watched.known = {path: identity for path, identity in watched.known.items() if path in seen}

    def _scan(self, watched: _Watched, top: str, *, seen: set[str]) -> None:
        """List `top` and everything below. Each directory is watched before it is listed, so nothing slips through."""
        stack = [top]
        while stack:
            directory = stack.pop()
            self._watch(watched, directory)
            try:
                entries = listed(directory)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if directory not in watched.refused:
                    watched.refused.add(directory)
                    log.warning("%s: cannot be listed: %s", printable(directory), error.strerror)
                continue
            frames = False
            for entry, is_directory, is_file in entries:
                relative = entry.path[len(watched.root) + 1 :]
                if is_left_alone(entry.name) or is_ignored(relative, watched.folder.ignore, is_directory=is_directory):
                    continue
                if is_directory:
                    stack.append(entry.path)
                elif (kind := source_kind(entry.name)) and is_file:
                    if watched.folder.sequence and kind == "picture" and directory != watched.root:
                        frames = True
                    else:
                        seen.add(entry.path)
                        self._observe(watched, entry.path, "file")
            if frames:
                seen.add(directory)
                self._observe(watched, directory, "sequence")

    def _watch(self, watched: _Watched, directory: str) -> None:
        if self._inotify and not watched.folder.polling and not self._inotify.add(directory) and not self._limit_told:
            self._limit_told = True
            log.warning(
                "no more folders can be watched (fs.inotify.max_user_watches); from %s on, new files are found by "
                "the rescan, every %g s",
                printable(directory),
                self._rescan_s,
            )

    def _observe(self, watched: _Watched, path: str, kind: JobKind) -> None:
        """Note how a file looks now; the waiting starts anew when it looks otherwise than before."""
        seen = look(path, kind)
        if seen is None:
            watched.waiting.pop(path, None)
            return
        known = watched.known.get(path)
        if known is not None and known.same_file(seen.identity):
            return
        waiting = watched.waiting.get(path)
        if waiting is None and self._known(Path(path), seen.identity):
            watched.known[path] = seen.identity
        elif waiting is None or waiting.seen != seen:
            self._wait(watched, path, _Candidate(kind, seen, self._clock()))

    @staticmethod
    def _wait(watched: _Watched, path: str, candidate: _Candidate) -> None:
        watched.waiting.pop(path, None)
        watched.waiting[path] = candidate

    def _has_writer(self, watched: _Watched, path: str, kind: JobKind) -> bool:
        """Where the system cannot tell, that is said once, and the time without change decides."""
        found = writer_of(path, kind)
        if isinstance(found, bool):
            return found
        if watched.writers_unseen is None:
            log.warning(
                "%s: whether a file is still written to cannot be told (%s); %g s without change decide",
                *(printable(watched.root), found, watched.folder.settle_s),
            )
        watched.writers_unseen = found
        return False

    def _settled(self, watched: _Watched) -> list[Found]:
        found = []
        now = self._clock()
        for path, candidate in list(watched.waiting.items()):
            if now - candidate.since < watched.folder.settle_s:
                break
            seen = look(path, candidate.kind)
            if seen is None:
                del watched.waiting[path]
            elif (
                seen != candidate.seen
                or is_still_downloading(path, watched.root)
                or self._has_writer(watched, path, candidate.kind)
            ):
                self._wait(watched, path, _Candidate(candidate.kind, seen, now))
            else:
                folder = watched.folder
                found.append(Found(folder.input, Path(path), candidate.kind, seen.identity, folder.priority))
        return sorted(found, key=lambda file: file.path)


def _above(path: str) -> Iterator[str]:
    """Every folder above `path`."""
    while path := path.rpartition("/")[0]:
        yield path
