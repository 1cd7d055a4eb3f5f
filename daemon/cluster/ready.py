"""What a worker keeps ready: the source and the network of the episodes that it works on, each until nobody uses it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Kept(Generic[T]):
    thing: T
    closing: ExitStack = field(default_factory=ExitStack)
    users: int = 0
    forgotten: bool = False


class Ready(Generic[T]):
    """At most `most` things by name, besides those in use; for several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def use(self, name: str, build: Callable[[ExitStack], T]) -> Iterator[T]:
        """What is there under that name, else what `build` makes; what the stack holds is closed after its last use.

        An error in the block, or in building it, leaves nothing of that name: it may be in any state.
        """
        with self._lock:
            kept = self._found(name) or self._built(name, build)
            kept.users += 1
        try:
            yield kept.thing
        except BaseException:
            self._forget(name, kept)
            raise
        finally:
            with self._lock:
                kept.users -= 1
            self._close(kept)

    def _found(self, name: str) -> _Kept[T] | None:
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def _built(self, name: str, build: Callable[[ExitStack], T]) -> _Kept[T]:
        while len(self._kept) >= self._most:
            _, oldest = self._kept.popitem(last=False)
            oldest.forgotten = True
            self._close(oldest)
        with ExitStack() as stack:
            kept = _Kept(build(stack))
            kept.closing = stack.pop_all()
        self._kept[name] = kept
        return kept

    def _forget(self, name: str, kept: _Kept[T]) -> None:
        with self._lock:
            kept.forgotten = True
            if self._kept.get(name) is kept:
                del self._kept[name]

    @staticmethod
    def _close(kept: _Kept[T]) -> None:
        if kept.forgotten and kept.users == 0:
            kept.closing.close()
