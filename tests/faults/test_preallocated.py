"""A file at its full size from the start, filled while open, the writer stalling for ten windows."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, write_picture


def test_what_a_writer_has_open_is_not_started(tmp_path: Path, seen: Seen) -> None:
    write_picture(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    with ServiceRunner(tmp_path).start() as service:
        with (service.inbox / "cel.png").open("wb", buffering=0) as file:
            os.truncate(file.fileno(), len(content))
            file.write(content[: len(content) // 2])
            until = time.monotonic() + 3
            while time.monotonic() < until:
                status = service.status()
                assert status["counts"] == {}
            assert status["settling"] == 1
            file.write(content[len(content) // 2 :])
        service.wait_for(delivered=1)
        assert_each_once(service, ["cel [64p].png"])
        assert service.count("failed") == 0
    seen("not queued while it was open for writing, though its size stood still; delivered whole", partial=0)
