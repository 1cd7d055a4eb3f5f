"""Files that the process of a job wrote, which works on hostile input: opened so that they are what they seem."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO


def open_plain(path: str) -> BinaryIO | None:
    """A regular file, open for reading; None where there is none. No link is followed and no pipe waited for."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    return os.fdopen(file, "rb")
