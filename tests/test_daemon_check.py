"""`kakudai check`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.cli import main


def test_everything_needed_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"folders:\n  - {{input: {tmp_path}/in, output: {tmp_path}/out}}\n")
    assert main(["check", "--config", str(config), "--json"]) == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    for what in ("ffmpeg", "mkvmerge", "encoder x265", "Keras backend", "weights msrcnn-2x", "configuration"):
        assert findings[what]["state"] == "ok", findings[what]
    assert findings["input"]["state"] == "absent"


def test_what_is_missing_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no programs at all
    config = tmp_path / "config.yaml"
    config.write_text("folderz: []\n")
    assert main(["check", "--config", str(config)]) == 69
    told = capsys.readouterr().out
    assert "apt install ffmpeg" in told
    assert "apt install mkvtoolnix" in told
    assert 'did you mean "folders"' in told
