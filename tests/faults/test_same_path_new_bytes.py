"""A source overwritten after its result was delivered."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, write_picture


def test_new_bytes_are_a_new_job_and_the_old_output_stays(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_picture(service.inbox / "cel.png", seed=1)
        service.wait_for(delivered=1)
        before = (service.outbox / "cel [64p].png").read_bytes()
        write_picture(service.inbox / "cel.png", seed=2)
        service.wait_for(delivered=2)
        assert_each_once(service, ["cel [64p] (2).png", "cel [64p].png"])
        assert (service.outbox / "cel [64p].png").read_bytes() == before
    seen("a second job, delivered as (2); the old output untouched", lost=0)
