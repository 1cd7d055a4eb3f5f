"""The process of a job, or of a preview, as the service sees it: started in its own group, heard, answered, ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from daemon.request import Request
from engine.errors import EnvironmentFault

log = logging.getLogger(__name__)

STATE_VARIABLE = "KAKUDAI_STATE_DIR"
"""Set for a job's process and all it starts, so that what outlives a killed service can be found and ended."""

_GONE_S = 5.0
"""Seconds that a killed process has to be gone."""
_LOOK_S = 0.01
_LARGEST_LOG = 1 << 20
_KEPT_LOG = 1 << 18
_STDIN_BYTES = 1 << 20
_LARGEST_LINE = 1 << 26
"""Bytes of one event; a report with its stream tables stays far below."""


class JobProcess:
    """A running `daemon.job_process`, or another `module` that speaks as it does.

    Raises `EnvironmentFault` when it cannot be started.
    """

    def __init__(
        self, request: Request, *, state_dir: Path, log_path: Path, module: str = "daemon.job_process"
    ) -> None:
        self._buffer = bytearray()
        self._left_behind = False
        log_path.parent.mkdir(parents=True, exist_ok=True)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(read_end, False)
            self._log = log_path.open("ab+", buffering=0)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, str(write_end), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=(write_end,),
                    start_new_session=True,
                    env={**os.environ, STATE_VARIABLE: str(state_dir)},
                )
            except OSError:
                self._log.close()
                raise
        except OSError as error:
            os.close(read_end)
            raise EnvironmentFault(
                f"the process of a job cannot be started: {error.strerror}", remedy="free memory or processes"
            ) from error
        finally:
            os.close(write_end)
        self.fd = read_end
        with contextlib.suppress(OSError):
            # room for the answer with the segments of a very long episode: the service never waits for a reader
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _STDIN_BYTES)
        self._say(request.to_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> list[dict[str, Any]]:
        """What it has said since the last call. One that talks nonsense is killed: hostile input may have taken it."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.fd, 1 << 16):
                self._buffer += chunk
                if len(self._buffer) > _LARGEST_LINE:
                    self.kill()
                    return []
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        try:
            return [dict(json.loads(line)) for line in lines]
        except (ValueError, TypeError, RecursionError):
            self.kill()  # nothing that it says can be relied on
            return []

    def answer(self, **fields: object) -> None:
        """Answer its plan."""
        self._say(json.dumps(fields))

    def exit_status(self) -> int | None:
        """None while it runs; then its exit code, or minus the signal that ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask for an orderly end."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and all it started, at once, and wait until they are gone, a little.

        One that waits for a disk or mount that does not answer is gone as soon as that does, and does nothing more.
        """
        if self._process.poll() is not None or self._left_behind:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_S
        while self._process.poll() is None:
            if time.monotonic() >= deadline:
                self._left_behind = True
                log.warning("process %d was killed, but waits for a disk or mount that does not answer", self.pid)
                return
            select.select((), (), (), _LOOK_S)  # time.sleep and Popen.wait fail where a test fakes the clock

    def close(self) -> None:
        """End it if it still runs, and let go of its pipes."""
        self.kill()
        os.close(self.fd)
        self._log.close()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def trim_log(self) -> None:
        """Keep the log bounded: of what is more than 1 MiB, the last quarter stays."""
        size = os.fstat(self._log.fileno()).st_size
        if size > _LARGEST_LOG:
            tail = os.pread(self._log.fileno(), _KEPT_LOG, size - _KEPT_LOG)
            os.ftruncate(self._log.fileno(), 0)  # it is opened for appending: the next line goes to the new end
            with contextlib.suppress(OSError):  # a full disk takes the tail, and nothing else
                self._log.write(b"[the beginning was cut]\n" + tail)

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is seen by its exit status
            self._stdin.write(line.encode("ascii") + b"\n")
            self._stdin.flush()


def end_orphans(state_dir: Path) -> list[int]:
    """Kill what was started for jobs of this state folder by a service that is dead. The caller holds the lock."""
    mark = f"{STATE_VARIABLE}={state_dir}".encode("utf-8", "surrogateescape")
    killed = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # another user's, or gone
        if mark in environment:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
    _wait_until_gone(killed)
    return killed


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + _GONE_S
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        select.select((), (), (), _LOOK_S)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")
