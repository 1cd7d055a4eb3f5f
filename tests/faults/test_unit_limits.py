"""The service under the unit's prctl and seccomp limits: capabilities, calls, addresses, namespaces, umask."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import needs_root
from tests.faults.unit_limits import UNIT
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_episode, write_picture

_WRAPPER = [sys.executable, "-m", "tests.faults.unit_limits", str(UNIT)]
_CONFIG = CONFIG.replace("model: bicubic", "model: msrcnn").replace("x264", "x265")
_CAP_LEASE = 1 << 28
_FORBIDDEN = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
calls = {"unshare": (0x10000000,), "mount": (b"none", b"/", b"tmpfs", 0, 0), "ptrace": (0, 0, 0, 0), "setns": (0, 0)}
calls |= {"personality": (8,), "sched_setscheduler": (0, 1, b"\\1\\0\\0\\0"), "chmod": (b"%s", 0o4755)}
for name, arguments in calls.items():
    ctypes.set_errno(0)
    print(name, getattr(libc, name)(*arguments), ctypes.get_errno())
try:
    socket.socket(socket.AF_INET)
except OSError as error:
    print("socket", -1, error.errno)
socket.socket(socket.AF_UNIX).close()
"""
_WRITER = "import sys; from daemon.settling import writer_of; print(writer_of(sys.argv[1], 'file'))"

pytestmark = [needs_root, pytest.mark.skipif(which("systemd-analyze") is None, reason="systemd is not installed")]


@pytest.mark.slow
def test_a_picture_and_an_episode_go_through_the_network_under_them(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, _CONFIG, wrapper=_WRAPPER) as service:
        write_picture(service.inbox / "cel.png")
        write_episode(service.inbox / "clip.mkv", frames=12)
        service.start()
        assert service.process is not None
        limits = Path(f"/proc/{service.process.pid}/status").read_text()
        assert int(_field(limits, "CapBnd"), 16) == int(_field(limits, "CapPrm"), 16) == _CAP_LEASE
        assert (_field(limits, "NoNewPrivs"), _field(limits, "Seccomp")) == ("1", "2")
        eventually(lambda: service.count("delivered") == 2 or service.count("failed"), patience_s=150)
        assert service.count("failed") == 0, service.status()["failed"]
        assert service.delivered() == ["cel [64p].png", "clip [96p].mkv"]
        # UMask: the group reads what is delivered, others do not
        assert {path.stat().st_mode & 0o777 for path in service.outbox.iterdir()} == {0o640}
        assert service.outbox.stat().st_mode & 0o777 == 0o750
        assert service.stop() == 0
    seen("a picture and an episode went through the network (TensorFlow, x265); delivered files are 0640")


def test_what_they_forbid_is_refused(tmp_path: Path, seen: Seen) -> None:
    (tmp_path / "file").touch()
    told = subprocess.run(
        [*_WRAPPER, sys.executable, "-c", _FORBIDDEN % (tmp_path / "file")], check=True, capture_output=True, text=True
    )
    answers = [line.split() for line in told.stdout.splitlines()]
    assert {name for name, *_ in answers} >= {"unshare", "mount", "ptrace", "socket", "chmod"}
    assert all(result == "-1" and number != "0" for _, result, number in answers), told.stdout
    seen(f"refused: {', '.join(name for name, *_ in answers)}")


@pytest.mark.parametrize(
    ("wrapper", "found"), [(_WRAPPER, "True"), (["setpriv", "--bounding-set=-lease"], "the service has no CAP_LEASE")]
)
def test_another_owners_writer_is_seen_by_the_one_capability(
    tmp_path: Path, seen: Seen, wrapper: list[str], found: str
) -> None:
    path = tmp_path / "theirs.png"
    with path.open("wb") as file:
        os.fchown(file.fileno(), 65534, 65534)
        told = subprocess.run(
            [*wrapper, sys.executable, "-c", _WRITER, str(path)], check=True, capture_output=True, text=True
        )
    assert told.stdout.strip().endswith(found)
    seen(f"another owner's writer is {'seen' if found == 'True' else 'not seen without CAP_LEASE: the window decides'}")


def _field(status: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(\w+)$", status, re.MULTILINE)
    assert found is not None
    return found[1]
