"""`polling: true`, as for network mounts: no events at all."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture


def test_polling_finds_all(tmp_path: Path, seen: Seen) -> None:
    config = CONFIG.replace("settle_s: 0.2", "settle_s: 2, polling: true")
    with ServiceRunner(tmp_path, config).start() as service:
        assert service.process is not None
        descriptors = Path(f"/proc/{service.process.pid}/fd").iterdir()
        assert not [fd for fd in descriptors if "inotify" in str(fd.readlink())]
        for number in range(5):
            write_picture(service.inbox / str(number) / "cel.png", seed=number)
        eventually(lambda: sum(service.status()["counts"].values()) == 5)
    seen("no inotify opened; all found by listing", jobs=5, lost=0)
