"""A real HTTP receiver on the loopback, for tests of notifications: Apprise's `json://` posts to it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Receiver:
    """`messages` are what was posted, in order. `silent`: it takes connections and never answers."""

    def __init__(self, *, silent: bool = False, status: int = 200) -> None:
        self.messages: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.asked = threading.Event()
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.asked.set()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if silent:
                    receiver._over.wait()
                    return
                receiver.messages.append(json.loads(body))
                receiver.paths.append(self.path)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="receiver")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
