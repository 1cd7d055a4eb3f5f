"""The real service on real folders: what is dropped in comes back enlarged, or ends with a reason."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from daemon.status import render
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture


def test_a_picture_comes_back_enlarged_in_the_mirrored_tree(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_picture(service.inbox / "series" / "one" / "cel.png", width=48, height=32)
        status = service.wait_for(delivered=1)
        assert service.delivered() == ["series/one/cel [64p].png"]
        enlarged = cv2.imread(str(service.outbox / "series/one/cel [64p].png"))
        assert enlarged is not None
        assert enlarged.shape == (64, 96, 3)
        assert (service.inbox / "series" / "one" / "cel.png").exists()
        assert status["delivered"][0]["output"].endswith("cel [64p].png")
        assert "cel [64p].png" in render(status)
        assert list((tmp_path / "state" / "work").iterdir()) == []
        assert service.stop() == 0


def test_an_episode_comes_back_with_its_sound(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_episode(service.inbox / "Show - 01.mkv")
        service.wait_for(delivered=1)
        assert service.delivered() == ["Show - 01 [96p].mkv"]
        told = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames,height"]
            + ["-of", "csv=p=0", str(service.outbox / "Show - 01 [96p].mkv")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert told[0] == "video,96,24"
        assert told[1].startswith("audio,")


def test_each_bad_file_fails_with_reason_and_remedy_and_the_next_is_done(tmp_path: Path) -> None:
    service = ServiceRunner(tmp_path)
    bad = tmp_path / "in" / "bad"
    bad.mkdir()
    (bad / "text.png").write_text("no picture at all\n")
    write_picture(tmp_path / "whole.jpg", width=200, height=200)
    (bad / "short.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    write_episode(tmp_path / "whole.mkv", frames=48)
    (bad / "short.mkv").write_bytes((tmp_path / "whole.mkv").read_bytes()[:-4000])
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "flac", str(bad / "sound.mkv")],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (bad / "empty.png").touch()
    (bad / "empty.mkv").touch()
    write_picture(tmp_path / "in" / "good.png")
    with service.start():
        status = service.wait_for(failed=6, delivered=1)
        assert service.delivered() == ["good [64p].png"]
        failed = {Path(job["source"]).name: job for job in status["failed"]}
        assert set(failed) == {"text.png", "short.jpg", "short.mkv", "sound.mkv", "empty.png", "empty.mkv"}
        for job in failed.values():
            assert job["error"] == "InputError", job
            assert job["failures"] == 1, job
            assert job["reason"].count("\n") == 0
            assert job["remedy"]
            assert job["reason"] in render(status)
            assert f"kakudai retry {job['job']}" in render(status)
        assert "0 bytes" in failed["empty.png"]["reason"]
        assert "video" in failed["sound.mkv"]["reason"]


def test_an_unreadable_file_fails_with_the_reason(tmp_path: Path) -> None:
    # root reads everything, unless it gives up the capabilities for it
    wrapper = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    with ServiceRunner(tmp_path, wrapper=wrapper) as service:
        write_picture(service.inbox / "secret.png", seed=1)
        (service.inbox / "secret.png").chmod(0)
        write_picture(service.inbox / "zopen.png", seed=2)
        service.start()
        status = service.wait_for(failed=1, delivered=1)
        assert "permission denied" in status["failed"][0]["reason"]
        assert "chmod" in status["failed"][0]["remedy"]


def test_what_kakudai_made_is_skipped_with_the_reason(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_picture(service.inbox / "cel.png")
        service.wait_for(delivered=1)
        shutil.copy(service.outbox / "cel [64p].png", service.inbox / "again.png")
        status = service.wait_for(skipped=1)
        assert service.delivered() == ["cel [64p].png"]
        assert "akudai" in status["skipped"][0]["reason"]


@pytest.mark.parametrize("year", [1903, 2300])
def test_a_file_from_another_century(tmp_path: Path, year: int) -> None:
    """Its time of change in nanoseconds since 1970 has more than 64 bits."""
    moment = (year - 1970) * 31_556_952
    with ServiceRunner(tmp_path, CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, sequence: true")) as service:
        write_picture(service.inbox / "a.png")
        (service.inbox / "frames").mkdir()
        for number in range(2):
            write_picture(service.inbox / "frames" / f"{number}.png", seed=number)
        for path in service.inbox.rglob("*.png"):
            os.utime(path, (moment, moment))
        service.start()
        service.wait_for(delivered=2, queued=0)
        assert service.stop() == 0
        assert service.start().wait_for(delivered=2)["counts"] == {"delivered": 2}


def test_the_same_content_under_the_same_name_is_not_made_twice(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_picture(service.inbox / "cel.png", seed=1)
        service.wait_for(delivered=1)
        shutil.copy(service.inbox / "cel.png", tmp_path / "copy.png")
        (tmp_path / "copy.png").rename(service.inbox / "cel.png")
        status = service.wait_for(skipped=1)
        assert "delivered already as cel [64p].png (job 1)" in status["skipped"][0]["reason"]
        write_picture(tmp_path / "other.png", seed=2)
        (tmp_path / "other.png").rename(service.inbox / "cel.png")
        service.wait_for(delivered=2)
        assert service.delivered() == ["cel [64p] (2).png", "cel [64p].png"]


def test_killed_while_an_episode_runs_it_arrives_once(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        write_episode(service.inbox / "Show - 01.mkv", frames=120, size="320x240")
        for _ in range(3):
            service.start()
            eventually(lambda: service.status()["running"] is not None or service.count("delivered"))
            service.kill()
        service.start()
        service.wait_for(delivered=1, queued=0)
        assert service.delivered() == ["Show - 01 [480p].mkv"]
        assert "interrupted" in service.log()
        assert service.stop() == 0


def test_killed_while_pictures_run_each_arrives_once(tmp_path: Path) -> None:
    pictures = 4
    with ServiceRunner(tmp_path) as service:
        for number in range(pictures):
            write_picture(service.inbox / f"cel{number}.png", seed=number)
        for _ in range(pictures):
            service.start()
            eventually(lambda: service.status()["running"] or service.count("delivered") == pictures)
            service.kill()
        service.start()
        service.wait_for(delivered=pictures)
        assert service.delivered() == [f"cel{number} [64p].png" for number in range(pictures)]


def test_nothing_of_a_job_outlives_a_killed_service(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        write_episode(service.inbox / "long.mkv", frames=400, size="640x480")
        eventually(lambda: (service.status()["running"] or {}).get("done"))
        child = service.status()["running"]["pid"]
        service.kill()
        eventually(lambda: not Path(f"/proc/{child}/exe").exists(), patience_s=1)


@pytest.mark.slow
def test_a_silent_process_is_ended_and_the_job_tried_again(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, CONFIG + "limits: {silence_s: 7}\n").start() as service:
        write_episode(service.inbox / "long.mkv", frames=120, size="640x480")
        eventually(lambda: service.status()["running"])
        os.kill(service.status()["running"]["pid"], signal.SIGSTOP)
        service.wait_for(delivered=1)
        assert "no sign of life for 7 s" in service.log()


@pytest.mark.parametrize("original", ["move, moved_to: done", "delete"])
def test_originals_leave_only_after_delivery(tmp_path: Path, original: str) -> None:
    config = CONFIG.replace("settle_s: 0.2", f"settle_s: 0.2, original: {original}")
    with ServiceRunner(tmp_path, config).start() as service:
        write_picture(service.inbox / "a" / "cel.png")
        (service.inbox / "bad.png").write_text("no picture")
        service.wait_for(delivered=1, failed=1)
        eventually(lambda: not (service.inbox / "a" / "cel.png").exists())
        assert service.delivered() == ["a/cel [64p].png"]
        assert (service.inbox / "bad.png").exists()
        assert (tmp_path / "done" / "a" / "cel.png").exists() == original.startswith("move")
        eventually(lambda: service.status()["delivered"][0]["original"] in ("moved", "deleted"))


def test_a_folder_of_frames_is_one_job(tmp_path: Path) -> None:
    config = CONFIG.replace("settle_s: 0.2", "settle_s: 0.5, sequence: true")
    with ServiceRunner(tmp_path, config).start() as service:
        for number in range(3):
            write_picture(service.inbox / "cut 7" / f"frame{number:04}.png", seed=number)
        write_picture(service.inbox / "alone.png", seed=9)
        status = service.wait_for(delivered=2)
        assert len(status["delivered"]) == 2
        assert service.delivered() == [
            "alone [64p].png",
            *(f"cut 7 [64p]/frame{number:04}.png" for number in range(3)),
        ]


def test_retry_takes_a_failed_job_up_again(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        (service.inbox / "bad.png").write_text("no picture")
        service.wait_for(failed=1)
        command = [sys.executable, "-m", "daemon.cli", "retry", "--config", str(service.config)]
        told = subprocess.run([*command, "1"], check=True, capture_output=True, text=True)
        assert told.stdout == "job 1: queued again\n"
        service.wait_for(failed=1)
        refused = subprocess.run([*command, "7"], check=False, capture_output=True, text=True)
        assert refused.returncode == 64
        assert "there is no such job" in refused.stderr


def test_a_lost_output_is_waited_for(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        service.outbox.rename(tmp_path / "elsewhere")
        write_picture(service.inbox / "cel.png")
        eventually(lambda: service.status()["waiting"])
        assert "the output folder is not there" in service.status()["waiting"][0]["reason"]
        (tmp_path / "elsewhere").rename(service.outbox)
        status = service.wait_for(delivered=1)
        assert status["delivered"][0]["failures"] == 0


def test_the_service_process_stays_light() -> None:
    heavy = "tensorflow", "keras", "jax", "cv2", "pyvips", "h5py", "numpy"
    code = f"import daemon.service, daemon.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "[]\n"
