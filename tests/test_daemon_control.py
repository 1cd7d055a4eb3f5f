"""The control socket: strange clients harm nobody."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daemon.control import ControlServer, ask
from tests.service_runner import eventually


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


@pytest.mark.parametrize("said", [b"", b"nonsense\n", b"[1]\n", b"x" * 300_000, b"{\n", b"[" * 60_000 + b"\n"])
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


def test_the_longest_order_is_understood(state_dir: Path) -> None:
    jobs = list(range((1 << 63) - 10_000, 1 << 63))
    answer = ask(state_dir, {"do": "cancel", "jobs": jobs})
    assert answer is not None
    assert answer["asked"]["jobs"] == jobs


def test_many_that_never_finish_keep_nobody_from_asking(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state_dir)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect("control.sock")
            with contextlib.suppress(BrokenPipeError):
                client.sendall(b"{")
        for _ in range(3):
            assert ask(state_dir, {"do": "status"}) is not None


def test_many_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    """More than the kernel lets queue at a service that is busy."""
    selector = selectors.DefaultSelector()
    server = ControlServer(tmp_path / "control.sock", selector, lambda request: request)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, tmp_path, {"number": number}) for number in range(20)]
        eventually(lambda: all(answer.running() for answer in answers))
        while not all(answer.done() for answer in answers):
            for key, _ in selector.select(0.05):
                key.data()
    assert [answer.result() for answer in answers] == [{"number": number} for number in range(20)]
    server.close()
    selector.close()


def test_only_owner_and_group_may_ask(state_dir: Path) -> None:
    assert (state_dir / "control.sock").stat().st_mode & 0o777 == 0o660
