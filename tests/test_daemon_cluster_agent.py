"""The agent alone on a real Ray cluster: fractions of GPUs, and the bytes on their way.

Ray believes a node that says it has GPUs, and gives shares of them out; without a network nothing needs them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from daemon.cluster.settings import Cluster, Workers
from daemon.cluster.wire import Begin, Made, Nodes, Submit
from engine.elsewhere import EpisodeOrder, SegmentOrder, segment_order
from engine.probe import probe_episode
from engine.segment_check import file_sha256
from engine.settings import Container, Device, EncoderSettings, Settings, Size
from engine.source import open_source
from engine.timeline import Timeline
from tests import media
from tests.ray_cluster import RayCluster
from tests.service_runner import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SETTINGS = Settings(model="bicubic", encoder=EncoderSettings("ffv1"), device=Device.GPU)
SEGMENTS, FRAMES_EACH = 9, 5
GATHERED = 4


def orders(path: Path) -> tuple[EpisodeOrder, list[SegmentOrder]]:
    """An episode and its segments, as the engine orders them."""
    with open_source(path) as source:
        info = probe_episode(source, limits=SETTINGS.limits)
        episode = EpisodeOrder(source.sha256(), SETTINGS, Size(384, 256), Container.MKV, None, None)
        with Timeline(source, info, limits=SETTINGS.limits) as timeline:
            eventually(lambda: timeline.ended)
            return episode, [segment_order(timeline, index, FRAMES_EACH, fields=None) for index in range(SEGMENTS)]


@contextmanager
def agent(log: Path, begin: Begin) -> Iterator[Connection]:
    """A watched agent at work."""
    ours, theirs = multiprocessing.Pipe()
    words = [sys.executable, "-P", "-m", "tests.watched_agent", str(theirs.fileno()), str(os.getpid()), str(log)]
    with ours, theirs:
        process = subprocess.Popen(
            [*words, str(GATHERED)],
            pass_fds=(theirs.fileno(), begin.source_fd),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        try:
            ours.send(begin)
            yield ours
        finally:
            process.kill()
            process.wait()


def made_by(connection: Connection) -> Iterator[Made]:
    """What comes back, until all is there."""
    left = SEGMENTS
    while left:
        assert connection.poll(300)
        message = connection.recv()
        if isinstance(message, Made):
            left -= 1
            yield message
        else:
            assert isinstance(message, Nodes), message


def test_halves_of_gpus_are_a_worker_each_and_no_more_bytes_are_under_way_than_allowed(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=SEGMENTS * FRAMES_EACH, size="192x128", rate="1")
    episode, segments = orders(path)
    log = tmp_path / "log"
    bound = 300_000
    with RayCluster() as cluster, open_source(path) as source:
        cluster.start("a", cpus=2, gpus=2)
        shares = Cluster(cluster.address, Workers(gpus=0.5), in_flight_bytes=bound)
        begin = Begin(shares, episode, source.fd, path, source.size, None, {})
        with agent(log, begin) as connection:
            for order in segments:
                connection.send(Submit(order, tmp_path / f"{order.index}.segment"))
            made = list(made_by(connection))
    assert sorted(one.segment.index for one in made) == list(range(SEGMENTS))
    for one in made:
        assert file_sha256(tmp_path / f"{one.segment.index}.segment") == one.segment.sha256
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    workers = [note for note in noted if "sees" in note]
    assert sorted(note["sees"] for note in workers) == ["0", "0", "1", "1"]  # as Ray sets CUDA_VISIBLE_DEVICES
    assert {note["device"] for note in workers} == {"gpu"}
    assert workers[-1]["left"] == 0
    sizes = {note["arrived"]: note["bytes"] for note in noted if "arrived" in note}
    under_way: set[int] = set()
    most = [0]
    for note in noted:
        if "asked" in note:
            under_way.add(note["asked"])
            most.append(sum(sizes[index] for index in under_way))
        elif "arrived" in note:
            under_way.discard(note["arrived"])
    assert max(sizes.values()) < bound < sum(sorted(sizes.values())[:GATHERED])  # else it would bind nothing
    assert max(sizes.values()) < max(most) <= bound  # several at a time, as many as fit
