"""The same picture under two names in two folders, an episode under two names, and both dropped again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import ServiceRunner, write_episode, write_picture


def test_they_are_computed_once_and_delivered_twice(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        write_picture(service.inbox / "a.png")
        write_episode(service.inbox / "a.mkv", frames=12)
        service.start().wait_for(delivered=2)
        (service.inbox / "sub").mkdir()
        shutil.copy(service.inbox / "a.png", service.inbox / "sub" / "b.png")
        shutil.copy(service.inbox / "a.mkv", service.inbox / "b.mkv")
        service.wait_for(delivered=4)
        names = ["a [64p].png", "sub/b [64p].png", "a [96p].mkv", "b [96p].mkv"]
        assert_each_once(service, names)
        for first, second in (names[:2], names[2:]):
            assert (service.outbox / first).read_bytes() == (service.outbox / second).read_bytes()
        reports = [json.loads(path.read_text()) for path in (tmp_path / "state" / "reports").glob("*.json")]
        copied = {Path(report["source"]["path"]).name for report in reports if report.get("copied_from")}
        assert copied == {"b.png", "b.mkv"}
        # an output that somebody changed since is no source of copies
        (service.outbox / "a [64p].png").write_bytes(b"x" * (service.outbox / "a [64p].png").stat().st_size)
        (service.outbox / "sub" / "b [64p].png").write_bytes(b"x" * (service.outbox / "a [64p].png").stat().st_size)
        shutil.copy(service.inbox / "a.png", service.inbox / "c.png")
        service.wait_for(delivered=5)
        assert (service.outbox / "c [64p].png").read_bytes()[:4] == b"\x89PNG"
        # dropped again under its name
        shutil.copy(service.inbox / "a.mkv", tmp_path / "again.mkv")
        (tmp_path / "again.mkv").rename(service.inbox / "a.mkv")
        status = service.wait_for(skipped=1)
        assert "delivered already as a [96p].mkv" in status["skipped"][0]["reason"]
        service.stop()
    seen("computed once for each content; the copies equal byte for byte; a re-drop was skipped", duplicated=0)
