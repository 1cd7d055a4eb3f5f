"""Segments on a real Ray cluster: whatever dies, the output is that of one machine, and nothing is made twice.

Each test starts a cluster of its own on this machine: a head and nodes, each with one CPU as its resource.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.ledger import Ledger
from engine.settings import Size
from tests import media
from tests.faults.episodes import SLOW_WORK, assert_same_video
from tests.ray_cluster import RayCluster, free_port
from tests.service_runner import CONFIG, ServiceRunner, eventually
from tests.web_client import WebClient
from training.sample import write_episode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PATIENCE_S = 600.0
WORKER = "ray::SegmentActor"
"""How Ray names the processes that make segments."""


def draw(path: Path, frames: int, seed: int = 0) -> Path:
    """A drawn episode in segments of ten frames: each frame is shown for a second."""
    drawn = path.with_name(f"{path.stem} drawn.mkv")
    write_episode(drawn, size=Size(160, 96), frames=frames, seed=seed)
    media.call("mkvmerge", "--quiet", "-o", path, "--default-duration", "0:1fps", drawn)
    drawn.unlink()
    return path


def configuration(address: str, base: str = SLOW_WORK, **cluster: object) -> str:
    keys = {"address": address, "workers": "{cpus: 1}", "patience_s": 300, **cluster}
    return f"{base}\ncluster: {{{', '.join(f'{name}: {value}' for name, value in keys.items())}}}\n"


def made_here(base: Path, source: Path) -> Path:
    """The same episode, enlarged by the service alone."""
    base.mkdir()
    with ServiceRunner(base, SLOW_WORK) as service:
        shutil.copy(source, service.inbox)
        service.start()
        patiently(lambda: service.count("delivered") == 1)
    (output,) = service.outbox.glob("*.mkv")
    return output


def another_folder_at(path: Path) -> list[str]:
    """What a node is started with to see a file system of its own there."""
    own = "-m" if os.geteuid() == 0 else "-rm"
    return ["unshare", own, "sh", "-c", f'mount -t tmpfs none {path} && exec "$@"', "sh"]


def patiently(condition: Callable[[], object]) -> None:
    eventually(condition, patience_s=PATIENCE_S)


class Rows:
    """The ledger's rows of segments and when each was written, read again and again from copies: it has one owner.

    Delivery drops them, so an episode's last may never be seen: how many there were is what its report says.
    """

    def __init__(self, service: ServiceRunner) -> None:
        self._state, self._copy = service.base / "state", service.base / "copy"
        self.seen: defaultdict[tuple[int, int], set[float]] = defaultdict(set)

    def look(self) -> int:
        """How many segments have been seen so far."""
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir()
        for file in self._state.glob("ledger.db*"):
            shutil.copy(file, self._copy)
        with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(self._copy / "ledger.db")) as ledger:
            for job, number, finished in ledger.execute("SELECT job, number, finished FROM segments"):
                self.seen[job, number].add(finished)
        return len(self.seen)


def reports_of(service: ServiceRunner) -> dict[str, dict[str, Any]]:
    """What the reports of all deliveries say, by the name of the source."""
    ledger = Ledger(service.base / "state" / "ledger.db")
    jobs = ledger.jobs("delivered")
    ledger.close()
    return {job.source.name: json.loads(job.report or "{}")["details"] for job in jobs}


def node_states(service: ServiceRunner) -> list[str]:
    cluster = service.status()["cluster"]
    return sorted(node["state"] for node in cluster["nodes"])


def node_reasons(service: ServiceRunner) -> list[str | None]:
    return [node["reason"] for node in service.status()["cluster"]["nodes"] if node["state"] == "works"]


def test_workers_and_nodes_die_and_come_and_two_episodes_are_what_one_machine_makes(tmp_path: Path) -> None:
    one, two = draw(tmp_path / "One.mkv", 150), draw(tmp_path / "Two.mkv", 40, seed=5)
    shared = tmp_path / "shared"
    shared.mkdir()
    with RayCluster(wrappers={"c": another_folder_at(shared)}) as cluster:
        cluster.start("a").start("b")
        with ServiceRunner(tmp_path, configuration(cluster.address, shared=shared)) as service:
            for source in (one, two):
                shutil.copy(source, service.inbox)
            service.start(**cluster.environment)
            rows = Rows(service)
            patiently(lambda: service.status()["also_running"])  # the second began before the first was done
            patiently(lambda: node_states(service) == ["works", "works"])
            patiently(lambda: list(shared.glob(".kakudai-*/*.source")))  # read there by the nodes
            patiently(lambda: rows.look() >= 2)
            patiently(lambda: cluster.kill("b", command=f"{WORKER}.make"))  # in mid-segment
            patiently(lambda: rows.look() >= 5)
            assert cluster.kill("b") > 1  # the whole node
            cluster.start("c")
            patiently(lambda: rows.look() and "not the same folder there, or not mounted" in str(node_reasons(service)))
            patiently(lambda: rows.look() >= 0 and service.count("delivered") == 2)
            state = service.status()
            service.stop()
    reports = reports_of(service)
    made = [reports[name]["elsewhere"]["segments_by_node"] for name in ("One.mkv", "Two.mkv")]
    assert [sum(by_node.values()) for by_node in made] == [15, 4]  # each once
    assert all(len(written) == 1 for written in rows.seen.values())
    assert sum(node["segments"] for node in state["cluster"]["nodes"]) >= 19
    assert sum(node["failures"] for node in state["cluster"]["nodes"]) >= 1
    in_shared = [reports[name]["elsewhere"]["segments_shared"] for name in ("One.mkv", "Two.mkv")]
    assert 0 < sum(in_shared) < 19
    assert list(shared.iterdir()) == []
    assert [node["state"] for node in state["cluster"]["nodes"]].count("works") == 2  # b is gone, or soon known to be
    for source in (one, two):
        (output,) = service.outbox.glob(f"{source.stem}*")
        assert_same_video(output, made_here(tmp_path / source.stem, source))


def test_the_service_and_then_the_head_are_killed_and_started_again(tmp_path: Path) -> None:
    source = draw(tmp_path / "Show.mkv", 100)
    with RayCluster() as cluster:
        cluster.start("a").start("b")
        with ServiceRunner(tmp_path, configuration("auto", episodes=4)) as service:
            shutil.copy(source, service.inbox)
            service.start(**cluster.environment)
            rows = Rows(service)
            patiently(lambda: rows.look() >= 2)
            service.kill()
            before = rows.look()
            service.start(**cluster.environment)
            patiently(lambda: rows.look() >= before + 1)
            for node in ("a", "b"):
                cluster.kill(node)
            after = rows.look()
            cluster.start("a").start("b")
            patiently(lambda: rows.look() >= 0 and service.count("delivered") == 1)
            service.stop()
    details = reports_of(service)["Show.mkv"]
    assert details["segments_reused"] >= before
    assert details["elsewhere"]["reconnected"] >= 1
    # half of the nodes are the episode's own, and the other does nothing else
    assert len(details["elsewhere"]["segments_by_node"]) >= 2
    assert after < 10
    assert sum(details["elsewhere"]["segments_by_node"].values()) + details["segments_reused"] == 10  # each once
    assert all(len(written) == 1 for written in rows.seen.values())
    (output,) = service.outbox.glob("*.mkv")
    assert_same_video(output, made_here(tmp_path / "here", source))


def another_ffmpeg(folder: Path, script: str) -> str:
    """A PATH on which ffmpeg does what `script` says, and else what it always does."""
    folder.mkdir()
    wrapper = folder / "ffmpeg"
    wrapper.write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("ffmpeg")} "$@"\n')
    wrapper.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_nodes_with_another_or_a_broken_ffmpeg_get_no_work_and_the_reason_is_told(tmp_path: Path) -> None:
    other = another_ffmpeg(tmp_path / "other", '[ "$1" = -version ] && echo "ffmpeg version 1.0" && exit')
    broken = another_ffmpeg(tmp_path / "broken", 'case "$*" in *libx264*) echo "[fatal] no memory" >&2; exit 1;; esac')
    base = CONFIG.replace("web: false", "web: {port: 0}")
    with RayCluster() as cluster:
        cluster.start("a").start("b", PATH=other).start("c", PATH=broken)
        client = f"ray://127.0.0.1:{cluster.client_port}"  # as a service without a node of its own reaches it
        with ServiceRunner(tmp_path, configuration(client, base, when_gone="local")) as service:
            draw(service.inbox / "Show.mkv", 80)
            service.start(**cluster.environment)
            patiently(lambda: service.count("delivered") == 1)
            nodes = service.status()["cluster"]["nodes"]
            page = WebClient(service.status()["web"]["address"]).get("/").text
            text = media.call(sys.executable, "-m", "daemon.cli", "status", "--config", service.config).decode()
            service.stop()
    assert sorted((node["state"], node["segments"]) for node in nodes) == [("set aside", 0)] * 2 + [("works", 8)]
    reasons = " ".join(str(node["reason"]) for node in nodes)
    assert "ffmpeg is ffmpeg version 1.0 there" in reasons
    assert "failed 3 times in a row: ffmpeg" in reasons
    for shown in (text, page):
        assert shown.count("set aside") >= 2
        assert "ffmpeg version 1.0 there" in shown
        assert "failed 3 times in a row: ffmpeg" in shown


@pytest.mark.parametrize("when_gone", ["wait", "local"])
def test_without_a_cluster_the_work_waits_or_is_done_here(tmp_path: Path, when_gone: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    config = configuration(nobody, CONFIG, patience_s=2, when_gone=when_gone)
    with ServiceRunner(tmp_path, config) as service:
        media.video(service.inbox / "Show.mkv", frames=20, rate="1")
        service.start()
        if when_gone == "local":
            patiently(lambda: service.count("delivered") == 1)
            return
        patiently(lambda: service.status()["waiting"])
        (wait,) = service.status()["waiting"]
        assert "no worker of the cluster" in wait["reason"]
        service.stop()
    ledger = Ledger(tmp_path / "state" / "ledger.db")
    (job,) = ledger.jobs("queued")
    ledger.close()
    assert job.failures == 0  # no attempt was used
