"""Measured rates, the room that a job needs, and the pause when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.asking import rates_of
from daemon.config import load_config, parse_config
from daemon.job import Found, Identity
from daemon.ledger import Ledger
from daemon.rates import KnownRate, Measured, measured_from
from daemon.room import check_room
from daemon.running import Place
from daemon.space import free_bytes, shortage, size
from engine.errors import EnvironmentFault
from engine.estimate import Rate
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture

REPORT = {
    "kind": "episode",
    "frames": 10,
    "output_size": "20x10",
    "seconds": 9.0,
    "output": {"size": 5000},
    "details": {"segments_reused": 0, "video_bytes": 400, "seconds": {"enlarge": 4.0}},
}


def test_a_report_tells_what_its_job_took() -> None:
    assert measured_from(REPORT) == Measured("episode", 2000.0, 4.0, 400.0)
    assert measured_from({**REPORT, "kind": "picture", "frames": 1}) == Measured("picture", 200.0, 9.0, 5000.0)
    assert measured_from({**REPORT, "details": {"segments_reused": 3}}) is None


@pytest.mark.parametrize(
    "change", [{"frames": 0}, {"frames": "x"}, {"output_size": 7}, {"details": 5}, {"details": {}}, {"kind": "k" * 99}]
)
def test_nonsense_is_no_measure(change: dict[str, object]) -> None:
    assert measured_from({**REPORT, **change}) is None


def test_later_jobs_count_more(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.rates.all() == {}
    ledger.rates.learn("f", Measured("episode", 1000, 10, 100))
    ledger.rates.learn("f", Measured("episode", 1000, 5, 300))
    ledger.rates.learn("f", Measured("picture", 1, 1, 1))
    known = ledger.rates.all()["f", "episode"]
    assert known == KnownRate(Rate(pixels_per_second=150.0, bytes_per_pixel=350 / 1500), jobs=2)
    ledger.close()


def test_folders_on_one_disk_need_their_room_together(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "not" / "there")
    assert shortage({tmp_path: free // 4, tmp_path / "not" / "there": free // 4}) is None
    short = shortage({tmp_path: free // 4 * 3, tmp_path / "not" / "there": free // 4 * 3})
    assert short is not None
    assert "will need about" in short.reason


def test_sizes_are_readable() -> None:
    assert [size(count) for count in (950, 1_234_000, 999_600_000, 3.2e12)] == [
        "950 bytes",
        "1.23 MB",
        "1 GB",
        "3.2 TB",
    ]


def test_a_job_waits_for_room_before_it_starts_and_no_attempt_is_used(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        config = load_config(service.config)
        (tmp_path / "state").mkdir()
        ledger = Ledger(tmp_path / "state" / "ledger.db")
        fingerprint = config.folders[0].settings.fingerprint()
        ledger.rates.learn(fingerprint, Measured("picture", 1, 1, 1e12))
        ledger.close()
        write_picture(service.inbox / "cel.png")
        service.start()
        eventually(lambda: service.status()["waiting"])
        assert "the job will need about 6,144 TB" in service.status()["waiting"][0]["reason"]
        assert service.status()["queued"][0]["failures"] == 0
        assert service.delivered() == []
        assert service.stop() == 0
        service.config.write_text(CONFIG + "check_space: false\n")
        service.start().wait_for(delivered=1)
        assert rates_of(config)[fingerprint, "picture"].jobs == 2


def test_work_files_of_failed_jobs_make_room(tmp_path: Path) -> None:
    problems: list[str] = []
    config = parse_config(CONFIG, path=tmp_path / "config.yaml", problems=problems)
    (tmp_path / "state").mkdir()
    ledger = Ledger(tmp_path / "state" / "ledger.db")
    ledger.queue([Found(Path("/in"), Path("/in/a.mkv"), "file", Identity(1, 1, 1, 1))])
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="fast")
    ledger.fail(job, error="ProcessingError", reason="", remedy="")
    kept = config.work_dir / str(job.id) / "segments"
    kept.mkdir(parents=True)
    with (kept / "segment_00000.mkv").open("wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no room
    place = Place("", tmp_path / "out" / "b.mkv", tmp_path / "out" / ".b.part", config.work_dir / "2")
    check_room(config, ledger, place, {"work_bytes": 1, "output_bytes": 1})
    assert kept.exists()
    with pytest.raises(EnvironmentFault, match="will need about"):
        check_room(config, ledger, place, {"work_bytes": 1, "output_bytes": 10**18})
    assert kept.exists()
    check_room(config, ledger, place, {"work_bytes": 1, "output_bytes": free_bytes(tmp_path) + (1 << 30)})
    assert not kept.exists()
    ledger.close()


def test_the_service_learns_from_each_delivery_and_the_tag_is_the_profiles(tmp_path: Path) -> None:
    config = CONFIG.replace("model: bicubic", 'model: bicubic, tag: "upscaled {scale}x, {model}"')
    with ServiceRunner(tmp_path, config).start() as service:
        write_episode(service.inbox / "Show.mkv", frames=12)
        service.wait_for(delivered=1)
        (known,) = rates_of(load_config(service.config)).values()
        assert known.jobs == 1
        assert known.rate.pixels_per_second > 0
        assert service.stop() == 0
    assert len(rates_of(load_config(service.config))) == 1
    (report,) = (tmp_path / "state" / "reports").iterdir()
    assert json.loads(report.read_text())["details"]["streams"]["after"]["tags"]["KAKUDAI"] == "upscaled 2x, bicubic"
