"""The command: examples, exit codes, and errors that say what, where, why and how to cure it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from daemon.cli import main
from daemon.config import load_config
from engine import __version__
from tests.service_runner import CONFIG, ServiceRunner


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_version_and_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"kakudai {__version__}\n"
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("run", "upscale", "status", "retry", "check", "config"):
        assert f"kakudai {command}" in text


@pytest.mark.parametrize("command", ["upscale", "check", "status", "retry", "run"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "--verbose" in capsys.readouterr().out


def test_a_wrong_configuration_exits_78_and_names_every_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("profiles: {fast: {}}\nfolders: [{input: a, output: b, profile: fst}]\nrescan: 3\n")
    assert main(["run", "--config", str(path)]) == 78
    told = capsys.readouterr().err
    assert str(path) in told
    assert 'folders[0].profile: no profile named "fst"; did you mean "fast"?' in told
    assert 'rescan: unknown key; did you mean "rescan_s"?' in told
    assert "→ correct the lines above" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [[], ["rum"], ["retry", "x"], ["status", "--jsn"], ["config"]])
def test_wrong_usage_exits_64_with_the_cure(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="64"):
        main(words)
    assert "--help shows what is possible" in capsys.readouterr().err


def test_verbose_gives_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-v", "--config", str(tmp_path / "nowhere.yaml")]) == 66
    assert "Traceback" in capsys.readouterr().err


def test_nothing_to_watch_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("device: cpu\n")
    assert main(["run", "--config", str(tmp_path / "config.yaml")]) == 78
    assert "folders: none is given" in capsys.readouterr().err


def test_which_configuration_is_used_is_said(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    monkeypatch.setattr("daemon.config.SYSTEM_CONFIG", config.parent / "not-there.yaml")
    assert main(["config", "show"]) == 0
    assert f"using {config}" in capsys.readouterr().err
    config.unlink()
    assert main(["config", "show"]) == 66
    assert "give --config FILE" in capsys.readouterr().err


def test_config_show_can_be_used_as_a_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "w.h5").touch()
    config.write_text(
        "state_dir: state\nretry: {attempts: 9}\nhours: 22:00-08:00\nworker: {nice: 3}\n"
        "profiles: {p: {mode: double-enlarge, target: 1080p, weights: w.h5, encoder: {name: x264, crf: 12}}}\n"
        "folders: [{input: in, output: out, profile: p, ignore: ['*.x'], original: move, moved_to: done,"
        "  errors: folder, priority: 4}]\n"
    )
    assert main(["config", "show", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert yaml.safe_load(shown)["profiles"]["p"]["target"] == "1920x1080"
    again = config.with_name("again.yaml")
    again.write_text(shown)
    first, second = load_config(config), load_config(again)
    assert first.folders == second.folders
    assert (first.hours, first.worker) == (second.hours, second.worker)
    assert (first.retry, first.state_dir, first.profiles) == (second.retry, second.state_dir, second.profiles)


def test_status_without_a_service(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--config", str(config)]) == 66
    assert "no service has worked with this state folder yet" in capsys.readouterr().err


def test_status_and_retry_while_the_service_is_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ServiceRunner(tmp_path) as service:
        (service.inbox / "line\nbreak\x1b[2J.png").write_text("no picture")
        service.start()
        service.wait_for(failed=1)
        service.stop()
        arguments = ["--config", str(service.config)]
        assert main(["status", *arguments]) == 0
        page = capsys.readouterr().out
        assert "Kakudai is not running." in page
        assert r"line\nbreak\x1b[2J.png" in page
        assert "\x1b" not in service.log()
        assert main(["retry", *arguments]) == 64
        assert "--all" in capsys.readouterr().err
        assert main(["retry", "--all", *arguments]) == 0
        assert capsys.readouterr().out == "job 1: queued again\n"
        assert main(["status", "--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["counts"] == {"queued": 1}


def test_a_reader_that_leaves_is_no_error(config: Path) -> None:
    pipe_read, pipe_write = os.pipe()
    os.close(pipe_read)
    told = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "config", "show", "--config", str(config)],
        stdout=pipe_write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(pipe_write)
    assert b"Traceback" not in told.stderr


def test_orders_and_the_configuration_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ServiceRunner(tmp_path) as service:
        service.start()
        service.stop()
        arguments = ["--json", "--config", str(service.config)]
        assert main(["pause", "--reason", "gaming", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["paused"]["reason"] == "gaming"
        assert main(["cancel", "77", *arguments]) == 64
        assert "77" in json.loads(capsys.readouterr().out)["refused"]
        assert main(["config", "show", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["retry"]["attempts"] == 3
