"""Seconds by the clock and by the processor, of a call and of a command with all that it starts."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """`wall_s` by the clock; `cpu_s` of all cores, which says more where the machine is not idle."""

    wall_s: float
    cpu_s: float


def best(call: Callable[[], Any], *, times: int = 3, for_s: float = 3.0) -> Cost:
    """The least of `times` calls or, of short ones, as many as fit into `for_s`; after one to warm up."""
    call()
    walls: list[float] = []
    cpus: list[float] = []
    while len(walls) < times or sum(walls) < for_s:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(min(walls), min(cpus))


def least(costs: Sequence[Cost]) -> Cost:
    """The least by the clock, and the least by the processor."""
    return Cost(min(cost.wall_s for cost in costs), min(cost.cpu_s for cost in costs))


def command(argv: Sequence[str | Path], *, environment: dict[str, str] | None = None) -> tuple[Cost, str]:
    """A command to its end, with its children; and what it said. Raises `CalledProcessError`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    said = subprocess.run(
        list(map(str, argv)), check=True, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    ).stdout
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), said


def machine() -> str:
    """The processor, its cores, and how busy it is with other things."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    features = Path("/proc/cpuinfo").read_text()
    wide = "AVX-512" if "avx512f" in features else "AVX2" if "avx2" in features else "no AVX2"
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{names[0] if names else platform.machine()}, {cores} cores, {wide}; load {load:.1f} at the start"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
