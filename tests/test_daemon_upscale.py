"""`kakudai upscale`: one file or many, named outputs or a folder, flags over profiles; one bad file stops no other."""

from __future__ import annotations

import fcntl
import json
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.cli import build_parser, main
from daemon.upscale_arguments import settings_from
from engine.errors import OutputError, UsageError
from engine.settings import Container, Denoise, EncoderSettings, Mode, Rounding, Settings, Size
from tests import media


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return drawn(tmp_path / "in" / "a.png")


def drawn(path: Path, *, height: int = 12, width: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    return path


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), "--model", "bicubic"])


def size_of(path: Path) -> tuple[int, int]:
    pixels = np.asarray(cv2.imread(str(path)))
    return pixels.shape[1], pixels.shape[0]


def test_one_file_to_a_name_of_its_own(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "b.png"
    assert upscale(picture, "-o", out) == 0
    assert size_of(out) == (32, 24)
    assert f"{out} (32x24" in capsys.readouterr().out
    assert sorted(p.name for p in out.parent.iterdir()) == ["b.png"], "no part, no work folder stays"


def test_the_extension_of_the_output_chooses_the_format(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.jpg"
    assert upscale(picture, "-o", out) == 0
    assert out.read_bytes().startswith(b"\xff\xd8\xff")


def test_a_tree_is_mirrored_and_named_by_the_template(tmp_path: Path) -> None:
    for name in ("1.png", "deep/er/2.png", ".hidden/3.png", "notes.txt"):
        drawn(tmp_path / "in" / name) if name.endswith("png") else (tmp_path / "in" / name).write_text("x")
    out = tmp_path / "in" / "out"  # inside the input: it must not be walked into
    for _ in range(2):
        upscale(tmp_path / "in", "-o", out, "--name", "{name} {scale}x", "--force")
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert found == ["1 2x.png", "deep/er/2 2x.png"]


def test_a_bad_file_fails_and_the_others_are_done(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "in" / "bad.png"
    bad.write_text("no picture")
    other = drawn(tmp_path / "in" / "c.png")
    out = tmp_path / "out"
    assert upscale(bad, picture, other, tmp_path / "in" / "gone.png", "-o", out) == 65
    assert sorted(p.name for p in out.iterdir()) == ["a [24p].png", "c [24p].png"]
    told = capsys.readouterr().err
    assert f"{bad}: is not a picture" in told
    assert "remedy:" in told
    assert "no such file" in told


def test_what_the_output_lacks_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upscale(media.captioned(tmp_path / "a.mkv"), "-o", tmp_path / "b.mkv") == 0
    assert "  note: the closed captions inside its video are not carried over" in capsys.readouterr().out


def test_json_tells_each_file_on_a_line(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "in" / "empty.png"
    bad.touch()
    assert upscale(picture, bad, "-o", tmp_path / "out", "--json") == 65
    done, failed = map(json.loads, capsys.readouterr().out.splitlines())
    assert (done["state"], done["output_size"]) == ("done", "32x24")
    assert (failed["state"], failed["exit_code"]) == ("failed", 65)
    assert failed["remedy"]


def test_what_exists_is_kept_unless_forced(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.png"
    out.write_text("precious")
    assert upscale(picture, "-o", out) == 73
    assert out.read_text() == "precious"
    assert "--force" in capsys.readouterr().err
    assert upscale(picture, "-o", out, "--force") == 0
    assert size_of(out) == (32, 24)


def test_two_commands_do_not_make_one_output(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, work_dir = tmp_path / "b.png", tmp_path / ".b.png.work"
    work_dir.mkdir()
    held = os.open(work_dir, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert upscale(picture, "-o", out) == OutputError.exit_code
    assert "is being made by another kakudai" in capsys.readouterr().err
    assert work_dir.exists(), "the other's"
    assert not out.exists()
    os.close(held)
    assert upscale(picture, "-o", out) == 0
    assert not work_dir.exists()


def test_what_is_large_enough_or_ours_is_skipped(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert upscale(picture, "-o", out, "--target", "16x12") == 0
    assert "skipped: is 16x12 already" in capsys.readouterr().out
    assert upscale(picture, "-o", out) == 0
    assert upscale(out / "a [24p].png", "-o", out) == 0
    assert "skipped: was made by Kakudai" in capsys.readouterr().out


def test_numbered_frames_are_one_job(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        drawn(tmp_path / "cut" / f"{number:04}.png")
    assert upscale(tmp_path / "cut", "-o", tmp_path / "out", "--sequence") == 0
    assert len(list((tmp_path / "out" / "cut [24p]").iterdir())) == 3


def test_an_episode_becomes_an_episode_or_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = media.fansub(tmp_path / "Title - 01.mkv", frames=4)
    assert upscale(source, "-o", tmp_path / "out", "--encoder", "x264:crf=30,preset=ultrafast", "--stages") == 0
    _, *stages = capsys.readouterr().out.splitlines()
    assert {line[:12].strip() for line in stages} == {"decode", "planes in", "network", "planes out", "encode"}
    assert sum("holds the job back" in line for line in stages) == 1
    (made,) = (tmp_path / "out").iterdir()
    assert len(media.frame_hashes(made)) == 4
    assert upscale(source, "-o", tmp_path / "frames", "--container", "png") == 0
    (folder,) = (tmp_path / "frames").iterdir()
    names = sorted(p.name for p in folder.iterdir())
    assert names == [*(f"frame_{n:06}.png" for n in range(1, 5)), "timecodes.txt"]


@pytest.mark.parametrize(
    ("words", "exit_code", "told"),
    [
        (["--mode", "enhance", "--scale", "2"], 64, "enhance keeps the size"),
        (["--scale", "9"], 64, "between 1 and 8"),
        (["--target", "huge"], 64, "not a target"),
        (["--encoder", "x266"], 64, "x265"),
        (["--profile", "fast"], 64, "--config"),
        (["--mode", "double-enlarge", "--denoise", "strong"], 64, "has no strong denoise"),
        (["--weights", "nowhere.h5"], 66, "no such weights file"),
        (["--weights", "nowhere.h5", "--model", "lanczos"], 64, "model lanczos is no network and takes no weights"),
        (["--sequence"], 65, "is no folder of frames"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    exit_code: int,
    told: str,
) -> None:
    model = [] if "--weights" in words else ["--model", "bicubic"]
    try:
        code = main(["upscale", str(picture), "-o", str(tmp_path / "out"), *model, *words])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == exit_code
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def settings(*words: str) -> Settings:
    all_words = ["upscale", "a.png", "-o", "out", *words]
    return settings_from(build_parser(all_words).parse_args(all_words))


def test_flags_go_over_the_profile(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "profiles:\n"
        "  default: {scale: 3, rounding: paper}\n"
        "  small: {mode: enhance, denoise: standard, encoder: {name: x264, crf: 20}}\n"
        "folders: []\n"
    )
    base = settings("--config", str(config))
    assert (base.scale, base.rounding) == (Fraction(3), Rounding.PAPER)
    small = settings("--config", str(config), "--profile", "small", "--container", "mkv")
    assert (small.mode, small.denoise, small.container) == (Mode.ENHANCE, Denoise.STANDARD, Container.MKV)
    assert small.encoder == EncoderSettings("x264", (("crf", "20"),))
    assert settings("--config", str(config), "--target", "1080p").target == Size(1920, 1080)
    assert settings("--config", str(config), "--mode", "enhance").scale == 1
    assert settings("--mode", "enhance").scale == 1
    assert settings().scale == 2
    config.write_text("profiles: {default: {restore: true}}\nfolders: []\n")
    assert settings("--config", str(config)).model_name == "fine-restore"
    assert settings("--config", str(config), "--no-restore", "--model", "msrcnn").model_name == "msrcnn"
    with pytest.raises(UsageError, match="msrcnn has no weights that restore"):
        settings("--config", str(config), "--model", "msrcnn")
