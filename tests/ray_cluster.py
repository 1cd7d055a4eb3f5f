"""A real Ray cluster on this machine alone: a head and nodes, each with processes of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.service_runner import eventually

STORE_BYTES = 100 << 20
_MARK = "KAKUDAI_TEST_RAY_NODE"
_HOST = "127.0.0.1"
_TRIES = 3
_RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


class RayCluster:
    """`start` and `kill` take the name of a node; the first one that is started is the head."""

    def __init__(self, *, wrappers: Mapping[str, Sequence[str]] | None = None) -> None:
        """`wrappers`: what a node's command is started with, such as `taskset -c 0`."""
        self.folder = Path(tempfile.mkdtemp(prefix="kakudai-ray-", dir="/tmp"))  # socket paths must be short
        self.port, self.client_port = free_port(), free_port()
        self.head: str | None = None
        self._wrappers = wrappers or {}

    @property
    def address(self) -> str:
        return f"{_HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """For what is to find this cluster under the address `auto`, and for its nodes."""
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "disabled"}
        return {**quiet, "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_raylet_start_wait_time_s": "120"}

    def start(self, node: str, *, cpus: int = 1, gpus: int = 0, **environment: str) -> Self:
        """Returns once the node is part of the cluster. Ray gives up early on a busy machine: it is asked again.

        Ray believes a node what it says of its `gpus`.
        """
        for _ in range(_TRIES):
            done = self._start(node, {"num-cpus": str(cpus), "num-gpus": str(gpus)}, environment)
            if done.returncode == 0:
                return self
            self.kill(node)
        raise AssertionError(done.stdout + done.stderr)

    def _start(
        self, node: str, resources: dict[str, str], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        ports = {
            name: str(free_port())
            for name in ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")
        }
        options = {"node-ip-address": _HOST, "object-store-memory": str(STORE_BYTES), **resources, **ports}
        if self.head in (None, node):
            self.head = node
            options |= {"port": str(self.port), "ray-client-server-port": str(self.client_port)}
            options |= {"temp-dir": str(self.folder), "include-dashboard": "false"}
            words = ["--head"]
        else:
            words = ["--address", self.address]
        words += [word for name, value in options.items() for word in (f"--{name}", value)]
        caches = self.folder.parent / f"{self.folder.name}-cache-{node}"
        caches.mkdir(exist_ok=True)
        own = {**self.environment, _MARK: self._mark(node), "CACHE_DIRECTORY": str(caches), **environment}
        own.pop("RAY_ADDRESS")
        return subprocess.run(
            [*self._wrappers.get(node, ()), _RAY, "start", *words],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def processes(self, node: str, *, command: str = "") -> list[int]:
        """The processes of a node, of them those whose command line holds `command`."""
        mark = f"{_MARK}={self._mark(node)}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                marked = entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0")
                if marked and command.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def kill(self, node: str, *, command: str = "") -> int:
        """kill -9 for a whole node, or those of its processes whose command line holds `command`; how many."""
        pids = self.processes(node, command=command)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not set(pids) & set(self.processes(node)))
        return len(pids)

    def _mark(self, node: str) -> str:
        return f"{self.folder.name}/{node}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        caches = list(self.folder.parent.glob(f"{self.folder.name}-cache-*"))
        nodes = [path.name.rpartition("-")[2] for path in caches]
        deadline = time.monotonic() + 20
        while sum(map(self.kill, nodes)) and time.monotonic() < deadline:
            pass  # until none has started another
        for folder in (self.folder, *caches):
            shutil.rmtree(folder, ignore_errors=True)
