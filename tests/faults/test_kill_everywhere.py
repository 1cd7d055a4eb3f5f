"""strace kills the service at the N-th rename, fsync, fdatasync, unlink, mkdir and pwrite64, for N = 1, 2, 3, …"""

from __future__ import annotations

from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_picture

_CALLS = ("renameat2", "rename", "fsync", "fdatasync", "unlink", "unlinkat", "mkdir", "pwrite64")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", _CALLS)
def test_a_death_at_any_call_loses_nothing(tmp_path: Path, seen: Seen, call: str) -> None:
    kills = 0
    for step in range(1, 400):
        base = tmp_path / str(step)
        base.mkdir()
        killer = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        killer += ["-e", f"inject={call}:signal=KILL:when={step}"]
        with ServiceRunner(base, wrapper=killer) as service:
            write_picture(service.inbox / "cel.png", width=16, height=16)
            process = service.launch().process
            assert process is not None
            done = service.outbox / "cel [32p].png"
            eventually(lambda: process.poll() is not None or _is_over(service, done))  # noqa: B023
            if process.poll() is None:
                assert service.stop() in (0, -9)
                if process.returncode == 0:
                    break
            kills += 1
        with ServiceRunner(base) as service:
            service.start().wait_for(delivered=1, queued=0, failed=0)
            assert_each_once(service, ["cel [32p].png"])
            service.stop()
    assert kills or call in ("rename", "unlinkat"), call
    seen(f"{call}: {kills}", kills=kills, lost=0, duplicated=0, partial=0)


def _is_over(service: ServiceRunner, done: Path) -> bool:
    try:
        return done.exists() and service.count("delivered") == 1
    except (OSError, ValueError):
        return False  # it died while it answered
