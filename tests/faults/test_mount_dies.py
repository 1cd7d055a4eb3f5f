"""A mount that answers everything with "Transport endpoint is not connected", as a dead sshfs or rclone does (FUSE)."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.cli import main
from engine.errors import EnvironmentFault
from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, dead_mount, needs_fuse
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture


@needs_fuse
@pytest.mark.parametrize("place", ["in", "out", "work"])
def test_work_waits_for_it_and_goes_on(
    tmp_path: Path, seen: Seen, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    with ServiceRunner(tmp_path, CONFIG + "work_dir: work\n") as service:
        write_picture(service.inbox / "0.png", seed=0)
        service.start()
        service.wait_for(delivered=1)
        with dead_mount(tmp_path / place):
            if place != "in":
                write_picture(service.inbox / "1.png", seed=1)
            eventually(lambda: service.status()["waiting"])
            if place == "work":
                main(["check", "--config", str(service.config)])
                told = capsys.readouterr().out
                assert f"missing  work files               {tmp_path / 'work'}" in told
                assert f"ok       output                   {service.outbox}" in told, "the rest is told all the same"
            assert service.stop() == 0
            service.start()
            eventually(lambda: service.status()["waiting"])
        write_picture(service.inbox / "2.png", seed=2)
        names = ["0 [64p].png", "2 [64p].png"] + (["1 [64p].png"] if place != "in" else [])
        status = service.wait_for(delivered=len(names), queued=0, failed=0)
        assert_each_once(service, names)
        assert all(job["failures"] == 0 for job in status["delivered"])
        assert service.stop() == 0
    seen(f"{place}: waited, across a restart too, and went on by itself", lost=0)


@needs_fuse
@pytest.mark.slow
@pytest.mark.parametrize("place", ["in", "out"])
def test_it_dies_in_the_middle_of_an_episode(tmp_path: Path, seen: Seen, place: str) -> None:
    with ServiceRunner(tmp_path) as service:
        write_episode(service.inbox / "e.mkv", frames=1200, size="320x240")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("done", 0) > 0)
        with dead_mount(tmp_path / place):
            eventually(lambda: service.status()["waiting"] and not service.status()["running"])
        (job,) = service.wait_for(delivered=1)["delivered"]
        assert job["failures"] == 0
        assert_each_once(service, ["e [480p].mkv"])
        assert service.stop() == 0
    seen(f"{place}, in the middle of an episode: no attempt used, delivered later", lost=0, partial=0)


@needs_fuse
@pytest.mark.parametrize(
    "words",
    [["upscale", "dead/a.png", "-o", "a"], ["plan", "dead/a.png"], ["compare", "dead/a", "b"], ["verify", "dead/a"]],
)
def test_commands_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dead").mkdir()
    with dead_mount(tmp_path / "dead"):
        assert main(words) == EnvironmentFault.exit_code
    assert f"{words[1]}: the file system refuses: Transport endpoint is not connected" in capsys.readouterr().err
