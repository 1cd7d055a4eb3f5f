"""The same clip enlarged here, by one worker of a cluster and by two, each with a processor or both of them.

Here and one worker have the same processors, so what differs is what a cluster costs. Between one worker and two the
processors differ: one each. All that ends with the job is counted: the agent, ffmpeg, and Ray's own processes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.settings import Device, EncoderSettings, Reuse, Settings, Size
from tests.bench import films
from tests.ray_cluster import RayCluster

SHORT = {False: 48, True: 40}
"""Frames of the clip that warms up, and tells what an episode costs beside its frames; by `Case.ten`."""
WORKER = "ray::SegmentActor"


@dataclass(frozen=True)
class Case:
    """What is enlarged, twofold. `ten`: frames are shown for a second each, so that segments have ten."""

    told: str
    size: Size
    frames: int
    settings: Settings
    ten: bool = False


def _settings(model: str, *, encoder: EncoderSettings | None = None, reuse: Reuse = Reuse.EXACT) -> Settings:
    return Settings(
        model=model,
        encoder=encoder or EncoderSettings("x265", (("crf", "16"), ("preset", "medium"))),
        reuse=reuse,
        device=Device.CPU,
    )


_WORST = _settings("msrcnn", encoder=EncoderSettings("x265", (("preset", "fast"),)), reuse=Reuse.OFF)
CASES = {
    "default": Case("the default profile (`fine`)", Size(384, 216), 480, _settings("fine")),
    "fast": Case("`model: fast`", Size(384, 216), 480, _settings("fast")),
    "none": Case("no network (`model: bicubic`)", Size(384, 216), 480, _settings("bicubic")),
    "worst": Case("m-SRCNN, `reuse: off`, x265 fast, segments of ten frames", Size(160, 96), 120, _WORST, ten=True),
    "speed": Case("`model: fast`", Size(384, 216), 480, _settings("fast")),
}


def measure_overhead(name: str) -> dict[str, Any]:
    """Seconds by the clock and of the processors: here, and by one worker that has both processors."""
    case = CASES[name]
    with _clips(case) as (folder, clips):
        found = {"here": _warm(case, clips, folder, None)}
        with RayCluster() as cluster:
            os.environ.update(cluster.environment)
            cluster.start("a", cpus=2)
            found["cluster"] = _warm(case, clips, folder, cluster, cpus=2)
    return {"frames": [SHORT[case.ten], case.frames], **found}


def measure_speed() -> dict[str, Any]:
    """The same with one worker that has one processor, and with another that has the other."""
    case = CASES["speed"]
    pinned = {"a": ("taskset", "-c", "0"), "b": ("taskset", "-c", "1")}
    with _clips(case) as (folder, clips), RayCluster(wrappers=pinned) as cluster:
        os.environ.update(cluster.environment)
        cluster.start("a")
        one = _warm(case, clips, folder, cluster)
        cluster.start("b")
        two = _warm(case, clips, folder, cluster)
        return {"frames": [SHORT[case.ten], case.frames], "one worker": one, "two workers": two}


@contextmanager
def _clips(case: Case) -> Iterator[tuple[Path, list[Path]]]:
    """A short one to warm up, and the one that is measured."""
    from tests import media

    def clip(folder: Path, frames: int) -> Path:
        if case.ten:
            return media.video(folder / f"{frames}.mkv", frames=frames, rate="1", size=str(case.size))
        return films.repeated(folder, frames=frames, size=case.size)

    with tempfile.TemporaryDirectory() as name:
        yield Path(name), [clip(Path(name), frames) for frames in (SHORT[case.ten], case.frames)]


def _warm(
    case: Case, clips: list[Path], folder: Path, ray: RayCluster | None, *, cpus: int = 1
) -> list[dict[str, float]]:
    """Both clips, once the first has loaded the network, and had the workers join."""
    _enlarge(clips[0], case.settings, folder, ray, cpus)
    return [_enlarge(clip, case.settings, folder, ray, cpus) for clip in clips]


def _enlarge(clip: Path, settings: Settings, folder: Path, ray: RayCluster | None, cpus: int) -> dict[str, float]:
    from daemon.cluster.crew import cluster_crew
    from daemon.cluster.settings import Cluster, Workers
    from engine import job
    from engine.source import open_source

    elsewhere = None
    if ray is not None:
        cluster = Cluster(address=ray.address, workers=Workers(cpus=cpus), patience_s=300)
        elsewhere = cluster_crew(cluster, set_aside={}, tell=lambda _nodes, _problem: None)
    with tempfile.TemporaryDirectory(dir=folder) as work, open_source(clip) as source:
        before, began = spent(ray), time.monotonic()
        job.enlarge(
            source,
            Path(work) / "part",
            settings,
            planned=job.plan(source, settings),
            work_dir=Path(work),
            progress=lambda _event: None,
            elsewhere=elsewhere,
        )
        wall_s = time.monotonic() - began
        after = spent(ray)
    return {"wall_s": round(wall_s, 2), **{name: round(after[name] - before.get(name, 0.0), 2) for name in after}}


def spent(ray: RayCluster | None) -> dict[str, float]:
    """CPU seconds so far: of this process and what it started, of the workers and theirs, and of Ray's own."""
    found = {"service": _cpu_s([os.getpid()])}
    if ray is not None:
        workers = {pid for node in ("a", "b") for pid in ray.processes(node, command=WORKER)}
        others = {pid for node in ("a", "b") for pid in ray.processes(node)} - workers
        found["workers"] = _cpu_s(workers)
        found["Ray"] = _cpu_s(pid for pid in others if not _is_ffmpeg(pid))
    return found


def _is_ffmpeg(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("ff")
    return True


def _cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of processes, and of those that ended as their children."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
