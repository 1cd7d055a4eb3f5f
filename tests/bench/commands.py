"""Whole commands: what `kakudai upscale` costs beside its parts, what reuse saves, what it takes of memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.settings import Size
from tests.bench import films
from tests.bench.measure import Cost, command, least, table

_ENCODER = "x264:crf=20,preset=veryfast"
_KAKUDAI: list[str | Path] = [sys.executable, "-P", "-m", "daemon.cli"]


def upscale(clip: Path, folder: Path, *more: str) -> tuple[Cost, dict[str, Any], str]:
    """One command: its cost, the details of its report, and the hash of every frame that came out."""
    out = folder / f"out{''.join(more).replace('/', '')[:40]}.mkv"
    argv = [*_KAKUDAI, "upscale", clip, "-o", out, "--force", "--json", "--device", "cpu", "--encoder", _ENCODER, *more]
    cost, said = command(argv)
    hashes = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", out, "-map", "0:v", "-f", "framemd5", "-"], check=True, capture_output=True
    ).stdout
    out.unlink()
    return cost, json.loads(said)["details"], hashlib.sha256(hashes).hexdigest()[:12]


@dataclass(frozen=True)
class ReuseClip:
    """A clip that reuse is measured on, and how much faster the whole command should be with it."""

    name: str
    make: Callable[[Path, Size, int], Path]
    aim: float
    frames: int = 40


REUSE = {
    "film": ReuseClip(films.name(), lambda folder, size, frames: films.film(folder, size=size, frames=frames), 2.0),
    "drawn": ReuseClip(
        "the drawn episode", lambda folder, size, frames: films.drawn(folder, size=size, frames=frames), 1.8
    ),
    "moving": ReuseClip(
        "all in motion", lambda folder, size, frames: films.moving(folder, size=size, frames=frames), 0.97, frames=24
    ),
}
_MODELS = {"msrcnn": ("off", "exact", "near"), "fine": ("off", "exact")}


def reuse(folder: Path, clip: ReuseClip, *, quick: bool) -> str:
    """One clip with reuse off, exact and near, in one run."""
    size, frames = (Size(320, 180), 12) if quick else (films.FILM_SIZE, clip.frames)
    source = clip.make(folder, size, frames)
    rows, reached = [], []
    for model, ways in _MODELS.items():
        off: tuple[Cost, float, str] | None = None
        for how in ways:
            cost, details, digest = upscale(source, folder, "--reuse", how, "--model", model)
            enlarge_s = float(details["seconds"]["enlarge"])
            off = off or (cost, enlarge_s, digest)
            if how == "exact":
                same = "the same frames" if digest == off[2] else "OTHER FRAMES"
                reached.append(f"{model} {off[0].wall_s / cost.wall_s:.2f} × ({same} as without)")
            rows.append(
                [
                    model,
                    how,
                    f"{cost.wall_s:.1f}",
                    f"{cost.wall_s - enlarge_s:.1f}",
                    f"{cost.cpu_s:.1f}",
                    f"{off[0].wall_s / cost.wall_s:.2f} ({off[0].cpu_s / cost.cpu_s:.2f})",
                    f"{off[1] / enlarge_s:.2f}",
                    "" if details["reused_share"] is None else f"{details['reused_share']:.0%}",
                    digest,
                ]
            )
    head = [
        "model",
        "reuse",
        "s",
        "of it start and end",
        "CPU s",
        "× faster (CPU ×)",
        "between them ×",
        "reused",
        "hash",
    ]
    return (
        f"{clip.name}, {frames} frames of {size} (x264), 2×, the whole command:\n\n{table(head, rows)}\n\n"
        f"Aim: {clip.aim} × with `exact`; reached: {', '.join(reached)}."
    )


def parts(folder: Path, *, quick: bool) -> str:
    """The command against its parts on the same frames: network, decoder and encoder, each alone."""
    size, frames = Size(96, 64), 240 if quick else 1440
    clip = films.repeated(folder, frames=frames, size=size)
    rounds = 1 if quick else 2
    start, _, _ = upscale(films.repeated(folder, frames=2, size=size), folder, "--reuse", "off", "--model", "msrcnn")
    networks, wholes = [], []
    for _ in range(rounds):  # in turn, since machines have moods
        networks.append(_network(2 * size.height, 2 * size.width, frames))
        cost, details, _ = upscale(clip, folder, "--reuse", "off", "--model", "msrcnn")
        wholes.append(cost)
    network, whole = least(networks), least(wholes)
    decode, _ = command(["ffmpeg", "-v", "error", "-i", clip, "-f", "null", "-"])
    large = f"scale={2 * size.width}:{2 * size.height}"
    raw = folder / "raw.yuv"
    command(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf", large, "-pix_fmt", "yuv420p", "-f", "rawvideo", raw])
    encode, _ = command(
        [
            *("ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"),
            *("-s", f"{2 * size.width}x{2 * size.height}", "-r", "24", "-i", str(raw), "-c:v", "libx264"),
            *("-crf", "20", "-preset", "veryfast", str(folder / "encoded.mkv")),
        ]
    )
    raw.unlink()
    total = network.cpu_s + decode.cpu_s + encode.cpu_s
    cores = len(os.sched_getaffinity(0))
    slowest = max(network.wall_s, decode.wall_s, encode.wall_s)
    cpu, wall = whole.cpu_s - start.cpu_s, whole.wall_s - start.wall_s
    rows = [
        ["network alone", f"{network.wall_s:.1f}", f"{network.cpu_s:.1f}"],
        ["ffmpeg decodes alone", f"{decode.wall_s:.1f}", f"{decode.cpu_s:.1f}"],
        ["ffmpeg encodes alone", f"{encode.wall_s:.1f}", f"{encode.cpu_s:.1f}"],
        ["the command, without its start", f"{wall:.1f}", f"{cpu:.1f}"],
    ]
    text = table([f"{frames} frames of {size}, 2×", "s", "CPU s"], rows)
    ratio, bound = cpu / total, max(total / cores, slowest)
    busy = ", ".join(f"{stage} {share:.0%}" for stage, share in details["stages"].items())
    return (
        f"{text}\n\nCPU seconds of the command are {ratio:.2f} × its parts (aim: 1.10), "
        f"its wall time {wall / bound:.2f} × the larger of (parts / cores) and the slowest part (aim: 1.10). "
        f"The least of {rounds} rounds each.\n"
        f"Busy: {busy}; held back by: {details['bottleneck']}."
    )


_NETWORK = """
import sys, time, json
import numpy as np
from engine import backend, weights
from engine.settings import Device
from engine.upscaler import Upscaler
height, width, frames = map(int, sys.argv[1:])
backend.use(Device.CPU)
path = next(path for path in weights.shipped() if path.name == "msrcnn-2x.h5")
upscaler = Upscaler(weights.load(path), largest_window=1088, largest_batch=1)
luma = np.random.default_rng(0).random((height, width), dtype=np.float32)
upscaler(luma)
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(frames):
    upscaler(luma)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def _network(height: int, width: int, frames: int) -> Cost:
    _, said = command([sys.executable, "-c", _NETWORK, str(height), str(width), str(frames)])
    return Cost(*json.loads(said))


