"""Who may be given work, who is set aside; and what the service remembers of it between jobs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cluster.roster import FAILURES_IN_A_ROW, SET_ASIDE_S, Roster, Seen
from daemon.cluster.settings import Cluster, WhenGone, Workers
from daemon.cluster.view import ClusterView, Told, cluster_lines
from daemon.config import parse_config
from daemon.config_show import show
from daemon.job import Identity
from daemon.request import Request
from engine.settings import Device, Settings

GPU_NODE = Seen("g" * 56, "gpu", cpus=16, gpus=2)
CPU_NODE = Seen("c" * 56, "cpu", cpus=5, gpus=0)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("workers", "device", "slots"),
    [
        (Workers(gpus=1, cpus=2), Device.AUTO, {"gpu": 2, "cpu": 0}),  # one kind of device for all
        (Workers(gpus=0.5, cpus=2), Device.AUTO, {"gpu": 4, "cpu": 0}),
        (Workers(gpus=1, cpus=2), Device.CPU, {"gpu": 8, "cpu": 2}),
        (Workers(gpus=4, cpus=2), Device.AUTO, {"gpu": 8, "cpu": 2}),  # nobody has four
        (Workers(gpus=4, cpus=2), Device.GPU, {"gpu": 0, "cpu": 0}),
    ],
)
def test_a_node_is_divided(workers: Workers, device: Device, slots: dict[str, int]) -> None:
    roster = Roster(workers, device)
    roster.see([GPU_NODE, CPU_NODE])
    opened = [slot.node[0] for slot in roster.to_open()]
    assert {name: opened.count(name[0]) for name in slots} == slots


def test_a_node_that_keeps_failing_is_set_aside_and_tried_again() -> None:
    clock = Clock()
    roster = Roster(Workers(cpus=5), Device.CPU, clock=clock)
    roster.see([CPU_NODE])
    (slot,) = roster.to_open()
    roster.joined(slot)
    for _ in range(FAILURES_IN_A_ROW):
        roster.failed(slot, "bad option")  # of a segment that nobody can make
    for _ in range(FAILURES_IN_A_ROW - 1):
        roster.blame(slot.node, "disk full")
    roster.worked(slot, frames=240, seconds=10)  # a success between them: they are not in a row
    for _ in range(FAILURES_IN_A_ROW - 1):
        roster.blame(slot.node, "disk full")
    assert roster.usable() == [slot]
    roster.blame(slot.node, "disk full")
    assert roster.usable() == []
    (row,) = roster.table()
    assert (row["state"], row["failures"], row["segments"]) == ("set aside", 3, 1)
    assert row["reason"] == "failed 3 times in a row: disk full"
    assert row["frames_per_second"] == 24.0
    clock.now += SET_ASIDE_S
    assert roster.usable() == [slot]


def test_a_node_that_is_gone_and_comes_back_is_another() -> None:
    roster = Roster(Workers(cpus=5), Device.CPU)
    roster.see([CPU_NODE])
    (slot,) = roster.to_open()
    roster.joined(slot)
    roster.failed(slot, "killed")
    assert roster.see([]) == [slot]
    assert roster.usable() == []
    again = replace(CPU_NODE, id="d" * 56)
    assert roster.see([again]) == []
    (new,) = roster.to_open()
    assert new.node == again.id
    assert {row["node"][0]: row["state"] for row in roster.table()} == {"d": "joins", "c": "gone"}


def test_the_service_adds_up_and_tells_the_next_job_who_is_unfit() -> None:
    clock = Clock()
    view = ClusterView(now=clock)
    roster = Roster(Workers(cpus=5), Device.CPU, clock=clock)
    roster.see([CPU_NODE])
    (slot,) = roster.to_open()
    roster.joined(slot)
    for job in (1, 2):
        for _ in range(2):  # the same job tells its own count again and again
            roster.worked(slot, frames=10, seconds=1)
            view.note(job, Told.from_event({"nodes": roster.table(), "problem": None}))
    roster.set_aside(slot.node, "its ffmpeg\x1b differs")
    view.note(2, Told.from_event({"nodes": roster.table(), "problem": None}))
    plain = view.plain(Cluster())
    assert plain is not None
    (node,) = plain["nodes"]
    assert node["segments"] == 2 + 4  # the second job's process began to count anew at 2 only in this test
    assert view.set_aside() == {slot.node: ("its ffmpeg\\x1b differs", clock.now + SET_ASIDE_S)}
    text = "\n".join(cluster_lines(plain))
    assert "cpu (cccccccc), set aside, 1 cpu worker, 10 frames/s, 6 segments" in text
    assert "its ffmpeg\\x1b differs" in text
    clock.now += SET_ASIDE_S
    assert view.set_aside() == {}
    assert view.plain(None) is None


def test_a_node_that_does_not_see_the_shared_folder_works_all_the_same_and_it_is_told() -> None:
    roster = Roster(Workers(cpus=5), Device.CPU)
    roster.see([CPU_NODE])
    (slot,) = roster.to_open()
    roster.joined(slot)
    assert roster.shares(slot)
    roster.unshare(slot, "/mnt/anime is not mounted")
    assert not roster.shares(slot)
    assert roster.usable() == [slot]
    (row,) = roster.table()
    assert (row["state"], row["failures"]) == ("works", 0)
    assert row["reason"] == "does not use the shared folder: /mnt/anime is not mounted"


@pytest.mark.parametrize("wrong", [{"workers": "x"}, {"reason": None, "until": "soon"}, {"busy": [1]}])
def test_what_cannot_be_a_node_is_not_believed(wrong: dict[str, object]) -> None:
    roster = Roster(Workers(), Device.CPU)
    roster.see([CPU_NODE])
    (row,) = roster.table()
    with pytest.raises((ValueError, TypeError)):
        Told.from_event({"nodes": [{**row, **wrong}], "problem": None})


def test_the_configuration_names_a_cluster(tmp_path: Path) -> None:
    problems: list[str] = []
    text = "cluster: {address: 'ray://10.0.0.1:10001', workers: {gpus: 0.5}, when_gone: local, shared: /mnt/anime}"
    config = parse_config(text, path=tmp_path / "config.yaml", problems=problems)
    assert problems == []
    assert config.cluster == Cluster(
        "ray://10.0.0.1:10001", Workers(gpus=0.5), when_gone=WhenGone.LOCAL, shared=Path("/mnt/anime")
    )
    again = parse_config(show(config), path=tmp_path / "config.yaml", problems=problems)
    assert (again.cluster, problems) == (config.cluster, [])
    request = Request(
        Path("/a.mkv"),
        "file",
        Identity(1, 1, 1, 1),
        Settings(),
        cluster=config.cluster,
        set_aside={"node": ("disk full", 5.0)},
    )
    assert Request.from_json(request.to_json()) == request
    assert parse_config("", path=tmp_path / "config.yaml", problems=problems).cluster is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cluster: {adress: auto}", "cluster.adress"),
        ("cluster: {workers: 2}", "cluster.workers: should hold gpus and cpus"),
        ("cluster: {workers: {gpus: 0}}", "cluster.workers: 0 is out of range"),
        ("cluster: {when_gone: never}", "cluster.when_gone"),
        ("cluster: {episodes: 0}", "cluster.episodes"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    problems: list[str] = []
    parse_config(text, path=tmp_path / "config.yaml", problems=problems)
    assert complaint in "\n".join(problems)


def test_nothing_of_ray_is_imported_by_the_service() -> None:
    code = "import sys, daemon.service, daemon.job_process, daemon.cluster.crew; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
