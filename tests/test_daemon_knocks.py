"""Mounts that do not answer are found out without being caught; the fault tests stop a real one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from daemon import knocks
from daemon.knocks import Knocks, patiently
from daemon.mounts import Mount

_SHORT_S = 0.05


class _Server:
    """Stands for what is behind mounts: it answers while it is `up`."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.asked: list[Path] = []

    def answer(self, point: Path) -> None:
        self.asked.append(point)
        self.up.wait()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> _Server:
    server = _Server()
    monkeypatch.setattr(knocks, "_ask", server.answer)
    monkeypatch.setattr(knocks, "PATIENCE_S", _SHORT_S)
    monkeypatch.setattr(knocks, "mount_of", lambda path: _MOUNTS[path.parts[1]])
    return server


_MOUNTS = {
    "nas": Mount(1, 1, Path("/nas"), "nfs4", True),
    "far": Mount(2, 2, Path("/far"), "fuse.sshfs", False),
    "disk": Mount(3, 3, Path("/disk"), "ext4", True),
}
_IN, _OUT, _FAR, _DISK = (Path(path) for path in ("/nas/in", "/nas/out", "/far/in", "/disk/in"))


def test_a_mount_is_asked_once_until_it_answers(server: _Server) -> None:
    asking = Knocks()
    for _ in range(3):
        assert asking.silent([_IN, _OUT, _FAR, _DISK]) == {_IN, _OUT, _FAR}
    assert sorted(server.asked) == [Path("/far"), Path("/nas")]
    server.up.set()
    deadline = time.monotonic() + 60
    while asking.silent([_IN, _OUT, _FAR, _DISK]):
        assert time.monotonic() < deadline


def test_one_that_is_away_does_not_keep_the_others_waiting(server: _Server) -> None:
    asking = Knocks()
    asking.silent([_IN])
    begun = time.monotonic()
    for _ in range(20):
        assert asking.silent([_IN, _DISK]) == {_IN}
    assert time.monotonic() - begun < 20 * _SHORT_S
    server.up.set()


def test_what_takes_too_long_is_done_without(server: _Server) -> None:
    def call() -> str:
        server.up.wait()
        return "found"

    assert patiently(call, otherwise="as it was") == "as it was"
    server.up.set()
    assert patiently(call, otherwise="as it was") == "found"
