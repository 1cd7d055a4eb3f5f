"""What many fault tests need: every job of a ledger, promises about an outbox, mounts that end with the test."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import subprocess
import threading
import time
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


_FUSE, _FUSE_INIT = Path("/dev/fuse"), 26
needs_fuse = pytest.mark.skipif(not os.access(_FUSE, os.R_OK | os.W_OK), reason="needs root and /dev/fuse")


@contextmanager
def bound(behind: Path, target: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What lies in `behind`, on a mount of the process that is given: stop it, and nothing there answers any more."""
    behind.mkdir()
    target.mkdir(exist_ok=True)
    device = target.stat().st_dev
    process = subprocess.Popen(["bindfs", "-f", "-o", "direct_io", str(behind), str(target)], stderr=subprocess.PIPE)
    try:
        while target.stat().st_dev == device:
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.skip(f"cannot mount here: {process.stderr.read().decode().strip()}")
            time.sleep(0.01)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "--lazy", str(target)], check=process.poll() is None)
        process.wait(timeout=60)
        assert process.stderr is not None
        process.stderr.close()


@contextmanager
def hanging(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a mount's process for a while; not in the moment in which a service that was asked looks into it."""
    time.sleep(0.5)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def deaf_mount(target: Path) -> Iterator[threading.Event]:
    """A mount whose other end takes what it is asked and never answers: not even SIGKILL ends who waits for it.

    The event is set once it was asked.
    """
    asked = threading.Event()
    with _fuse(target) as device:
        listener = threading.Thread(target=_take_and_never_answer, args=(device, asked), daemon=True)
        listener.start()
        yield asked
    listener.join(10)


def _take_and_never_answer(device: int, asked: threading.Event) -> None:
    """But for the first request, by which the two ends agree on a version of FUSE's protocol (linux/fuse.h)."""
    with contextlib.suppress(OSError):  # ENODEV: the mount has ended
        while request := os.read(device, 1 << 20):
            _, opcode, unique = struct.unpack_from("=IIQ", request)
            if opcode == _FUSE_INIT:
                answer = struct.pack("=IIIIHHI", 7, 22, 0, 0, 0, 0, 4096)
                os.write(device, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)
            else:
                asked.set()


@contextmanager
def dead_mount(target: Path) -> Iterator[None]:
    """A mount whose other end has died, as sshfs or rclone do: all that is asked of it is answered with ENOTCONN."""
    with _fuse(target) as device:
        os.close(device)
        yield


@contextmanager
def _fuse(target: Path) -> Iterator[int]:
    """A FUSE mount, by its device; what waits for an answer ends with one."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"fuse", os.fsencode(target), b"fuse", 0, options):
            pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")
        try:
            yield device
        finally:
            subprocess.run(["umount", "--force", "--lazy", str(target)], check=True)
    finally:
        with contextlib.suppress(OSError):
            os.close(device)
