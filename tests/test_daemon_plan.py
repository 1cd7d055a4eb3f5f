"""`kakudai plan`: what would be done, how long, how large, and every refusal, with nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.ledger import Ledger
from daemon.rates import Measured
from engine.estimate import Rate, expected_seconds, expected_space, other_bytes, usual_bytes_per_pixel
from engine.parse_settings import SettingError, parse_encoder, parse_tag
from engine.plan import Plan
from engine.settings import Container, ImageFormat, Settings, Size
from tests import media
from tests.service_runner import CONFIG, write_episode, write_picture

FAST = ("--model", "bicubic", "--encoder", "x264:preset=ultrafast")


def _plan(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    code = main(["plan", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def _no_configuration_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_an_episode_and_a_picture_are_measured_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_episode(tmp_path / "season" / "Show - 01.mkv", frames=30)
    write_picture(tmp_path / "season" / "cel.png")
    before = _listed(tmp_path)
    code, told = _plan(capsys, tmp_path / "season", *FAST)
    assert code == 0
    assert _listed(tmp_path) == before
    episode, picture = told["files"]
    assert (episode["output"], episode["output_size"], episode["frames"]) == ("Show - 01 [96p].mkv", "128x96", 30)
    assert "measured now on" in episode["basis"]
    assert episode["seconds"] > 0
    assert 0 < episode["work_bytes"] < episode["output_bytes"]
    assert (picture["output_size"], picture["work_bytes"]) == ("96x64", 0)
    assert told["total"]["planned"] == 2
    assert told["total"]["output_bytes"] == episode["output_bytes"] + picture["output_bytes"]
    assert main(["plan", str(tmp_path / "season"), *FAST]) == 0
    text = capsys.readouterr().out
    assert "Show - 01 [96p].mkv" in text
    assert "Together: 2 planned" in text


def test_the_size_told_is_near_the_size_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = media.video(tmp_path / "a.mkv", frames=72, size="160x120")
    _, told = _plan(capsys, source, *FAST)
    assert main(["upscale", str(source), "-o", str(tmp_path / "b.mkv"), *FAST]) == 0
    made = (tmp_path / "b.mkv").stat().st_size
    assert 0.5 < told["files"][0]["output_bytes"] / made < 2


def test_every_refusal_is_told_before_anything_is_spent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_episode(tmp_path / "whole.mkv", frames=48)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "short.mkv").write_bytes(data[:-4000])
    (tmp_path / "Show [00000000].mkv").write_bytes(data)
    (tmp_path / "text.png").write_text("no picture")
    write_picture(tmp_path / "large.png", width=96, height=64)
    names = ["short.mkv", "Show [00000000].mkv", "text.png", "nothing.png", "large.png"]
    code, told = _plan(capsys, *names, "--target", "96x64", "--model", "bicubic")
    assert code == 65
    assert [entry["state"] for entry in told["files"]] == [*["refused"] * 4, "skipped"]
    assert [entry["exit_code"] for entry in told["files"]] == [65, 65, 65, 66, 0]
    assert all(entry["reason"] for entry in told["files"])
    assert all(entry["remedy"] for entry in told["files"][:4])
    assert "CRC-32" in told["files"][1]["reason"]


def _service(tmp_path: Path) -> Path:
    config = tmp_path / "service.yaml"
    config.write_text(CONFIG)
    (tmp_path / "in").mkdir()
    (tmp_path / "state").mkdir()
    return config


def test_earlier_jobs_of_the_service_are_the_basis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _service(tmp_path)
    write_episode(tmp_path / "in" / "Show.mkv", frames=30)
    words = [tmp_path / "in" / "Show.mkv", "--config", config]
    _, told = _plan(capsys, *words, "--quick")
    assert told["files"][0]["seconds"] is None
    assert told["total"]["seconds"] is None
    fingerprint = _fingerprint(config)
    ledger = Ledger(tmp_path / "state" / "ledger.db")
    pixels = 30 * 128 * 96
    ledger.rates.learn(fingerprint, Measured("episode", pixels, 60, 9000))
    ledger.close()
    _, told = _plan(capsys, *words)
    (entry,) = told["files"]
    assert entry["basis"] == "as measured on 1 earlier job"
    assert (entry["seconds"], entry["frames_per_second"], entry["work_bytes"]) == (60.0, 0.5, 9000)
    assert entry["output_dir"] == str(tmp_path / "out")
    assert entry["work_dir"] == str(tmp_path / "state" / "work")


def test_a_full_disk_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _service(tmp_path)
    write_picture(tmp_path / "in" / "cel.png")
    ledger = Ledger(tmp_path / "state" / "ledger.db")
    ledger.rates.learn(_fingerprint(config), Measured("picture", 1, 1, 1e12))
    ledger.close()
    code, told = _plan(capsys, tmp_path / "in" / "cel.png", "--config", config)
    assert code == 75
    assert "will need about" in told["total"]["short_of_space"]


def _fingerprint(config: Path) -> str:
    from daemon.config import load_config

    return load_config(config).folders[0].settings.fingerprint()


def test_the_files_that_steer_a_folder_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = _service(tmp_path)
    show = tmp_path / "in" / "show"
    show.mkdir(parents=True)
    picture = show / "a.png"
    write_picture(picture)
    (show / ".kakudai.yaml").write_text("scale: 3\n")
    _, told = _plan(capsys, picture, "--config", config, "--quick")
    width, height = (int(side) for side in told["files"][0]["source_size"].split("x"))
    assert told["files"][0]["output_size"] == f"{3 * width}x{3 * height}"
    (show / ".kakudai.yaml").write_text("scael: 3\n")
    code, told = _plan(capsys, picture, "--config", config, "--quick")
    assert (code, told["files"][0]["state"]) == (78, "refused")
    assert "scael" in told["files"][0]["reason"]


def test_a_sequence_is_planned_as_one_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        write_picture(tmp_path / "cut" / f"{number:04}.png", seed=number)
    code, told = _plan(capsys, tmp_path / "cut", "--sequence", "--model", "bicubic")
    assert code == 0
    assert (told["files"][0]["kind"], told["files"][0]["frames"]) == ("sequence", 3)


def _episode(container: Container) -> Plan:
    size = Size(1000, 1000)
    folder = container is Container.PNG
    return Plan("episode", Size(500, 500), size, "a.mkv", folder, 100, container=container, other_bytes=7)


def test_the_space_of_each_container() -> None:
    settings = Settings()
    space = {
        container: expected_space(_episode(container), settings, bytes_per_pixel=0.01)
        for container in (Container.MKV, Container.MP4, Container.PNG)
    }
    assert (space[Container.MKV].work_bytes, space[Container.MKV].output_bytes) == (1_000_000, 1_000_007)
    assert (space[Container.MP4].work_bytes, space[Container.MP4].output_bytes) == (2_000_000, 1_000_007)
    assert space[Container.PNG].output_bytes > 100_000_000
    assert expected_seconds(_episode(Container.MKV), Rate(1e8, 0.01, 2.0)) == 3.0


def test_what_is_usual_follows_encoder_and_quality() -> None:
    plan = _episode(Container.MKV)

    def usual(**encoder: object) -> float:
        return usual_bytes_per_pixel(plan, Settings(encoder=parse_encoder(encoder)))

    assert usual(name="x265", crf=22) == usual(name="x265") / 2
    assert usual(name="ffv1") > usual(name="x264") > usual(name="x265")
    picture = Plan("picture", Size(5, 5), Size(10, 10), "a.jpg", output_is_folder=False, frames=1)
    assert 0 < expected_space(picture, Settings(image_format=ImageFormat.JPEG)).output_bytes <= 300


def test_other_streams_are_weighed_by_the_statistics(tmp_path: Path) -> None:
    from engine.probe import probe_episode
    from engine.settings import Limits
    from engine.source import open_source

    source = media.fansub(tmp_path / "a.mkv")
    with open_source(source) as file:
        info = probe_episode(file, limits=Limits())
        weight = other_bytes(info, file.size)
    video = sum(map(int, media.call(*_PACKET_SIZES, source).split()))
    assert weight == file.size - video


_PACKET_SIZES = ("ffprobe", "-v", "error", "-select_streams", "V", "-show_entries", "packet=size", "-of", "csv=p=0")


def test_a_tag_is_one_line_of_known_fields() -> None:
    assert parse_tag("by {model}, {scale}x") == "by {model}, {scale}x"
    for wrong in ("", "a\nb", "{nam}", "{scale:.2f}", "x" * 201, 7):
        with pytest.raises(SettingError):
            parse_tag(wrong)


def test_another_tag_is_another_result() -> None:
    assert Settings(tag="mine").fingerprint() != Settings().fingerprint()
