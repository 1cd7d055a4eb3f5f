"""Segments in the ledger: committed after they are on the disk, verified and not trusted, never mixed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config import parse_config
from daemon.housekeeping import clean_up
from daemon.job import Found, Identity, Job
from daemon.ledger import Ledger
from daemon.ledger_schema import MIGRATIONS
from daemon.segment_rows import MOST_SEGMENTS, PipedRecords, record_from
from daemon.store import Store
from engine.errors import ProcessingError
from engine.segment_records import SegmentRecord
from tests.faults.episodes import SLOW_WORK, long_episode, report_of
from tests.service_runner import CONFIG, ServiceRunner, eventually

RECORD = SegmentRecord("key", 1, 10, 10, 7, "ab")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.queue([Found(Path("/in"), Path("/in/a.mkv"), "file", Identity(1, 1, 1, 1))])
    yield ledger
    ledger.close()


def _started(ledger: Ledger) -> Job:
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="fast")
    return job


def test_a_row_stays_until_the_delivery(ledger: Ledger) -> None:
    job = _started(ledger)
    ledger.segments.keep(job, RECORD)
    ledger.segments.keep(job, SegmentRecord("other", 0, 0, 10, 7, "cd"))
    ledger.segments.keep(job, SegmentRecord("new", 1, 10, 4, 8, "ef"))
    ledger.requeue(job, outcome="interrupted")
    assert [record.key for record in ledger.segments.of(job)] == ["other", "new"]
    job = _started(ledger)
    ledger.planned(job, sha256="s", fingerprint="f", wanted=Path("/out/a"), part=Path("/out/.a.part"))
    ledger.verifying(job, output=Path("/out/a"), part_inode=1, part_size=1, part_sha256="", report="{}")
    ledger.delivered(job, original="kept")
    assert ledger.segments.of(job) == []


def test_a_segment_is_progress(ledger: Ledger) -> None:
    job = _started(ledger)
    ledger.requeue(job, outcome="interrupted")
    job = _started(ledger)
    ledger.segments.keep(job, RECORD)
    again = ledger.job(job.id)
    assert again is not None
    assert (job.interruptions, again.interruptions) == (1, 0)


def test_a_ledger_without_segments_gets_the_table_and_keeps_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (*MIGRATIONS[0], "PRAGMA user_version = 1"):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO jobs (folder, source, kind, inode, device, size, mtime_ns, state, position, created, changed) "
        "VALUES (?, ?, 'file', 1, 1, 1, 1, 'queued', 1, 0, 0)",
        (b"/in", b"/in/a.mkv"),
    )
    connection.close()
    ledger = Ledger(path)
    job = _started(ledger)
    ledger.segments.keep(job, RECORD)
    assert ledger.segments.of(job) == [RECORD]
    ledger.close()
    store = Store(path)
    assert store.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    store.close()


def test_what_cannot_be_a_segment_is_not_believed() -> None:
    good = {"key": "k", "index": 1, "first_frame": 10, "frames": 10, "bytes": 7, "sha256": "ab"}
    assert record_from(good).frames == 10
    for wrong in ({"index": -1}, {"index": MOST_SEGMENTS}, {"bytes": 1 << 62}, {"key": "x" * 65}, {"frames": "x"}):
        with pytest.raises(ValueError):  # noqa: PT011  (any will do)
            record_from({**good, **wrong})


def test_the_process_goes_on_only_when_the_row_is_there() -> None:
    said: list[object] = []
    answers = iter(['{"segment": 1}\n', '{"segment": 7}\n', ""])
    records = PipedRecords(
        [json.loads(json.dumps(vars(RECORD)))],
        send=lambda event, **row: said.append((event, row)),
        hear=answers.__next__,
    )
    assert records.read() == [RECORD]
    records.keep(RECORD)
    assert said == [("segment", vars(RECORD))]
    for _ in range(2):
        with pytest.raises(ProcessingError, match="does not answer"):
            records.keep(RECORD)


def test_in_a_work_folder_of_the_user_nothing_else_is_touched(tmp_path: Path) -> None:
    problems: list[str] = []
    text = CONFIG + "work_dir: films\n"
    config = parse_config(text, path=tmp_path / "config.yaml", problems=problems)
    other = parse_config(
        text.replace("state_dir: state", "state_dir: other"), path=tmp_path / "config.yaml", problems=problems
    )
    assert problems == []
    assert config.work_dir.parent == tmp_path / "films"
    assert config.work_dir != other.work_dir
    (tmp_path / "state").mkdir()
    (tmp_path / "films" / "2020").mkdir(parents=True)
    (config.work_dir / "2020").mkdir(parents=True)
    ledger = Ledger(tmp_path / "state" / "ledger.db")
    clean_up(config, ledger)
    ledger.close()
    assert (tmp_path / "films" / "2020").is_dir()
    assert not (config.work_dir / "2020").exists()


@pytest.mark.slow
def test_changed_settings_never_mix(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, SLOW_WORK) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        eventually(lambda: list((tmp_path / "state/work/1/segments").glob("segment_00001.mkv")))
        service.kill()
        service.config.write_text(SLOW_WORK.replace("preset: ultrafast", "preset: ultrafast, crf: 40"))
        service.start().wait_for(delivered=1)
        assert report_of(service)["details"]["segments_reused"] == 0


@pytest.mark.slow
def test_a_stop_in_mid_episode_keeps_the_segments(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, SLOW_WORK) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        eventually(lambda: list((tmp_path / "state/work/1/segments").glob("segment_00001.mkv")))
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=60) == 0
        service.start().wait_for(delivered=1)
        assert report_of(service)["details"]["segments_reused"] >= 1
        assert subprocess.run(["ffprobe", "-v", "error", *service.outbox.glob("*.mkv")], check=False).returncode == 0


@pytest.mark.slow
def test_a_stop_lets_the_segment_end_when_that_is_near(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, SLOW_WORK) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("done", 0) > 12)
        before = len(list((tmp_path / "state/work/1/segments").glob("segment_*.mkv")))
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=60) == 0
        assert "Show.mkv: finishes its segment first" in service.log()
        ledger = Ledger(tmp_path / "state" / "ledger.db")
        (job,) = ledger.jobs("queued")
        assert len(ledger.segments.of(job)) > before
        assert (job.failures, job.interruptions) == (0, 0)
        ledger.close()
