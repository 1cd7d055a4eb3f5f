"""One owner of a state folder: the lock that a service (or a command while none runs) holds."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import EnvironmentFault
from engine.files import storing


class AlreadyOwned(EnvironmentFault):
    """Another process holds the state folder."""


@contextmanager
def state_lock(state_dir: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """Own `state_dir`, which is made if missing. The kernel frees it when the owner dies.

    Raises `AlreadyOwned` when another holds it for longer than `patience_s`: commands hold it for moments.
    """
    deadline = time.monotonic() + patience_s
    with storing(state_dir):
        state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        while not _take(fd):
            if time.monotonic() >= deadline:
                owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise AlreadyOwned(
                    f"another Kakudai (process {owner}) works with this state folder",
                    remedy="stop it first, or give this one a state_dir of its own",
                    path=state_dir,
                )
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
