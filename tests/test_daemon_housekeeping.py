"""What is thrown away, and what must stay; which folders wait, and until when."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config_model import DAY_S, Config, Folder
from daemon.housekeeping import clean_up
from daemon.job import Found, Identity
from daemon.ledger import Ledger
from daemon.pauses import Pauses
from engine.errors import EnvironmentFault
from engine.settings import Settings


class _Desk:
    def __init__(self, base: Path) -> None:
        self.now = 1e9
        self.inbox = base / "in"
        self.inbox.mkdir()
        folder = Folder(self.inbox, base / "out", "fast", Settings())
        self.config = Config(base / "config.yaml", base, folders=(folder,))
        self.ledger = Ledger(base / "ledger.db", now=lambda: self.now)
        (base / "logs").mkdir()

    def ended(self, name: str, *, failed: bool = False) -> None:
        """A job that has just ended, with its log and work files."""
        path = self.inbox / name
        path.write_bytes(name.encode())
        self.ledger.queue([Found(self.inbox, path, "file", Identity.of(path.lstat()))])
        (job,) = self.ledger.jobs("queued")
        self.ledger.start(job, profile="fast")
        if failed:
            self.ledger.fail(job, error="e", reason="r", remedy="m")
        else:
            self.ledger.skip(job, "r")
        (self.config.state_dir / "work" / str(job.id)).mkdir(parents=True)
        (self.config.state_dir / "logs" / f"job-{job.id}.log").touch()

    def clean(self) -> list[str]:
        """Clean up; the sources that are still known."""
        clean_up(self.config, self.ledger, now=lambda: self.now)
        return sorted(job.source.name for job in self.ledger.jobs("failed", "skipped"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[_Desk]:
    desk = _Desk(tmp_path)
    yield desk
    desk.ledger.close()


def test_history_goes_when_its_source_left_long_ago(desk: _Desk) -> None:
    desk.ended("stays.png")
    desk.ended("left.png")
    desk.ended("left too.png", failed=True)
    (desk.inbox / "left.png").unlink()
    (desk.inbox / "left too.png").unlink()
    desk.now += 364 * DAY_S
    assert desk.clean() == ["left too.png", "left.png", "stays.png"]
    desk.now += 2 * DAY_S
    assert desk.clean() == ["stays.png"]
    assert [path.name for path in (desk.config.state_dir / "logs").iterdir()] == ["job-1.log"]


def test_no_history_goes_while_the_folder_is_missing(desk: _Desk) -> None:
    desk.ended("a.png")
    desk.now += 400 * DAY_S
    desk.inbox.rename(desk.inbox.parent / "unmounted")
    assert desk.clean() == ["a.png"]


def test_work_files_stay_for_a_retry_and_go_then(desk: _Desk) -> None:
    desk.ended("done.png")
    desk.ended("failed.png", failed=True)
    work = desk.config.state_dir / "work"
    (work / "999").mkdir()
    (work / "notes").mkdir()
    desk.clean()
    assert sorted(path.name for path in work.iterdir()) == ["2", "notes"]
    desk.now += 8 * DAY_S
    desk.clean()
    assert sorted(path.name for path in work.iterdir()) == ["notes"]


def test_a_pause_doubles_until_work_goes_well_again(tmp_path: Path) -> None:
    now = 0.0
    (tmp_path / "out").mkdir()
    folder = Folder(tmp_path / "in", tmp_path / "out", "fast", Settings())
    pauses = Pauses(tmp_path, clock=lambda: now)
    fault = EnvironmentFault("disk full", remedy="free space")
    assert pauses.pause(folder, fault) is True
    assert pauses.is_paused(folder)
    assert pauses.reasons() == {folder.input: ("disk full", "free space")}
    now = 5.0
    assert not pauses.is_paused(folder)
    assert pauses.reasons() == {}
    assert pauses.pause(folder, fault) is False
    now = 14.0
    assert pauses.is_paused(folder)
    now = 15.0
    assert not pauses.is_paused(folder)
    pauses.over(folder)
    assert pauses.pause(folder, fault) is True


def test_a_folder_that_is_back_ends_the_pause(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "in", tmp_path / "out", "fast", Settings())
    pauses = Pauses(tmp_path, clock=lambda: 0.0)
    pauses.pause(folder, EnvironmentFault("not there", remedy="mount it"))
    assert pauses.is_paused(folder)
    (tmp_path / "out").mkdir()
    assert not pauses.is_paused(folder)
    assert not pauses.is_paused(dataclasses.replace(folder, input=tmp_path / "other"))


def test_a_job_waits_for_its_next_attempt(tmp_path: Path) -> None:
    now = 0.0
    pauses = Pauses(tmp_path, clock=lambda: now)
    pauses.delay(7, 10)
    pauses.delay(8, 10)
    pauses.forget_job(8)
    assert pauses.delayed_jobs() == {7}
    now = 10.0
    assert pauses.delayed_jobs() == set()
