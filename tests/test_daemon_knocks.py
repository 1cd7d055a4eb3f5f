"""Mounts that do not answer are found out without being caught; the fault tests stop a real one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from daemon import knocks
from daemon.knocks import Knocks, resolved
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
    for _ in range(20):
        assert asking.silent([_IN, _DISK]) == {_IN}
    assert server.asked == [Path("/nas")]
    server.up.set()


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """`a/x` and `a/y` lead to `b`, in which `c` leads to `d`; `round` leads to itself."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "d").mkdir()
    (tmp_path / "a" / "x").symlink_to("../b")
    (tmp_path / "a" / "y").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "c").symlink_to("../d")
    (tmp_path / "round").symlink_to("round")
    return tmp_path


@pytest.mark.parametrize("way", ["a/x/c/e", "a/y/c", "a/../b", "a/x/../d", "not/there", "b/c/..", "."])
@pytest.mark.parametrize("answers", [True, False])
def test_links_are_resolved(links: Path, monkeypatch: pytest.MonkeyPatch, way: str, answers: bool) -> None:
    wanted = (links / way).resolve()
    up = threading.Event()
    if not answers:
        monkeypatch.setattr(knocks, "_realpath", lambda _path: up.wait())
        monkeypatch.setattr(knocks, "RESOLVING_S", _SHORT_S)
    assert resolved(links / way) == wanted
    assert resolved(links / "round") == links / "round"
    up.set()


def test_links_on_a_mount_that_may_hang_are_left(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up = threading.Event()
    asked: list[Path] = []

    def wait(path: Path) -> None:
        asked.append(path)
        up.wait()

    monkeypatch.setattr(knocks, "_unanswered", [])
    monkeypatch.setattr(knocks, "_realpath", wait)
    monkeypatch.setattr(knocks, "RESOLVING_S", _SHORT_S)
    away = Mount(1, 1, links / "b", "nfs4", True)
    monkeypatch.setattr(knocks, "mount_of", lambda path: away if path.is_relative_to(links / "b") else None)
    for _ in range(20):
        assert resolved(links / "a" / "x" / "c") == links / "b" / "c"
    assert len(asked) == 1  # it is not waited for again and again
    up.set()
