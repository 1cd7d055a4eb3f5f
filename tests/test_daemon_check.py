"""`kakudai check`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import json
import os
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


@pytest.mark.parametrize(
    ("version", "state"), [("4.4.2-0ubuntu0.22.04.1", "missing"), ("n5.1.2", "ok"), ("N-109-g", "ok")]
)
def test_an_ffmpeg_that_is_too_old_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str, state: str
) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text(f"#!/bin/sh\necho ffmpeg version {version} Copyright\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    main(["check", "--json"])
    found = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}["ffmpeg"]
    assert (found["state"], "5.1 or later" in found["cure"]) == (state, state == "missing")
