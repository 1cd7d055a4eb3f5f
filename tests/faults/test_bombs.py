"""A PNG header of 30,000×30,000, a real PNG of 9,000² at a limit of 16 MP, and a header of 2^31."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.peak_memory import measured
from tests.service_runner import CONFIG, ServiceRunner, write_picture

_CONFIG = "limits: {max_pixels: 16_000_000}\nprofiles: {default: {model: bicubic}}\n"


def _png(width: int, height: int, *, rows: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes((3 * width + 1) * rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _refusal(base: Path, name: str, content: bytes) -> int:
    """How much memory, in KiB, the command needed at most to refuse it."""
    (base / name).write_bytes(content)
    command = [sys.executable, "-m", "daemon.cli", "upscale", base / name, "-o", base / f"{name} out.png"]
    refused = measured(*command, "--config", base / "config.yaml")
    assert refused.code == 65, refused.output
    assert not (base / f"{name} out.png").exists()
    return refused.kib


_BOMBS = {
    "header.png": (30_000, 30_000, 0),
    "real.png": (9_000, 9_000, 9_000),
    "huge.png": (2**31 - 1, 2**31 - 1, 0),
}


@pytest.mark.slow
def test_they_are_refused_before_memory_is_spent(tmp_path: Path, seen: Seen) -> None:
    (tmp_path / "config.yaml").write_text(_CONFIG)
    plain = _refusal(tmp_path, "text.png", b"\x89PNG\r\n\x1a\nno picture")
    worst = 0
    for name, (width, height, rows) in _BOMBS.items():
        worst = max(worst, _refusal(tmp_path, name, _png(width, height, rows=rows)) - plain)
    assert worst < 50 * 1024
    seen(f"refused; memory grew by {max(0, worst) // 1024} MB at most", files=3)


def test_the_service_refuses_them_and_goes_on(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, CONFIG + "limits: {max_pixels: 16_000_000}\n").start() as service:
        assert service.process is not None
        before = _peak_kib(service.process.pid)
        for name, (width, height, rows) in _BOMBS.items():
            (service.inbox / name).write_bytes(_png(width, height, rows=rows))
        write_picture(service.inbox / "z.png")
        status = service.wait_for(failed=len(_BOMBS), delivered=1)
        assert all(job["error"] == "InputError" and job["reason"] for job in status["failed"])
        grown = _peak_kib(service.process.pid) - before
        assert grown < 50 * 1024
        assert service.delivered() == ["z [64p].png"]
    seen(f"the service failed each with the reason, grew by {grown // 1024} MB and did the next", files=len(_BOMBS))


def _peak_kib(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])
