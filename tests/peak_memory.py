"""The most memory that a command takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass

_BETWEEN = (
    "import os, resource, subprocess, sys; code = subprocess.run(sys.argv[2:]).returncode;"
    "os.write(int(sys.argv[1]), str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss).encode());"
    "sys.exit(code)"
)
"""A small process between: what exec(2) replaces counts in a child's ru_maxrss, and pytest grows beyond any of them."""


@dataclass(frozen=True)
class Measured:
    """How a command ended. `output`: what it wrote to both its outputs; `kib`: its largest resident set."""

    code: int
    output: str
    kib: int


def measured(*argv: object, timeout_s: float = 300) -> Measured:
    """Run `argv` to its end. Raises `subprocess.TimeoutExpired`."""
    with tempfile.TemporaryFile() as told:
        done = subprocess.run(
            [sys.executable, "-S", "-c", _BETWEEN, str(told.fileno()), *map(str, argv)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            pass_fds=[told.fileno()],
            check=False,
        )
        told.seek(0)
        return Measured(done.returncode, done.stdout, int(told.read()))
