"""BEGIN EXCLUSIVE by another program while the service starts, held for longer than SQLite waits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_picture


def test_it_waits(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        service.start()
        service.stop()
        holder = sqlite3.connect(tmp_path / "state" / "ledger.db", isolation_level=None)
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        write_picture(service.inbox / "cel.png")
        process = service.launch().process
        assert process is not None
        eventually(lambda: "waiting:" in service.log())
        assert process.poll() is None
        holder.execute("ROLLBACK")
        holder.close()
        eventually((tmp_path / "state" / "control.sock").exists)
        service.wait_for(delivered=1)
        assert_each_once(service, ["cel [64p].png"])
        service.stop()
    seen("waited and said so, then went on", lost=0)
