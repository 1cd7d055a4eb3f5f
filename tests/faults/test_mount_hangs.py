"""A mount that does not answer at all, as a hard NFS mount while its server is away (a FUSE process stopped)."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from shutil import which

import pytest

from daemon.child import JobProcess
from daemon.cli import main
from daemon.control import ask
from daemon.job import Identity
from daemon.request import Request
from engine.settings import Settings
from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, bound, deaf_mount, hanging, needs_fuse
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture

pytestmark = [needs_fuse, pytest.mark.skipif(which("bindfs") is None, reason="bindfs is not installed")]

_TWO = CONFIG.replace("rescan_s: 1", "rescan_s: 3") + "  - {input: in2, output: out2, profile: fast, settle_s: 0.2}\n"
_IMPATIENT = CONFIG.replace("rescan_s: 1", "rescan_s: 60") + "limits: {silence_s: 10}\nworker: {stall_s: 10}\n"
_LONGER_THAN_THAT_S = 20.0


@pytest.mark.parametrize("place", ["in", "out"])
def test_the_other_folder_is_worked_on_across_a_restart(
    tmp_path: Path, seen: Seen, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    with ServiceRunner(tmp_path, _TWO) as service, bound(tmp_path / "behind", tmp_path / place) as process:
        service.start()
        with hanging(process):
            reasons = eventually(lambda: [wait["reason"] for wait in service.status()["waiting"]])
            assert reasons == ["does not answer" if place == "in" else f"{tmp_path / place} does not answer"]
            if place == "out":
                write_picture(service.inbox / "a.png", seed=1)
            write_picture(tmp_path / "in2" / "b.png", seed=2)
            service.wait_for(delivered=1)
            main(["check", "--config", str(service.config)])
            assert f"{tmp_path / place} does not answer" in capsys.readouterr().out
            assert service.stop() == 0
            service.start()
            write_picture(tmp_path / "in2" / "c.png", seed=3)
            service.wait_for(delivered=2)
            assert [wait["reason"] for wait in service.status()["waiting"]] == reasons
        if place == "in":
            write_picture(service.inbox / "a.png", seed=1)
        status = service.wait_for(delivered=3, queued=0, failed=0)
        assert all(job["failures"] == 0 for job in status["delivered"])
        assert_each_once(service, ["a [64p].png"])
        assert service.stop() == 0
    seen(f"{place}: said so, the other folder was worked on, across a restart too; went on by itself", lost=0)


def test_a_damaged_ledger_is_made_anew_once_it_answers(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, CONFIG) as service, bound(tmp_path / "behind", tmp_path / "out") as process:
        write_picture(service.inbox / "a.png", seed=1)
        service.start().wait_for(delivered=1)
        service.stop()
        (tmp_path / "state" / "ledger.db").write_bytes(b"no database at all" * 100)
        with hanging(process):
            service.launch()
            eventually(lambda: f"{tmp_path / 'out'} does not answer; what was delivered" in service.log())
        service.wait_for(skipped=1)
        assert_each_once(service, ["a [64p].png"])
        assert service.stop() == 0
    seen("a damaged ledger waited for it, and was then made anew", lost=0, duplicated=0)


def test_what_people_ask_meanwhile_is_answered(tmp_path: Path, seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    with ServiceRunner(tmp_path, CONFIG) as service, bound(tmp_path / "behind", tmp_path / "in") as process:
        config = ["--config", str(service.config)]
        service.start()
        assert main(["pause", *config]) == 0
        write_picture(service.inbox / "a.png", seed=1)
        (job,) = (job["job"] for job in service.wait_for(queued=1)["queued"])
        with hanging(process):
            eventually(lambda: service.status()["waiting"])
            answer = ask(tmp_path / "state", {"do": "preview", "job": job})
            assert answer == {"jobs": [], "refused": {str(job): "its folder does not answer"}}
            assert service.stop() == 0
            capsys.readouterr()
            assert main(["status", *config]) == 0
            assert f"Waiting: {service.inbox}\n         does not answer" in capsys.readouterr().out
            assert main(["resume", *config]) == 0
        service.start()
        service.wait_for(delivered=1)
        assert service.stop() == 0
    seen("a preview of a file on it is refused; `kakudai status` without a service says so", lost=0)


def test_a_process_that_cannot_be_killed_keeps_nobody(tmp_path: Path, seen: Seen) -> None:
    """It waits for the mount's answer, and what has been asked cannot be taken back."""
    (tmp_path / "in").mkdir()
    with deaf_mount(tmp_path / "in") as asked:
        request = Request(tmp_path / "in" / "a.png", "file", Identity(1, 1, 1, 1), Settings())
        process = JobProcess(request, state_dir=tmp_path, log_path=tmp_path / "job-1.log")
        assert asked.wait(60)
        process.close()
        assert _state_of(process.pid) == "D"
        assert process.exit_status() is None
    eventually(lambda: process.exit_status() is not None)
    assert process.exit_status() == -signal.SIGKILL
    seen("a job's process that even SIGKILL cannot end there is left behind, and gone once the mount is", lost=0)


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["in", "out"])
def test_in_the_middle_of_an_episode(tmp_path: Path, seen: Seen, place: str) -> None:
    with ServiceRunner(tmp_path, _IMPATIENT) as service, bound(tmp_path / "behind", tmp_path / place) as process:
        write_episode(service.inbox / "e.mkv", frames=1200, size="320x240")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("done", 0) > 0)
        with hanging(process):
            eventually(lambda: service.status()["waiting"])
            time.sleep(_LONGER_THAN_THAT_S)  # longer than anything else would be waited for
            assert service.status()["running"] or service.count("queued")
        (job,) = service.wait_for(delivered=1)["delivered"]
        assert job["failures"] == 0
        assert_each_once(service, ["e [480p].mkv"])
        assert service.stop() == 0
    seen(f"{place}, in the middle of an episode: no attempt used, delivered later", lost=0, partial=0)
