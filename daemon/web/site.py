"""What every handler needs: who may do what, how to ask the service, what the machine has."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from daemon.web.access import Access
from daemon.web.bridge import Answer
from daemon.web.machine import Machine
from engine.errors import EnvironmentFault

_PATIENCE_S = 8.0
"""Seconds that the service's loop has for an answer: it may be busy with a large folder."""
_FRESH_S = 0.5


class Site:
    """Shared by all requests of one server; used in its thread alone, but for `closing`."""

    def __init__(self, access: Access, ask: Callable[[Mapping[str, Any]], Future[Answer]]) -> None:
        self.access = access
        self.closing = threading.Event()
        self.machine = Machine()
        self.listeners = 0
        """Pages that are told of changes."""
        self.notes: dict[str, str] = {}
        """What the next page tells about the form that was sent, by session."""
        self._ask = ask
        self._status: asyncio.Task[Answer] | None = None
        self._status_at = float("-inf")

    async def ask(self, **request: Any) -> Answer:
        """An answer of the service. Raises `EnvironmentFault` when it takes too long."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._ask(request)), _PATIENCE_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self.closing.is_set():
                raise
            raise EnvironmentFault(
                "the service does not answer just now", remedy="try again in a moment; its journal says more"
            ) from error

    async def status(self) -> Answer:
        """The state, as `kakudai status --json` has it. However many look, the service is asked twice a second."""
        now = time.monotonic()
        if self._status is None or now - self._status_at > _FRESH_S or (self._status.done() and _failed(self._status)):
            self._status = asyncio.ensure_future(self.ask(do="status"))
            self._status_at = now
        return await asyncio.shield(self._status)

    def forget_status(self) -> None:
        """Something was changed: the next look is a fresh one."""
        self._status = None


def _failed(task: asyncio.Task[Answer]) -> bool:
    return task.cancelled() or task.exception() is not None
