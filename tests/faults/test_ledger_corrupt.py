"""The head of every page of the ledger overwritten while the service is down; and a ledger that is no database."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, eventually, write_picture


def test_it_is_set_aside_and_nothing_is_lost_or_made_twice(tmp_path: Path, seen: Seen) -> None:
    ledger = tmp_path / "state" / "ledger.db"
    with ServiceRunner(tmp_path) as service:
        write_picture(service.inbox / "done.png", seed=1)
        service.start().wait_for(delivered=1)
        service.stop()
        before = (service.outbox / "done [64p].png").read_bytes()
        content = bytearray(ledger.read_bytes())
        for page in range(0, len(content), 4096):
            content[page : page + 8] = b"\xff" * 8  # the head of every page
        ledger.write_bytes(content)
        write_picture(service.inbox / "new.png", seed=2)
        (service.outbox / ".new [64p].png.7.part").write_bytes(b"half")
        service.start()
        status = service.wait_for(delivered=2, skipped=1)
        assert "delivered already as done [64p].png" in status["skipped"][0]["reason"]
        assert_each_once(service, ["done [64p].png", "new [64p].png"])
        assert (service.outbox / "done [64p].png").read_bytes() == before
        assert "the ledger is damaged" in service.log()
        assert (tmp_path / "state" / "ledger.db.damaged").read_bytes() == bytes(content)
        service.stop()
        ledger.write_bytes(b"no database at all" * 100)
        service.start()
        eventually(lambda: service.count("skipped") == 2)
        assert_each_once(service, ["done [64p].png", "new [64p].png"])
        assert len(list((tmp_path / "state").glob("ledger*.damaged"))) == 2
        service.stop()
    seen("set aside, loudly; deliveries known from their reports, the rest queued", ledgers=2, lost=0, duplicated=0)


def test_it_is_made_anew_only_where_what_was_delivered_can_be_seen(tmp_path: Path, seen: Seen) -> None:
    ledger = tmp_path / "state" / "ledger.db"
    with ServiceRunner(tmp_path) as service:
        write_picture(service.inbox / "done.png", seed=1)
        service.start().wait_for(delivered=1)
        service.stop()
        ledger.write_bytes(b"no database at all" * 100)
        service.outbox.rename(tmp_path / "away")
        service.launch()
        eventually(lambda: "is not there; what was delivered cannot be seen" in service.log())
        assert not service.outbox.exists()
        (tmp_path / "away").rename(service.outbox)
        service.wait_for(skipped=1)
        assert_each_once(service, ["done [64p].png"])
        service.stop()
    seen("with the output folder away: waited and said so, then knew what was delivered", lost=0, duplicated=0)
