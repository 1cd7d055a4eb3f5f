"""A folder that the service and its workers see under one path: proven to be one, then used for sources and results.

    SHARED/.kakudai-XXXX/           made by the job's process, held by a lock, removed at its end
        token, answer-NODE-SLOT     what proves to both sides that they see the same
        HASH.source                 the source, where it does not lie in SHARED itself
        NUMBER-XXXX.segment         a finished segment on its way

Whoever writes there is not believed: sources and segments are held to their hashes wherever they came from.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import KakudaiError
from engine.files import write_durably

_PREFIX = ".kakudai-"
_CHUNK = 1 << 20


class LostError(Exception):
    """What a worker says that it left in the shared folder is not there."""


@dataclass(frozen=True)
class Sharing:
    """A job's own place in the shared folder, and what its token must hold. Plain data, to be sent."""

    root: Path
    place: Path
    token: str


@contextmanager
def sharing(root: Path) -> Iterator[Sharing]:
    """A new place in `root`. Removes what jobs that were killed have left. Raises OSError or `KakudaiError`."""
    sweep_shared(root)
    place = root / f"{_PREFIX}{secrets.token_hex(8)}"
    place.mkdir(mode=0o700)
    try:
        with (place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            token = secrets.token_hex(32)
            write_durably(place / "token", token.encode())
            yield Sharing(root, place, token)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep_shared(root: Path) -> None:
    """Remove places whose job is no more."""
    for place in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (place / "lock").open("r+") as lock:  # in use, or somebody else's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)


# --- the worker's side ---


def prove(shared: Sharing, name: str) -> str | None:
    """Read the token and answer it; the reason why this node does not see the service's folder, if it does not."""
    try:
        found = _read(shared.place / "token")
        if found != shared.token.encode():
            return f"{shared.root} holds something else there"
        write_durably(shared.place / f"answer-{name}", _answer(shared, name))
    except FileNotFoundError:
        return f"{shared.root} is not the same folder there, or not mounted"
    except (OSError, KakudaiError) as error:
        words = error.reason if isinstance(error, KakudaiError) else error.strerror
        return f"{shared.root} cannot be used there: {words}"
    return None


def leave(path: Path, shared: Sharing, number: int) -> str:
    """Copy a finished segment into the shared folder, flushed; its name there. Raises OSError."""
    name = f"{number}-{secrets.token_hex(8)}.segment"
    with path.open("rb") as segment, (shared.place / name).open("xb") as copy:
        shutil.copyfileobj(segment, copy, _CHUNK)
        copy.flush()
        os.fsync(copy.fileno())
    return name


# --- the service's side ---


def answered(shared: Sharing, name: str) -> bool:
    """Whether the worker's answer arrived here: what it writes is seen."""
    try:
        return _read(shared.place / f"answer-{name}") == _answer(shared, name)
    except OSError:
        return False


def place_source(fd: int, size: int, path: Path, shared: Sharing, sha256: str) -> Path:
    """Where workers find the source: its own path where that lies in the shared folder, else a copy. Raises OSError."""
    if path.is_relative_to(shared.root):
        return path
    copy = shared.place / f"{sha256}.source"
    with copy.open("xb") as file:
        offset = 0
        while offset < size and (chunk := os.pread(fd, _CHUNK, offset)):
            file.write(chunk)
            offset += len(chunk)
    return copy


def collect(shared: Sharing, name: str, target: Path) -> None:
    """Bring a segment that a worker has left to `target`, flushed: renamed where it can be.

    Raises `LostError`, and OSError where the disk of the target refuses.
    """
    left = shared.place / Path(name).name
    try:
        descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LostError(f"a segment that it left in {shared.root} is not there: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as segment:
        if left.parent.stat().st_dev == target.parent.stat().st_dev:
            os.fsync(descriptor)
            left.rename(target)
            return
        with target.open("wb") as file:
            shutil.copyfileobj(segment, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())
    left.unlink()


def _answer(shared: Sharing, name: str) -> bytes:
    return hashlib.sha256(f"{shared.token} {name}".encode()).hexdigest().encode()


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_CHUNK)
