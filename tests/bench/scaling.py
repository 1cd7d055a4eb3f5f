"""How far segments on a cluster go: measured on one machine, then reckoned to a hundred GPUs and ten thousand episodes.

    python -m tests.bench.scaling stages   # CPU seconds of each stage, once; a few minutes
    python -m tests.bench.scaling speed    # CPU seconds here, with one worker, with two
    python -m tests.bench.scaling page     # docs/scaling.md from what was measured (docs/scaling.json)

CPU seconds, since they hardly depend on what else a machine does. `tests/test_bench_scaling.py` holds the page against
the figures, so that neither changes alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from tests.bench.scaling_page import LENGTHS, page
from tests.bench.scaling_stages import measure_stages
from tests.ray_cluster import RayCluster

CHECKOUT = Path(__file__).resolve().parents[2]
FIGURES, PAGE = CHECKOUT / "docs" / "scaling.json", CHECKOUT / "docs" / "scaling.md"
_WARMING_FRAMES = 20


def measure_speed() -> dict[str, Any]:
    """CPU seconds for both lengths, Ray's processes included: here, on a cluster of one worker, and of two."""
    from tests import media

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [
            media.video(folder / f"{length}.mkv", frames=length, rate="1", size="160x96")
            for length in (_WARMING_FRAMES, *LENGTHS)
        ]
        found: dict[str, Any] = {"here": _all(clips, folder, None)}
        with RayCluster() as cluster:
            os.environ.update(cluster.environment)
            cluster.start("a")
            found["one worker"] = _all(clips, folder, cluster)
            cluster.start("b")
            found["two workers"] = _all(clips, folder, cluster)
    return found


def _all(clips: list[Path], folder: Path, ray: RayCluster | None) -> list[dict[str, float]]:
    _enlarge(clips[0], folder, ray)  # loads the network, and has the workers join
    return [_enlarge(clip, folder, ray) for clip in clips[1:]]


def _enlarge(clip: Path, folder: Path, ray: RayCluster | None) -> dict[str, float]:
    """CPU seconds of the whole job: of the service's part with its agent, and of each node."""
    from daemon.cluster.crew import cluster_crew
    from daemon.cluster.settings import Cluster, Workers
    from engine import job
    from engine.settings import Device, EncoderSettings, Reuse, Settings
    from engine.source import open_source

    settings = Settings(encoder=EncoderSettings("x265", (("preset", "fast"),)), reuse=Reuse.OFF, device=Device.CPU)
    elsewhere = None
    if ray is not None:
        cluster = Cluster(address=ray.address, workers=Workers(cpus=1), patience_s=300)
        elsewhere = cluster_crew(cluster, set_aside={}, tell=lambda _nodes, _problem: None)
    with tempfile.TemporaryDirectory(dir=folder) as work, open_source(clip) as source:
        before = _spent(ray)
        job.enlarge(
            source,
            Path(work) / "part",
            settings,
            planned=job.plan(source, settings),
            work_dir=Path(work),
            progress=lambda _event: None,
            elsewhere=elsewhere,
        )
        return {name: round(spent - before.get(name, 0.0), 3) for name, spent in _spent(ray).items()}


def _spent(ray: RayCluster | None) -> dict[str, float]:
    nodes = {} if ray is None else {f"node {node}": _cpu_s(ray.processes(node)) for node in ("a", "b")}
    return {"service": _cpu_s([os.getpid()]), **nodes}


def _cpu_s(pids: list[int]) -> float:
    """CPU seconds of processes, and of those that ended as their children."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, str]:
    """Where and when it was measured."""
    import ray

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": f"{len(names)} × {names[0]}",
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "ray": ray.__version__,
    }


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("what", choices=["stages", "speed", "page"])
    what = parser.parse_args().what
    figures: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if what != "page":
        figures[what] = measure_stages() if what == "stages" else measure_speed()
        figures["machine"] = machine()
        FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    else:
        PAGE.write_text(page(figures))


if __name__ == "__main__":
    main()
