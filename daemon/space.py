"""Whether the disks have room for what a job will need: asked before it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import EnvironmentFault
from engine.files import storing


def free_bytes(path: Path) -> int:
    """What users may still write where `path` lies, or will lie. Raises `EnvironmentFault`."""
    with storing(path):
        status = os.statvfs(_existing(path))
    return status.f_bavail * status.f_frsize


def shortage(needs: Mapping[Path, int]) -> EnvironmentFault | None:
    """The disk that lacks room, if one does; `needs` are bytes by folder. Folders on one disk need it together."""
    together: dict[int, int] = {}
    first: dict[int, Path] = {}
    for path, needed in needs.items():
        with storing(path):
            device = _existing(path).stat().st_dev
        together[device] = together.get(device, 0) + needed
        first.setdefault(device, path)
    for device, needed in together.items():
        free = free_bytes(first[device])
        if needed > free:
            return EnvironmentFault(
                f"the job will need about {size(needed)}, and {size(free)} are free",
                remedy=f"free about {size(needed - free)} there; work goes on by itself then",
                path=first[device],
            )
    return None


def used_bytes(folder: Path) -> int:
    """Of the files below `folder`; 0 where it is not there."""
    with storing(folder):
        return sum(path.lstat().st_size for path in folder.rglob("*")) if folder.is_dir() else 0


def size(count: float) -> str:
    """`950 kB`, `1.2 GB`: powers of 1000, as disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 1000 else f"{count:,.0f} TB"


def _existing(path: Path) -> Path:
    """`path`, or what there is of it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
