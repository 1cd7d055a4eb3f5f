"""What many fault tests need: every job of a ledger, promises about an outbox, mounts that end with the test."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.job import Job
from daemon.ledger import Ledger
from daemon.ledger_schema import STATES
from tests.service_runner import ServiceRunner

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


def jobs_of(base: Path) -> list[Job]:
    """Every job; the service must not run."""
    ledger = Ledger(base / "state" / "ledger.db")
    try:
        return ledger.jobs(*STATES)
    finally:
        ledger.close()


def assert_each_once(service: ServiceRunner, names: Sequence[str]) -> None:
    """Exactly these outputs and nothing else, hidden parts included."""
    assert service.delivered() == sorted(names)


@contextmanager
def mounted(target: Path, *how: str) -> Iterator[None]:
    """`mount HOW target`, and the end of it."""
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *how, str(target)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


_FUSE = Path("/dev/fuse")
needs_fuse = pytest.mark.skipif(not os.access(_FUSE, os.R_OK | os.W_OK), reason="needs root and /dev/fuse")


@contextmanager
def dead_mount(target: Path) -> Iterator[None]:
    """A mount whose other end has died, as sshfs or rclone do: all that is asked of it is answered with ENOTCONN."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"dead", os.fsencode(target), b"fuse", 0, options):
            pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(device)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)
