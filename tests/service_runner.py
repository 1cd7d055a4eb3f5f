"""The real service in a process of its own, for tests: started, asked, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import cv2
import numpy as np

from daemon.asking import status_of
from daemon.config import load_config

PATIENCE_S = 60.0

_Found = TypeVar("_Found")

CONFIG = """
state_dir: state
device: cpu
rescan_s: 1
web: false
retry: {attempts: 3, wait_s: 0.1}
profiles:
  fast: {model: bicubic, encoder: {name: x264, preset: ultrafast}}
folders:
  - {input: in, output: out, profile: fast, settle_s: 0.2}
"""


def eventually(condition: Callable[[], _Found], *, patience_s: float = PATIENCE_S) -> _Found:
    """Wait until `condition` holds, and return what it found; fail when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {patience_s:g} s"
        time.sleep(0.02)
    return found


def write_picture(path: Path, *, width: int = 48, height: int = 32, seed: int = 1) -> None:
    """A picture of noise, which no two seeds share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def write_episode(path: Path, *, frames: int = 24, size: str = "64x48") -> None:
    """A small episode with sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24", "-f", "lavfi", "-i", "sine"]
        + ["-frames:v", str(frames), "-t", str(frames / 24), "-pix_fmt", "yuv420p", "-c:v", "libx264"]
        + ["-preset", "ultrafast", "-c:a", "flac" if path.suffix == ".mkv" else "aac", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


class ServiceRunner:
    """A folder with a configuration, an inbox and an outbox, and the service on it."""

    def __init__(self, base: Path, config: str = CONFIG, *, wrapper: Sequence[str] = ()) -> None:
        self.base = base
        self.inbox = base / "in"
        self.outbox = base / "out"
        self.config = base / "config.yaml"
        self.config.write_text(config)
        self.inbox.mkdir(exist_ok=True)
        self._wrapper = list(wrapper)
        self._log = (base / "service.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> Self:
        """Start the service; returns once it answers."""
        self.launch(**environment)
        eventually(lambda: self._answers() or self.process is None or self.process.poll() is not None)
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        return self

    def launch(self, **environment: str) -> Self:
        """Start the service and do not wait for it."""
        self.process = subprocess.Popen(
            [*self._wrapper, sys.executable, "-m", "daemon.cli", "run", "--config", str(self.config)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **environment},
        )
        return self

    def _answers(self) -> bool:
        return (self.base / "state" / "control.sock").exists() and self.status()["service"]["runs"] is True

    def status(self) -> dict[str, Any]:
        """As `kakudai status --json`."""
        return status_of(load_config(self.config))

    def count(self, state: str) -> int:
        """How many jobs are in `state`."""
        return int(self.status()["counts"].get(state, 0))

    def wait_for(self, **counts: int) -> dict[str, Any]:
        """Wait until there are so many jobs in these states."""
        eventually(lambda: all(self.count(state) == count for state, count in counts.items()))
        return self.status()

    def delivered(self) -> list[str]:
        """What lies in the outbox, hidden files too."""
        return sorted(str(path.relative_to(self.outbox)) for path in self.outbox.rglob("*") if not path.is_dir())

    def log(self) -> str:
        return (self.base / "service.log").read_text()

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._log.close()
