"""Mounts that do not answer: with the server of a hard NFS mount away, every call waits, for hours if it must.

The service works in one thread, which must not be caught in such a call. Before it looks at folders on mounts that may
hang, another thread knocks; while that one waits, the folders are left alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.mounts import Mount, mount_of

PATIENCE_S = 5.0
"""For an answer. A server that is there takes milliseconds, seconds if it has to wake up."""
RESOLVING_S = 2.0
"""For where a path leads."""
_MOST_LINKS = 40
"""On the way to a file, as in Linux."""
_FRESH_S = 0.05
"""For so long an answer holds. Just before a folder is looked at: a mount may die at any time."""


@dataclass(frozen=True)
class _Knock:
    thread: threading.Thread
    begun: float

    @classmethod
    def at(cls, mount: Mount) -> _Knock:
        thread = threading.Thread(target=_ask, args=(mount.point,), name=f"knock {mount.number}", daemon=True)
        thread.start()
        return cls(thread, time.monotonic())

    @property
    def is_fresh(self) -> bool:
        return self.thread.is_alive() or time.monotonic() < self.begun + _FRESH_S


class Knocks:
    """Remembers who was asked: a mount that does not answer costs one thread and one wait."""

    def __init__(self) -> None:
        self._knocks: dict[int, _Knock] = {}

    def silent(self, places: Iterable[Path]) -> set[Path]:
        """Those of `places`, absolute paths, that lie on a mount that does not answer."""
        mounts = {place: mount for place in places if (mount := mount_of(place)) is not None and mount.may_hang}
        asked = {mount.number: mount for mount in mounts.values()}
        kept = {number: knock for number, knock in self._knocks.items() if number in asked and knock.is_fresh}
        new = {number: _Knock.at(mount) for number, mount in asked.items() if number not in kept}
        deadline = time.monotonic() + PATIENCE_S
        for knock in new.values():
            knock.thread.join(max(0.0, deadline - time.monotonic()))
        self._knocks = kept | new
        return {place for place, mount in mounts.items() if self._knocks[mount.number].thread.is_alive()}


def resolved(path: Path) -> Path:
    """An absolute `path` without the links on its way; where a mount does not answer, those on mounts that may hang
    are left in it.
    """
    if not any(thread.is_alive() for thread in _unanswered):
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(_realpath(path)), name="resolve", daemon=True)
        thread.start()
        thread.join(RESOLVING_S)
        if answers:
            return Path(answers[0])
        _unanswered[:] = [thread]
    return _resolved_here(path)


_realpath = os.path.realpath
_unanswered: list[threading.Thread] = []
"""The last that waits in vain: of many paths in one configuration, one is waited for."""


def _resolved_here(path: Path) -> Path:
    here, way, links = Path(path.anchor), deque(path.parts[1:]), 0
    while way:
        there = Path(os.path.normpath(here / way.popleft()))
        mount = mount_of(there)
        try:
            target = None if mount is not None and mount.may_hang else there.readlink()
        except OSError:  # no link
            target = None
        if target is None:
            here = there
        else:
            links += 1
            if links > _MOST_LINKS:
                return path
            here = Path(here.anchor) if target.is_absolute() else here
            way.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    return here


def _ask(point: Path) -> None:
    with contextlib.suppress(OSError):  # a refusal is an answer
        os.statvfs(point)
