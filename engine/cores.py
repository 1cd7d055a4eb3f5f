"""Work shared out among threads, for what lets go of Python's lock while it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def share_out(items: Sequence[T], work: Callable[[Iterator[T]], None], *, threads: int) -> None:
    """Call `work` in several threads, this one among them, with one iterator for all: each item is given out once.

    What goes wrong first is raised here, after all have ended.
    """
    left = iter(list(items))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work(left)
        except BaseException as error:  # noqa: BLE001  (re-raised in the thread that asked)
            errors.append(error)

    helpers = [threading.Thread(target=run) for _ in range(min(threads, len(items)) - 1)]
    for helper in helpers:
        helper.start()
    run()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