@dataclass
class _Tree:
    """The most that a process, and it with all it started, ever had in memory."""

    pid: int
    own_bytes: int = 0
    tree_bytes: int = 0
    samples: list[int] = field(default_factory=list)

    def look(self) -> None:
        own, whole = _resident(self.pid), sum(map(_resident, _family(self.pid)))
        self.own_bytes, self.tree_bytes = max(self.own_bytes, own), max(self.tree_bytes, whole)
        self.samples.append(own)


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += _family(int(child))
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def memory(folder: Path, *, quick: bool) -> str:
    """1080p to 2160p with x265: the most memory of the process and of its tree, and when the first frame was there."""
    size, frames = (Size(480, 270), 4) if quick else (Size(1920, 1080), 5)
    clip = films.film(folder, size=size, frames=frames)
    out = folder / "large.mkv"
    argv = [*_KAKUDAI, "upscale", clip, "-o", out, "--force", "--json", "--device", "cpu", "--reuse", "off"]
    argv += ["--model", "msrcnn"]
    began = time.monotonic()
    with subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True) as process:
        tree, ended = _Tree(process.pid), threading.Event()

        def watch() -> None:
            while not ended.wait(0.1):
                tree.look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        said = process.communicate()[0]
        ended.set()
        watcher.join()
    details = json.loads(said)["details"]
    out.unlink()
    mega = 1e6
    network_s = details["stage_seconds"]["network"] / frames
    start_s = time.monotonic() - began - sum(details["seconds"].values()) + details["seconds"]["scan"]
    rows = [
        ["the process", f"{tree.own_bytes / mega:,.0f} MB", "2,500 MB"],
        ["with all it started", f"{tree.tree_bytes / mega:,.0f} MB", "5,000 MB"],
        ["start to the first frame at the network, about", f"{start_s:.1f} s", "10 s"],
        ["network, each frame", f"{network_s:.1f} s", ""],
    ]
    return table([f"{size} → 2×, {frames} frames, x265", "seen", "aim"], rows)
