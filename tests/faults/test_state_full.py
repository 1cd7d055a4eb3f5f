"""The state folder is a small tmpfs that fills up: ENOSPC into the ledger."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, mounted, needs_root
from tests.service_runner import ServiceRunner, eventually, write_picture


@needs_root
@pytest.mark.slow
def test_nothing_is_claimed_nothing_lost_and_it_recovers(tmp_path: Path, seen: Seen) -> None:
    state = tmp_path / "state"
    with ServiceRunner(tmp_path) as service, mounted(state, "-t", "tmpfs", "-o", "size=12m,mode=750", "none"):
        service.start()
        with contextlib.suppress(OSError), (state / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for number in range(12):
            write_picture(service.inbox / f"{number:02}.png", seed=number, width=16, height=16)
        eventually(lambda: "work waits" in service.log())
        assert service.delivered() == []
        (state / "filler").unlink()
        service.wait_for(delivered=12)
        assert_each_once(service, [f"{number:02} [32p].png" for number in range(12)])
        assert "work goes on" in service.log()
        service.stop()
    seen("no new claims while it was full; all done afterwards", jobs=12, lost=0, duplicated=0)
