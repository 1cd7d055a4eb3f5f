"""What `kakudai upscale` takes of memory: for large frames, and over length."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.settings import Size
from tests.bench import films
from tests.bench.commands import ENCODER, KAKUDAI
from tests.bench.measure import table

_MEGA = 1e6


def section(folder: Path, *, quick: bool) -> str:
    """1080p to 2160p with x265: the most memory of the process and of its tree, and when the first frame was there.

    Then what length does to it.
    """
    size, frames = (Size(480, 270), 4) if quick else (Size(1920, 1080), 5)
    clip = films.film(folder, size=size, frames=frames)
    out = folder / "large.mkv"
    argv = [*KAKUDAI, "upscale", clip, "-o", out, "--force", "--json", "--device", "cpu", "--reuse", "off"]
    began = time.monotonic()
    details, tree = _watched([*argv, "--model", "msrcnn"])
    network_s = details["stage_seconds"]["network"] / frames
    start_s = time.monotonic() - began - sum(details["seconds"].values()) + details["seconds"]["scan"]
    rows = [
        ["the process", f"{tree.own_bytes / _MEGA:,.0f} MB", "2,500 MB"],
        ["with all it started", f"{tree.tree_bytes / _MEGA:,.0f} MB", "5,000 MB"],
        ["start to the first frame at the network, about", f"{start_s:.1f} s", "10 s"],
        ["network, each frame", f"{network_s:.1f} s", ""],
    ]
    first = table([f"{size} → 2×, {frames} frames, x265", "seen", "aim"], rows)
    return f"{first}\n\n{_over_length(folder, out, quick=quick)}"


def _over_length(folder: Path, out: Path, *, quick: bool) -> str:
    """The most memory of the process for clips of several lengths, without reuse and with its cache."""
    size, counts = Size(96, 64), (30, 100) if quick else (300, 1000, 3000)
    rows = []
    for reuse in ("off", "exact"):
        row = [reuse]
        for frames in counts:
            clip = films.repeated(folder, frames=frames, size=size)
            argv = [*KAKUDAI, "upscale", clip, "-o", out, "--force", "--json", "--device", "cpu"]
            _, tree = _watched([*argv, "--encoder", ENCODER, "--reuse", reuse])
            row.append(f"{tree.own_bytes / _MEGA:,.0f} MB")
        rows.append(row)
    told = table(["reuse", *(f"{frames:,} frames of {size}, 2×" for frames in counts)], rows)
    return f"{told}\n\nWith reuse the cache fills (`reuse_cache_bytes`: 268 MB), and then stays as it is."


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


def _watched(argv: list[str | Path]) -> tuple[dict[str, Any], _Tree]:
    """A command to its end: the details of its report, and what memory it took."""
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
    details: dict[str, Any] = json.loads(said)["details"]
    return details, tree
