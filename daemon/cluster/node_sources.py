"""What a node keeps: sources, each fetched once, whoever on the node needs it first, proven by its hash, removed after
its use; and for each worker a folder for its finished segments.

What is in use is held by a lock, which the kernel lets go of when its process dies, however that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import KakudaiError, ProcessingError
from engine.files import storing
from engine.source import Source, open_source

LEFT_OVER_S = 3600.0
"""Seconds after which a source that nobody holds counts as left behind by workers that were killed."""
_CHUNK = 1 << 20
_AGAIN_S = 0.02


def node_folder() -> Path:
    """Where a node keeps what it is sent: where systemd says (CacheDirectory=), else a private folder in /tmp."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    folder = Path(given) if given else Path(tempfile.gettempdir()) / f"kakudai-node-{os.getuid()}"
    with storing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ProcessingError(
                "belongs to another user", remedy="remove it, or set CACHE_DIRECTORY for the node", path=folder
            )
    return folder


@contextmanager
def held_source(folder: Path, sha256: str, chunks: Callable[[], Iterable[bytes]]) -> Iterator[Source]:
    """The source of that hash, open; fetched by `chunks` where it is not there yet.

    Raises `ProcessingError` where what comes has another hash, `EnvironmentFault` where the disk refuses.
    """
    path = folder / f"{sha256}.source"
    with storing(path), (folder / f"{sha256}.lock").open("w") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if path.exists():
                break
            try:  # one fetches, the others wait for it; who waited for the lock itself would wait for its last user
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(lock, fcntl.LOCK_UN)
                time.sleep(_AGAIN_S)
                continue
            if not path.exists():
                _fetch(path, sha256, chunks())
        path.touch()
        try:
            with open_source(path) as source:
                yield source
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)  # nobody else needs it


def shared_source(path: Path, sha256: str) -> bool:
    """Whether this node sees the very content under that path."""
    try:
        with open_source(path) as source:
            return source.sha256() == sha256
    except KakudaiError:
        return False


@contextmanager
def worker_folder(folder: Path) -> Iterator[Path]:
    """A folder for one worker's finished segments and weights, as long as the worker lives."""
    own = folder / f"worker-{os.getpid()}"
    with storing(own):
        shutil.rmtree(own, ignore_errors=True)  # of one that was killed, and had our number
        own.mkdir(mode=0o700)
        with (own / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield own


def sweep(folder: Path) -> None:
    """Remove what workers that were killed have left."""
    for own in folder.glob("worker-*"):
        with contextlib.suppress(OSError), (own / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(own, ignore_errors=True)
    for path in folder.glob("*.source*"):
        try:
            if time.time() - path.stat().st_mtime < LEFT_OVER_S:
                continue
            with (folder / f"{path.name.partition('.')[0]}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or gone already


def _fetch(path: Path, sha256: str, chunks: Iterable[bytes]) -> None:
    digest = hashlib.sha256()
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise ProcessingError("the source arrived with another hash", remedy="it is sent again", path=path)
    part.rename(path)
