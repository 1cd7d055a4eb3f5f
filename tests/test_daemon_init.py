"""`kakudai init`: what it writes is what the service reads, and says what was answered."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from daemon import init
from daemon.cli import main
from daemon.config import load_config
from engine.settings import Size


def test_yes_writes_the_documented_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    assert main(["init", str(path), "--yes"]) == 0
    assert f"kakudai run --config {path}" in capsys.readouterr().out
    config = load_config(path)
    assert config.folders[0].input == Path("~/Kakudai/in").expanduser().resolve()
    assert config.profiles["default"].scale == 2
    documented = (Path(__file__).parent.parent / "config.yaml").read_text().splitlines()
    assert len(path.read_text().splitlines()) == len(documented)  # every comment is there


@pytest.mark.parametrize("folder", ["a b: c", "日本 # 1", 'it\'s "so"', "-x", "plain"])
def test_flags_answer_whatever_the_names_are(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", f"--input={folder}", f"--output={tmp_path}/out", "--size", "1080p"]) == 0
    (watched,) = load_config(tmp_path / "config.yaml").folders
    assert (watched.input, watched.output) == (tmp_path / folder, tmp_path / "out")
    assert watched.settings.target == Size(1920, 1080)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_asks_three_questions_until_the_answers_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(f"{tmp_path}/in\n{tmp_path}/out\nhuge\n3x\n"))
    assert main(["init", str(tmp_path / "c.yaml")]) == 0
    asked = capsys.readouterr().err
    assert all(question.asked in asked for question in init.QUESTIONS)
    assert '"huge" is not a target' in asked
    config = load_config(tmp_path / "c.yaml")
    assert config.folders[0].input == tmp_path / "in"
    assert config.profiles["default"].scale == 3


def test_nothing_is_overwritten_and_nothing_wrong_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    assert main(["init", str(path), "--yes"]) == 73
    assert path.read_text() == "mine"
    assert main(["init", str(path), "--yes", "--force"]) == 0
    other = tmp_path / "other.yaml"
    same = ["--input", str(tmp_path), "--output", str(tmp_path), "--size", "2"]
    assert main(["init", str(other), *same]) == 78
    assert "is the input folder" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["init", str(other)]) == 64
    assert main(["init", str(other), "--yes", "--size", "9x"]) == 64
    assert not other.exists()
    assert main(["init", str(tmp_path / "no" / "c.yaml"), "--yes"]) == 73


def test_sizes_in_words() -> None:
    assert init.size_of("2.25x") == ("scale", "2.25")
    assert init.size_of(" 3 ") == ("scale", "3")
    assert init.size_of("1920×1080") == ("target", "1920x1080")
