"""The control socket: strange clients harm nobody."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.control import ControlServer, ask


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A server that echoes, in a folder whose path is too long for a socket's name."""
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    folder.mkdir(parents=True)
    selector = selectors.DefaultSelector()
    server = ControlServer(folder / "control.sock", selector, _echo)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            for key, _ in selector.select(0.05):
                key.data()

    thread = threading.Thread(target=serve)
    thread.start()
    yield folder
    over.set()
    thread.join()
    server.close()
    selector.close()
    assert not (folder / "control.sock").exists()


def _echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"asked": request, "long": "x" * 1_000_000}


def test_a_question_is_answered(state_dir: Path) -> None:
    answer = ask(state_dir, {"do": "status", "name": "拡大\udcff"})
    assert answer is not None
    assert answer["asked"] == {"do": "status", "name": "拡大\udcff"}
    assert len(answer["long"]) == 1_000_000


def test_no_service_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path, {"do": "status"}) is None


@pytest.mark.parametrize("said", [b"", b"nonsense\n", b"[1]\n", b"x" * 100_000, b"{\n", b"[" * 60_000 + b"\n"])
def test_nonsense_and_silence_delay_nobody(state_dir: Path, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state_dir)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    for client in clients:
        client.connect("control.sock")
        with contextlib.suppress(BrokenPipeError):  # hung up on, if it said too much
            client.sendall(said)
    answer = ask(state_dir, {"do": "status"})
    assert answer is not None
    for client in clients:
        client.close()


def test_only_owner_and_group_may_ask(state_dir: Path) -> None:
    assert (state_dir / "control.sock").stat().st_mode & 0o777 == 0o660
