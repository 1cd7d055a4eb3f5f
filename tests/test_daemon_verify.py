"""Reports are written with the delivery, and `kakudai verify` finds what differs from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.config_model import DAY_S, Config, Folder
from daemon.housekeeping import clean_up
from daemon.job import Found, Identity
from daemon.ledger import Ledger
from daemon.report import report_path, write_report
from engine.settings import Settings
from tests import media
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An episode and what was made of it, with its report beside it."""
    folder = tmp_path_factory.mktemp("verify")
    source, output = folder / "Show - 01.mkv", folder / "big.mkv"
    write_episode(source, frames=12)
    words = ["upscale", str(source), "-o", str(output), "--model", "bicubic", "--encoder", "x264:preset=ultrafast"]
    assert main([*words, "--report"]) == 0
    return source, output


def _copy(made: tuple[Path, Path], folder: Path) -> tuple[Path, Path, Path]:
    source, output = (Path(shutil.copy(path, folder)) for path in made)
    report = Path(shutil.copy(f"{made[1]}.kakudai.json", folder))
    return source, output, report


def _verify(*words: object) -> int:
    return main(["verify", *map(str, words)])


def test_the_report_tells_everything(made: tuple[Path, Path]) -> None:
    source, output = made
    report: dict[str, Any] = json.loads(Path(f"{output}.kakudai.json").read_text())
    details = report["details"]
    assert report["frames"] == 12
    assert report["source"]["size"] == source.stat().st_size
    assert len(report["source"]["crc32"]) == len(report["output"]["crc32"]) == 8
    assert report["output"]["path"] == str(output)
    assert report["settings"]["model"] == "bicubic"
    assert {"kakudai", "ffmpeg", "mkvmerge", "numpy"} <= set(report["versions"])
    assert {"scan", "enlarge", "mux", "verify"} <= set(details["seconds"])
    assert "weights_sha256" in details
    before, after = details["streams"]["before"], details["streams"]["after"]
    times = [pts for pts, _ in media.packets(output)[0]]
    assert (after["first_pts"], after["last_pts"], after["frames"]) == (times[0], times[-1], 12)
    assert before["pts_sha256"] == after["pts_sha256"]
    assert [stream["kind"] for stream in after["streams"]] == ["video", "audio"]
    assert after["streams"][1]["sha256"] == before["streams"][1]["sha256"]
    assert after["streams"][0]["sha256"] != before["streams"][0]["sha256"]


def test_what_is_as_delivered_is_told_so(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert _verify(made[1], made[0]) == 0
    told = capsys.readouterr().out
    assert "as delivered" in told
    assert "12 frames at their times" in told
    assert "the source is the one it was made of" in told


def test_changed_tags_are_told_apart_from_changed_frames(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output, _ = _copy(made, tmp_path)
    media.call("mkvpropedit", output, "--edit", "track:2", "--set", "name=Commentary")
    assert _verify(output, "--json") == 65
    told = json.loads(capsys.readouterr().out)
    assert not told["as_delivered"]
    lines = told["differences"]
    assert any(line.startswith("output sha256: ") for line in lines)
    assert any(line.startswith("stream 1 (audio): tags: ") for line in lines)
    assert not any("frames" in line or "content" in line for line in lines)


def test_a_lost_frame_and_a_lost_stream_are_found(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output, _ = _copy(made, tmp_path)
    media.ffmpeg("-copyts", "-i", made[1], "-map", "0:v", "-c", "copy", "-frames:v", "11", output)
    assert _verify(output) == 65
    told = capsys.readouterr().out
    assert "frames: 11, not 12" in told
    assert "streams: 1, not 2" in told
    assert "content (SHA-256)" in told


def test_a_damaged_output_is_found(made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, output, _ = _copy(made, tmp_path)
    output.write_bytes(output.read_bytes()[:-500])
    assert _verify(output) == 65
    assert "output size: " in capsys.readouterr().out


def test_another_source_is_found(made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output, _ = _copy(made, tmp_path)
    write_episode(tmp_path / "other.mkv", frames=13)
    (tmp_path / "other.mkv").replace(source)
    assert _verify(output, source) == 65
    told = capsys.readouterr().out
    assert "source sha256: " in told
    assert "source: 13 frames (0 not shown), 12 were delivered" in told


def test_a_missing_or_foreign_report_is_told(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output, report = _copy(made, tmp_path)
    aside = report.rename(tmp_path / "aside.json")
    assert _verify(output) == 66
    assert "--report FILE" in capsys.readouterr().err
    assert _verify(output, "--report", aside) == 0
    for text in ("", "[1]", '{"format": 99}', '{"format": 1}'):
        aside.write_text(text)
        assert _verify(output, "--report", aside) == 65
    assert _verify(tmp_path / "nothing.mkv") == 66


@pytest.mark.parametrize("place", ["folder", "beside", "off"])
def test_the_service_writes_a_report_with_each_delivery(tmp_path: Path, place: str) -> None:
    with ServiceRunner(tmp_path, f"{CONFIG}reports: {place}\n").start() as service:
        write_picture(service.inbox / "a" / "cel.png")
        service.wait_for(delivered=1)
        beside = ["a/cel [64p].png.kakudai.json"] if place == "beside" else []
        assert service.delivered() == ["a/cel [64p].png", *beside]
    reports = list((tmp_path / "state" / "reports").glob("*")) if place == "folder" else []
    assert [path.name for path in reports] == (["1 cel [64p].png.json"] if place == "folder" else [])
    if place == "off":
        return
    output = service.outbox / "a" / "cel [64p].png"
    assert _verify(output, service.inbox / "a" / "cel.png", "--config", service.config) == 0
    output.write_bytes(output.read_bytes() + b"x")
    assert _verify(output, "--config", service.config) == 65


@pytest.mark.parametrize("output_stays", [True, False])
def test_a_report_leaves_with_its_output_and_source(tmp_path: Path, output_stays: bool) -> None:
    config = Config(tmp_path / "config.yaml", tmp_path, folders=(Folder(tmp_path, tmp_path / "out", "", Settings()),))
    ledger = Ledger(tmp_path / "ledger.db", now=lambda: 0.0)
    ledger.queue([Found(tmp_path, tmp_path / "gone.png", "file", Identity(1, 1, 1, 1))])
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="")
    output = tmp_path / "out" / "big.png"
    output.parent.mkdir()
    if output_stays:
        output.touch()
    ledger.planned(job, sha256="", fingerprint="", wanted=output, part=tmp_path / ".part")
    ledger.verifying(job, output=output, part_inode=1, part_size=1, part_sha256="", report="{}")
    ledger.delivered(job, original="kept")
    path = report_path(config, output, job.id)
    assert path is not None
    write_report({"format": 1}, path)
    clean_up(config, ledger, now=lambda: 400 * DAY_S)
    assert ledger.counts() == {}
    assert path.exists() == output_stays
    ledger.close()


@pytest.mark.slow
def test_nothing_counts_as_delivered_before_its_report_is_written(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "reports").write_text("in the way")
        service.start()
        write_picture(service.inbox / "cel.png")
        eventually(lambda: service.status()["waiting"])
        assert service.count("verifying") == 1
        service.kill()
        (tmp_path / "state" / "reports").unlink()
        service.start().wait_for(delivered=1)
        assert len(list((tmp_path / "state" / "reports").iterdir())) == 1
        assert service.delivered() == ["cel [64p].png"]
