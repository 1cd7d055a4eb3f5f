"""10,000 files at once while the reader of events is stopped (SIGSTOP), so that the inotify queue overflows."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import jobs_of
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_FILES = 10_000


@pytest.mark.slow
def test_an_overflow_is_told_and_made_up_for(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "one.png", width=8, height=8)
    content = (tmp_path / "one.png").read_bytes()
    config = CONFIG.replace("rescan_s: 1", "rescan_s: 600").replace("settle_s: 0.2", "settle_s: 1")
    with ServiceRunner(tmp_path, config).start() as service:
        assert service.process is not None
        service.process.send_signal(signal.SIGSTOP)
        for number in range(_FILES):
            (service.inbox / f"{number:05}.png").write_bytes(content + str(number).encode())
        service.process.send_signal(signal.SIGCONT)
        began = time.monotonic()
        eventually(lambda: sum(service.status()["counts"].values()) >= _FILES)
        seconds = time.monotonic() - began
        memory = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text())
        assert memory is not None
        megabytes = int(memory[1]) // 1024
        assert megabytes < 300
        service.stop()
        assert "overflow" in service.log()
    jobs = jobs_of(tmp_path)
    assert len(jobs) == len({job.source for job in jobs}) == _FILES
    seen(
        f"overflow logged; all queued in {seconds:.0f} s, service at most {megabytes} MB",
        jobs=_FILES,
        lost=0,
        duplicated=0,
    )
