"""Whole commands: what `kakudai upscale` costs beside its parts, and what reuse saves."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.settings import Size
from tests.bench import films
from tests.bench.measure import Cost, command, least, table

ENCODER = "x264:crf=20,preset=veryfast"
KAKUDAI: list[str | Path] = [sys.executable, "-P", "-m", "daemon.cli"]


def upscale(clip: Path, folder: Path, *more: str) -> tuple[Cost, dict[str, Any], str]:
    """One command: its cost, the details of its report, and the hash of every frame that came out."""
    out = folder / f"out{''.join(more).replace('/', '')[:40]}.mkv"
    argv = [*KAKUDAI, "upscale", clip, "-o", out, "--force", "--json", "--device", "cpu", "--encoder", ENCODER, *more]
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
    ways: Sequence[tuple[str, str]] = (
        ("msrcnn", "off"),
        ("msrcnn", "exact"),
        ("msrcnn", "near"),
        ("fine", "off"),
        ("fine", "exact"),
    )
    """Model and `--reuse` of each run."""
    rounds: int = 1
    """How often, in turn, since machines have moods; the least counts."""


REUSE = {
    "film": ReuseClip(films.name(), lambda folder, size, frames: films.film(folder, size=size, frames=frames), 2.0),
    "drawn": ReuseClip(
        "the drawn episode", lambda folder, size, frames: films.drawn(folder, size=size, frames=frames), 1.8, frames=96
    ),
    "moving": ReuseClip(
        "all in motion",
        lambda folder, size, frames: films.moving(folder, size=size, frames=frames),
        0.97,
        frames=24,
        ways=(("msrcnn", "off"), ("msrcnn", "exact"), ("fine", "off"), ("fine", "exact")),
        rounds=3,
    ),
}


@dataclass(frozen=True)
class _Run:
    """The least of some runs of one command, and what they made."""

    cost: Cost
    enlarge_s: float
    reused_share: float | None
    digest: str


def reuse(folder: Path, clip: ReuseClip, *, quick: bool) -> str:
    """One clip with reuse off, exact and near, in one run."""
    size, frames = (Size(320, 180), 12) if quick else (films.FILM_SIZE, clip.frames)
    rounds = 1 if quick else clip.rounds
    source = clip.make(folder, size, frames)
    tried: dict[tuple[str, str], list[_Run]] = {way: [] for way in clip.ways}
    for _ in range(rounds):
        for model, how in clip.ways:
            cost, details, digest = upscale(source, folder, "--reuse", how, "--model", model)
            run = _Run(cost, float(details["seconds"]["enlarge"]), details["reused_share"], digest)
            tried[model, how].append(run)
    found = {way: _least(runs) for way, runs in tried.items()}
    rows, reached = [], []
    for (model, how), run in found.items():
        off = found[model, "off"]
        if how == "exact":
            same = "the same frames" if run.digest == off.digest else "OTHER FRAMES"
            reached.append(f"{model} {off.cost.wall_s / run.cost.wall_s:.2f} × ({same} as without)")
        rows.append(
            [
                model,
                how,
                f"{run.cost.wall_s:.1f}",
                f"{run.cost.wall_s - run.enlarge_s:.1f}",
                f"{run.cost.cpu_s:.1f}",
                f"{off.cost.wall_s / run.cost.wall_s:.2f} ({off.cost.cpu_s / run.cost.cpu_s:.2f})",
                f"{off.enlarge_s / run.enlarge_s:.2f}",
                "" if run.reused_share is None else f"{run.reused_share:.0%}",
                run.digest,
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
    least_of = f" The least of {rounds} rounds each." if rounds > 1 else ""
    return (
        f"{clip.name}, {frames} frames of {size} (x264), 2×, the whole command:\n\n{table(head, rows)}\n\n"
        f"Aim: {clip.aim} × with `exact`; reached: {', '.join(reached)}.{least_of}"
    )


def _least(runs: Sequence[_Run]) -> _Run:
    (digest,) = {run.digest for run in runs}
    return _Run(least([run.cost for run in runs]), min(run.enlarge_s for run in runs), runs[0].reused_share, digest)


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
