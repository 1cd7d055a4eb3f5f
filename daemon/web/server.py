"""The status page as the service knows it: a thread that may fail, be replaced or be missing, and nothing else does.

Its address and what is wrong with it stand in the status. A port in use never stops the service; it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

from daemon.config_model import Config, Web
from daemon.web.access import Access, load_token
from daemon.web.app import make_app
from daemon.web.bridge import Bridge, Handler
from daemon.web.listen import address_of, handed_over, is_local, listen
from daemon.web.site import Site
from engine.errors import EnvironmentFault, KakudaiError

log = logging.getLogger(__name__)

_AGAIN_S = 60.0
"""Seconds before a place that was taken is tried again."""
_PARTING_S = 5.0
_MOST_CONNECTIONS = 128
_LONGEST_HEAD = 1 << 15
"""Bytes of a request's line and headers."""


class WebServer:
    """Serves the page by what `config.web` says. All methods belong to the service's thread; none waits for a page."""

    def __init__(
        self, config: Config, selector: selectors.BaseSelector, handle: Handler, *, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._clock = clock
        self._bridge = Bridge(selector, handle)
        self._handed_over = handed_over()
        self._thread: _ServingThread | None = None
        self._token: str | None = None
        self._fault: KakudaiError | None = None
        self._again_at = 0.0
        self._start()

    def close(self) -> None:
        """End the thread, and let go of every socket."""
        self._stop()
        self._bridge.close()
        for handed in self._handed_over:
            handed.close()

    def reload(self, config: Config) -> None:
        """Serve by another configuration; a page whose place is the same is not interrupted."""
        before, self._config = self._config.web, config
        if config.web != before:
            self._stop()
            self._start()

    def tick(self) -> None:
        """Look after the thread; try again what could not be opened."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            self._fail(EnvironmentFault("the status page has ended", remedy="the journal says why"))
        if self._fault is not None and self._clock() >= self._again_at:
            self._start()

    def status(self) -> dict[str, Any]:
        """For the status: where the page is, or why it is not. Without the token."""
        return {
            "address": self._thread.address if self._thread is not None else None,
            "reason": str(self._fault) if self._fault is not None else None,
            "remedy": self._fault.remedy if self._fault is not None else None,
        }

    def entrance(self) -> dict[str, Any]:
        """The address and the token, for who may talk to the control socket."""
        return {**self.status(), "token": self._token if self._thread is not None else None}

    def _start(self) -> None:
        web = self._config.web
        if web is None:
            return
        try:
            self._token = load_token(self._config.state_dir)
            sockets = [handed.dup() for handed in self._handed_over] or listen(web)
        except KakudaiError as fault:
            self._fail(fault)
            return
        local = all(map(is_local, sockets))
        access = Access(self._token, web=web, local=local, state_dir=self._config.state_dir)
        self._thread = _ServingThread(Site(access, self._bridge.ask), sockets, web)
        self._thread.start()
        self._fault = None
        log.info("the status page is at %s (kakudai status --url tells its token)", self._thread.address)
        if not access.reading_is_open:
            log.warning("the status page can be reached from elsewhere: put a proxy with TLS before it")

    def _fail(self, fault: KakudaiError) -> None:
        if self._fault is None or str(self._fault) != str(fault):
            log.error("%s; %s", fault, fault.remedy)
        self._fault = fault
        self._again_at = self._clock() + _AGAIN_S

    def _stop(self) -> None:
        self._fault = None
        if self._thread is not None:
            self._thread.end()
            self._thread = None


class _ServingThread(threading.Thread):
    """uvicorn with an event loop of its own, on sockets that are open already."""

    def __init__(self, site: Site, sockets: list[socket.socket], web: Web) -> None:
        super().__init__(name="web", daemon=True)
        self.address = address_of(sockets[0], web)
        self._site = site
        self._sockets = sockets
        self._path = web.socket
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(site),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
                timeout_graceful_shutdown=2,
            )
        )

    def run(self) -> None:
        """Serve until `end`. What goes wrong is told in the log and seen by `WebServer.tick`."""
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # strange requests are no news
        try:
            asyncio.run(self._server.serve(self._sockets))
        except Exception:
            log.exception("the status page has ended")
        finally:
            for listening in self._sockets:
                listening.close()
            self._site.machine.close()

    def end(self) -> None:
        """Ask for the end and wait for it, a little."""
        self._site.closing.set()
        self._server.should_exit = True
        self.join(_PARTING_S)
        if self._path is not None:
            self._path.unlink(missing_ok=True)
