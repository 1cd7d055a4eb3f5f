"""The control socket, `state_dir/control.sock`: one JSON line asked, one answered. For the owner and the group."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_LONGEST_REQUEST = 1 << 18
"""Bytes: room for the numbers of the 10,000 jobs that one order may name."""
_MOST_CLIENTS = 32
_PATIENCE_S = 10.0

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ControlServer:
    """Serves clients from the service's own loop; a slow or silent one delays nobody."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handle: Handler) -> None:
        self._path = path
        self._selector = selector
        self._handle = handle
        self._clients: dict[socket.socket, None] = {}
        """In the order they came."""
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.setblocking(False)
        with folder_of(path) as name:
            self._listener.bind(name)
        path.chmod(0o660)
        self._listener.listen(8)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Hang up and remove the socket."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listener.accept()
            if len(self._clients) >= _MOST_CLIENTS:
                self._drop(next(iter(self._clients)))  # whoever has said nothing for longest
            client.setblocking(False)
            self._clients[client] = None
            asked = bytearray()
            self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client, asked))

    def _read(self, client: socket.socket, asked: bytearray) -> None:
        if client not in self._clients:
            return  # hung up on in this very turn
        try:
            chunk = client.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except ConnectionError:
            chunk = b""
        asked += chunk
        if not chunk or len(asked) > _LONGEST_REQUEST:
            self._drop(client)
        elif b"\n" in asked:
            try:
                request = dict(json.loads(asked.split(b"\n")[0]))
            except (ValueError, TypeError, RecursionError):  # the last: a thousand brackets
                answer: Mapping[str, Any] = {"error": "not understood", "remedy": "send one JSON object on one line"}
            else:
                answer = self._handle(request)
            unsent = bytearray(json.dumps(answer).encode("ascii") + b"\n")
            self._selector.modify(client, selectors.EVENT_WRITE, lambda: self._write(client, unsent))

    def _write(self, client: socket.socket, unsent: bytearray) -> None:
        if client not in self._clients:
            return
        try:
            del unsent[: client.send(unsent)]
        except BlockingIOError:
            return
        except ConnectionError:
            unsent.clear()
        if not unsent:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        self._selector.unregister(client)
        client.close()


def ask(state_dir: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the service that owns `state_dir` answers; None when no service listens there, or it ends just now.

    Raises `TimeoutError` when it does not answer in time, `PermissionError` when this user may not ask.
    """
    path = state_dir / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        # a timeout of Python's own would make the kernel refuse, not wait, where many ask at once (unix(7), connect(2))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(_PATIENCE_S), 0))
        try:
            with folder_of(path) as name:
                client.connect(name)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except BlockingIOError as error:
            raise TimeoutError from error
        client.settimeout(_PATIENCE_S)
        said = bytearray()
        with contextlib.suppress(ConnectionError):
            client.sendall(json.dumps(request).encode("ascii") + b"\n")
            while chunk := client.recv(1 << 16):
                said += chunk
    return dict(json.loads(said)) if said.endswith(b"\n") else None


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[str]:
    """A name for a socket that fits in sun_path (108 bytes), however long the path to its folder is."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
