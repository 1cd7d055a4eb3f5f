"""What the process of a job may take: niceness, memory, time without progress."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from daemon.memory import memory_bytes
from tests.faults.episodes import SLOW_WORK, long_episode
from tests.service_runner import ServiceRunner, eventually

MIB = 1 << 20


def test_the_memory_of_a_session_is_that_of_all_its_processes() -> None:
    grandchild = "import sys; held = bytearray(100 << 20); print('ready', flush=True); sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert 100 * MIB < memory_bytes(process.pid) < 200 * MIB
        assert process.stdin is not None
        process.stdin.close()
    assert memory_bytes(process.pid) == 0


def test_a_job_and_its_programs_are_as_nice_as_asked_and_end_at_their_limit(tmp_path: Path) -> None:
    config = SLOW_WORK.replace("attempts: 3", "attempts: 2")
    with ServiceRunner(tmp_path, config + "worker: {nice: 7}\n") as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("done"))
        running = service.status()["running"]
        assert running["memory_bytes"] > 100 * MIB
        encoders = [pid for pid in _children(running["pid"]) if os.getpriority(os.PRIO_PROCESS, pid) == 7]
        assert encoders
        assert os.getpriority(os.PRIO_PROCESS, running["pid"]) == 7
        service.kill()
        service.config.write_text(config + "worker: {memory_bytes: 67_108_864}\n")
        service.start()
        status = service.wait_for(failed=1)
        assert "worker.memory_bytes allows 67.1 MB" in status["failed"][0]["reason"]
        assert "raise worker.memory_bytes" in status["failed"][0]["remedy"]
        assert status["failed"][0]["failures"] == 2


def _children(pid: int) -> list[int]:
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
