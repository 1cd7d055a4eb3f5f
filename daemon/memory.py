"""How much memory a job takes: its process and all that it started, which share a session."""

from __future__ import annotations

import os
from pathlib import Path

_SESSION, _RESIDENT = 3, 21
"""Fields of /proc/PID/stat (proc(5)), counted behind the name."""


def memory_bytes(session: int) -> int:
    """Resident memory of all processes of a session; what they share counts for each. 0 once they are gone.

    An address-space limit (RLIMIT_AS) would not do: TensorFlow and CUDA reserve far more than they use.
    """
    pages = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[_SESSION]) == session:
                pages += int(fields[_RESIDENT])
    return pages * os.sysconf("SC_PAGE_SIZE")
