"""Questions from the web's thread, answered in the service's loop, which alone touches ledger and worker."""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

Answer = Mapping[str, Any]
Handler = Callable[[Mapping[str, Any]], Answer]

_A_TURN = 8
"""Questions answered before the loop's own work has its turn again."""


class Bridge:
    """Wakes the loop through `selector`; `handle` runs in the loop's thread. A slow asker delays nobody."""

    def __init__(self, selector: selectors.BaseSelector, handle: Handler) -> None:
        self._selector = selector
        self._handle = handle
        self._waiting: queue.SimpleQueue[tuple[Mapping[str, Any], Future[Answer]]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        selector.register(self._wake_read, selectors.EVENT_READ, self._answer_some)

    def ask(self, request: Mapping[str, Any]) -> Future[Answer]:
        """Any thread. The future holds the answer, or what `handle` raised; after `close` it is cancelled."""
        future: Future[Answer] = Future()
        self._waiting.put((request, future))
        self._wake()
        return future

    def close(self) -> None:
        """Answer nothing any more."""
        self._selector.unregister(self._wake_read)
        self._wake_read.close()
        self._wake_write.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()[1].cancel()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # woken already; or closed, and then the asker gives up
            self._wake_write.send(b"\0")

    def _answer_some(self) -> None:
        self._wake_read.recv(4096)
        for _ in range(_A_TURN):
            try:
                request, future = self._waiting.get_nowait()
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue  # the asker has left
            try:
                future.set_result(self._handle(request))
            except Exception as error:  # noqa: BLE001  (told to the asker, who logs it: a page never ends the service)
                future.set_exception(error)
        self._wake()
