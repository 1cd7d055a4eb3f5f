"""What the machine has: room on its disks, GPUs, and the networks that came with Kakudai.

Looked at in a thread of its own and kept for some seconds: a disk that does not answer (a lost network mount) delays
no page, which then shows what was seen last.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import engine
from daemon.text import printable

_FRESH_S = 5.0
_PATIENCE_S = 1.0
_GPU_PATIENCE_S = 10.0
_GPU_FIELDS = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")
# as engine.weights has them, which loads h5py
_MODELS = (Path(engine.__file__).parent.parent / "models", Path(engine.__file__).parent / "models")


class Machine:
    """Asked by pages of one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="machine")
        self._seen: dict[str, Any] = {"disks": [], "gpus": [], "models": models()}
        self._looking: asyncio.Future[dict[str, Any]] | None = None
        self._looked_at = float("-inf")

    async def look(self, places: Mapping[str, str]) -> dict[str, Any]:
        """`disks` (`place`, `path`, `free_bytes`, `total_bytes`; those are None where the disk does not tell), `gpus`,
        `models`. `places` are paths by what they are for.
        """
        if self._looking is None and time.monotonic() - self._looked_at > _FRESH_S:
            self._looking = asyncio.get_running_loop().run_in_executor(self._pool, _look, dict(places))
        if self._looking is not None:
            done, _ = await asyncio.wait([self._looking], timeout=_PATIENCE_S)
            if done and self._looking is not None:
                self._seen = self._looking.result()
                self._looked_at = time.monotonic()
                self._looking = None
        return self._seen

    def close(self) -> None:
        """Wait for nothing: a thread that hangs on a disk is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look(places: Mapping[str, str]) -> dict[str, Any]:
    return {"disks": [_disk(place, path) for place, path in places.items()], "gpus": gpus(), "models": models()}


def _disk(place: str, path: str) -> dict[str, Any]:
    there = Path(path)
    try:
        while not there.exists() and there != there.parent:
            there = there.parent  # it is made once it is needed
        status, device = os.statvfs(there), there.stat().st_dev
    except OSError as error:
        unknown = {"device": None, "free_bytes": None, "total_bytes": None}
        return {"place": place, "path": printable(path), **unknown, "reason": error.strerror}
    return {
        "place": place,
        "path": printable(path),
        "device": device,
        "free_bytes": status.f_bavail * status.f_frsize,
        "total_bytes": status.f_blocks * status.f_frsize,
        "reason": None,
    }


def gpus() -> list[dict[str, Any]]:
    """The GPUs that NVIDIA's driver tells of; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_PATIENCE_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [gpu for line in told.splitlines() if (gpu := _gpu(line)) is not None]


def _gpu(line: str) -> dict[str, Any] | None:
    """One line of nvidia-smi: `NVIDIA H100, 12, 1024, 81559, 35`; what it cannot tell is `[N/A]`."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != len(_GPU_FIELDS):
        return None
    busy, used, total, degrees = (float(field) if _is_number(field) else None for field in fields[1:])
    return {
        "name": fields[0],
        "busy_percent": busy,
        "used_bytes": None if used is None else int(used) << 20,
        "total_bytes": None if total is None else int(total) << 20,
        "degrees": degrees,
    }


def _is_number(field: str) -> bool:
    return field.replace(".", "", 1).isdigit()


@cache
def models() -> list[dict[str, Any]]:
    """The networks that came with Kakudai, by their cards."""
    found = []
    for folder in _MODELS:
        for card in sorted(folder.glob("*.json")):
            facts = json.loads(card.read_text("utf-8"))
            if (folder / f"{card.stem}.h5").is_file():
                found.append({"name": card.stem, "network": facts.get("network"), "scale": facts.get("scale")})
        if found:
            break
    return found
