"""100 kill -9 of the service over 30 jobs, each 0 to 0.8 s (seeded) after it answers."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import ServiceRunner, eventually, write_picture

_JOBS = 30
_KILLS = 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_job_arrives_once_and_none_fails_for_it(tmp_path: Path, seen: Seen) -> None:
    chance = random.Random(5)
    with ServiceRunner(tmp_path) as service:
        for number in range(_JOBS):
            write_picture(service.inbox / f"{number:02}.png", seed=number)
        for _ in range(_KILLS):
            service.start()
            time.sleep(chance.uniform(0, 0.8))  # the fault itself: a death at any moment
            service.kill()
        service.start()
        eventually(lambda: service.count("delivered") == _JOBS, patience_s=300)
        eventually(lambda: len(service.delivered()) == _JOBS)
        assert_each_once(service, [f"{number:02} [64p].png" for number in range(_JOBS)])
        service.stop()
    assert all(job.state == "delivered" and job.failures == 0 for job in jobs_of(tmp_path))
    seen("none failed for it, no part left", kills=_KILLS, jobs=_JOBS, lost=0, duplicated=0, partial=0)
