"""A browser without a window, for tests of the status page: what is sent is exactly what the test says."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """`headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class WebClient:
    """Talks to the page at `address`; keeps the cookie it is given, as a browser does."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        self.token = token
        self.cookie = ""

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: Any) -> Answer:
        """One request on a connection of its own; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie and "cookie" not in named:
            named["cookie"] = self.cookie
        if self.address.startswith("unix:"):
            connection: http.client.HTTPConnection = _UnixConnection(self.address.removeprefix("unix:"))
        else:
            connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: Any) -> Answer:
        return self.ask("GET", path, **headers)

    def order(self, name: str, **fields: Any) -> Answer:
        """An operation of the API, with the token."""
        return self.ask("POST", f"/api/v1/{name}", json.dumps(fields).encode(), authorization=f"Bearer {self.token}")

    def enter(self) -> Answer:
        """By the address that `kakudai status --url` prints."""
        answer = self.get(f"/enter?token={self.token}")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form of a page."""
        headers = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin", **headers}
        return self.ask("POST", path, urlencode(fields).encode(), **headers)

    def form_key(self) -> str:
        """What the forms of this session carry."""
        found = re.search(r'name="form" value="(\w+)"', self.get("/").text)
        assert found
        return found[1]
