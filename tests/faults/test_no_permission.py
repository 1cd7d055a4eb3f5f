"""An unreadable input, an output that may not be written, an original that may not go; without root's rights."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.conftest import Seen
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_CONFIG = """
state_dir: state
device: cpu
rescan_s: 1
retry: {attempts: 3, wait_s: 0.1}
profiles:
  fast: {model: bicubic}
folders:
  - {input: in, output: out, profile: fast, settle_s: 0.2}
  - {input: in2, output: out2, profile: fast, settle_s: 0.2}
"""


# root reads and writes everything, unless it gives up the capabilities for it
_WRAPPER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def test_each_says_why_and_the_others_go_on(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, _CONFIG, wrapper=_WRAPPER) as service:
        write_picture(service.inbox / "secret.png", seed=1)
        (service.inbox / "secret.png").chmod(0)
        write_picture(service.inbox / "zopen.png", seed=2)
        write_picture(tmp_path / "in2" / "cel.png", seed=3)
        (tmp_path / "out2").mkdir(mode=0o555)
        service.start()
        status = service.wait_for(failed=1, delivered=1, queued=1)
        assert "permission denied" in status["failed"][0]["reason"]
        assert "chmod" in status["failed"][0]["remedy"]
        eventually(
            lambda: any(
                "ermission denied" in str(told["reason"])
                for told in (*service.status()["waiting"], *service.status()["queued"])
            )
        )
        (tmp_path / "out2").chmod(0o755)
        service.wait_for(delivered=2, failed=1)
    seen(
        "unreadable: failed with the reason; read-only output: waited, then delivered; the other file was done", lost=0
    )


def test_an_original_that_may_not_be_deleted_stops_nothing(tmp_path: Path, seen: Seen) -> None:
    config = CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, original: delete")
    with ServiceRunner(tmp_path, config, wrapper=_WRAPPER) as service:
        write_picture(service.inbox / "locked" / "a.png", seed=1)
        (service.inbox / "locked").chmod(0o555)
        service.start().wait_for(delivered=1)
        write_picture(service.inbox / "b.png", seed=2)
        status = service.wait_for(delivered=2)
        eventually(lambda: not (service.inbox / "b.png").exists())
        assert status["waiting"] == []
        reasons = {Path(job["source"]).name: job["reason"] for job in service.status()["delivered"]}
        assert "its original is still there" in reasons["a.png"]
        assert "Permission denied" in reasons["a.png"]
        assert reasons["b.png"] is None
        assert service.stop() == 0
        (service.inbox / "locked").chmod(0o755)
        service.start()
        eventually(lambda: not (service.inbox / "locked" / "a.png").exists())
        assert {job["reason"] for job in service.status()["delivered"]} == {None}
    seen("an original that may not be deleted: said so, the others went on, deleted once it may be", lost=0)
