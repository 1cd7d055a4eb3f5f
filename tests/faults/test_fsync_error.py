"""strace makes every fsync fail with EIO, in the service and in the job's process."""

from __future__ import annotations

from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture


@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_what_is_not_on_the_disk_is_not_done(tmp_path: Path, seen: Seen) -> None:
    failing = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]
    with ServiceRunner(tmp_path) as service:
        service.start()
        service.stop()  # the folders are made
    with ServiceRunner(tmp_path, CONFIG, wrapper=failing) as service:
        write_picture(service.inbox / "cel.png")
        service.start()
        eventually(lambda: "Input/output error" in service.log())
        assert service.count("delivered") == 0
        assert not [name for name in service.delivered() if not name.endswith(".part")]
        service.stop()
    with ServiceRunner(tmp_path) as service:
        status = service.start().wait_for(delivered=1)
        assert status["delivered"][0]["failures"] == 0
        assert_each_once(service, ["cel [64p].png"])
        assert service.log().count("enlarging") >= 2
        service.stop()
    seen("not marked done, nothing under its name; made again from the source", lost=0, partial=0)
