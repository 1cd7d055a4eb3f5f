"""A bounded queue between two threads that ends, fails and closes cleanly."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):  # noqa: N818  (not an error: the other side has gone)
    """The receiving side wants no more."""


class Channel(Generic[T]):
    """First in, first out, at most `capacity` items: the sender waits when it is full.

    The sender calls `put`, then `end` or `fail`; the receiver iterates, and gets the sender's exception re-raised; it
    may `close` at any time, after which `put` raises `ChannelClosed`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                raise ChannelClosed
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """No more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """No more will come, for this reason; what was put already is still received first."""
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Want no more: drop what waits, and let the sender go."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended or self._closed)
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify_all()
                elif self._error is not None:
                    raise self._error
                else:
                    return
            yield item
            del item  # a frame is not kept alive while the next one is waited for
