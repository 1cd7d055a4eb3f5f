"""What signals ask of the service, told to its loop."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Asked:
    """What signals have asked for."""

    stop: bool = False
    at_once: bool = False
    """They asked for the end a second time."""
    reload: bool = False


@contextmanager
def listen(selector: selectors.BaseSelector) -> Iterator[Asked]:
    """SIGTERM and SIGINT ask for the end, SIGHUP for the configuration to be read again; all wake the loop."""
    asked = Asked()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.at_once = asked.stop
        asked.stop = True

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        asked.reload = True

    wake_read, wake_write = socket.socketpair()
    wake_read.setblocking(False)
    wake_write.setblocking(False)

    def drain() -> None:
        wake_read.recv(4096)

    handlers = {signal.SIGTERM: ask, signal.SIGINT: ask, signal.SIGHUP: hang_up}
    with wake_read, wake_write:
        selector.register(wake_read, selectors.EVENT_READ, drain)
        before_fd = signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield asked
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_fd)
            selector.unregister(wake_read)
