"""The same bytes under two names: enlarged once, delivered twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.place import Content, read_back, remove
from engine.errors import KakudaiError
from engine.files import storing
from engine.source import open_source


@dataclass(frozen=True)
class Twin:
    """A delivered output of the same content and settings. `report` is JSON."""

    path: str
    sha256: str
    report: str

    def report_of(self, source: Mapping[str, Any], content: Content) -> dict[str, Any]:
        """The twin's report with the other source in it."""
        output = {"size": content.size, "sha256": content.sha256, "crc32": content.crc32}
        return {**json.loads(self.report), "source": dict(source), "output": output, "copied_from": self.path}


def copy_twin(twin: Twin, part: Path) -> bool:
    """Copy the twin's output to `part`, durably. False when it is not what was delivered any more: compute instead.

    Raises `EnvironmentFault`, `OutputError`: the part cannot be written.
    """
    try:
        with open_source(Path(twin.path)) as source, storing(part), part.open("xb") as file:
            with open(source.fd, "rb", closefd=False) as delivered:
                shutil.copyfileobj(delivered, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
    except KakudaiError:
        remove(part)
        if os.path.lexists(twin.path):
            raise
        return False
    if read_back(part).sha256 == twin.sha256:
        return True
    remove(part)  # somebody has changed it since
    return False
