"""Texts that say why a file was not enlarged; and what leaves its folder and comes back is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config_model import ErrorFiles, Folder
from daemon.error_file import error_path, remove_error_file, write_error_file
from daemon.job import Found, Identity, Job
from daemon.ledger import Ledger
from engine.settings import Settings
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

WITH_FILES = CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, errors: folder")


def test_a_failed_file_leaves_a_text_until_it_is_delivered(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, WITH_FILES).start() as service:
        source = service.inbox / "show" / "bad.png"
        source.parent.mkdir()
        source.write_text("no picture")
        status = service.wait_for(failed=1)
        text = (service.outbox / "failed" / "show" / "bad.png.error.txt").read_text()
        assert text.startswith("bad.png was not enlarged.\n")
        assert status["failed"][0]["reason"] in text
        assert status["failed"][0]["remedy"] in text
        assert "kakudai retry 1" in text
        assert "The end of its log:\n    " in text
        write_picture(tmp_path / "good.png")
        (tmp_path / "good.png").rename(source)
        service.wait_for(delivered=1, skipped=1)
        eventually(lambda: not (service.outbox / "failed").exists())
        assert service.delivered() == ["show/bad [64p].png"]


def test_without_the_option_no_text_is_left(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        (service.inbox / "bad.png").write_text("no picture")
        service.wait_for(failed=1)
        assert service.delivered() == []


@pytest.mark.parametrize("running", [True, False])
def test_what_leaves_its_folder_and_comes_back_is_a_new_job(tmp_path: Path, running: bool) -> None:
    with ServiceRunner(tmp_path).start() as service:
        sources = [service.inbox / "show" / "bad.png", service.inbox / "bad2.png"]
        write_picture(service.inbox / "good.png")
        sources[0].parent.mkdir()
        for source in sources:
            source.write_text("no picture")
        service.wait_for(failed=2, delivered=1)
        if not running:
            service.stop()
        (service.inbox / "show").rename(tmp_path / "show")  # one by its folder, the others themselves
        for name in ("bad2.png", "good.png"):
            (service.inbox / name).rename(tmp_path / name)
        if not running:
            service.start()
            service.wait_for(skipped=2)
        (tmp_path / "show").rename(service.inbox / "show")
        for name in ("bad2.png", "good.png"):
            (tmp_path / name).rename(service.inbox / name)
        status = service.wait_for(failed=2, skipped=2, delivered=1, queued=0)
        assert {job["job"] for job in status["failed"]} == {4, 5}
        assert {job["reason"] for job in status["skipped"]} == {"its file was taken out of the folder"}
        assert service.delivered() == ["good [64p].png"]


def _failed(base: Path, name: str, reason: str) -> tuple[Folder, Job]:
    folder = Folder(base / "in", base / "out", "fast", Settings(), errors=ErrorFiles.FOLDER)
    folder.output.mkdir()
    ledger = Ledger(base / "ledger.db")
    ledger.queue([Found(folder.input, folder.input / name, "file", Identity(1, 1, 1, 1))])
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="fast")
    ledger.fail(job, error="InputError", reason=reason, remedy="copy it again")
    (job,) = ledger.jobs("failed")
    ledger.close()
    return folder, job


def test_a_name_of_any_length_and_a_log_of_any_content(tmp_path: Path) -> None:
    folder, job = _failed(tmp_path, "拡" * 83 + "\n.png", "first\nsecond\x1b[2J")
    log = tmp_path / "job.log"
    log.write_bytes(b"old\n" * 10_000 + b"\xff last \x1b words\n")
    write_error_file(folder, job, log)
    (path,) = (folder.output / "failed").iterdir()
    assert path == error_path(folder, job)
    text = path.read_text()
    assert "\x1b" not in text
    assert text.splitlines()[-1].endswith(r"last \x1b words")
    assert text.count("\n") < 60
    (folder.output / "failed" / "mine.txt").touch()
    remove_error_file(folder, job)
    assert [entry.name for entry in (folder.output / "failed").iterdir()] == ["mine.txt"]


def test_a_lost_output_gets_no_text_and_no_folder(tmp_path: Path) -> None:
    folder, job = _failed(tmp_path, "a.png", "r")
    folder.output.rmdir()
    write_error_file(folder, job, tmp_path / "none.log")
    assert not folder.output.exists()
    folder.output.write_text("not a folder")
    write_error_file(folder, job, tmp_path / "none.log")
    remove_error_file(folder, job)
