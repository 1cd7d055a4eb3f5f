"""Who may look and who may steer: the token, sessions made of it, and the names the page answers to.

The token lies in the state folder, for the service's user alone. `kakudai status --url` prints it inside an address;
that address gives the browser a session cookie, signed with the token and kept nowhere, so that it outlives restarts
and ends when the token is replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from daemon.config_model import Web
from engine.files import flush_folder, storing

log = logging.getLogger(__name__)

SESSION_S = 30 * 86_400
"""Seconds that a browser may steer after it was given the token."""

_TOKEN = re.compile(r"[\w-]{43}")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def load_token(state_dir: Path) -> str:
    """The token in `state_dir/web-token`; one that is missing, damaged, or was readable by others is replaced.

    Raises `EnvironmentFault`, `OutputError`.
    """
    path = state_dir / "web-token"
    with storing(path):
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return _new_token(path)
        try:
            exposed = os.fstat(file).st_mode & 0o077
            text = os.read(file, 1024).decode("ascii", "replace").strip()
        finally:
            os.close(file)
        if exposed:
            log.warning("%s could be read by others; a new token was made", path)
        return _new_token(path) if exposed or not _TOKEN.fullmatch(text) else text


def _new_token(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    hidden = path.with_name(f".{path.name}.part")
    hidden.unlink(missing_ok=True)
    file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as writer:
        writer.write(token + "\n")
        writer.flush()
        os.fsync(writer.fileno())
    hidden.rename(path)
    flush_folder(path.parent)
    return token


class Access:
    """Judges requests. All comparisons of secrets take constant time."""

    def __init__(
        self, token: str, *, web: Web, local: bool, state_dir: Path, now: Callable[[], float] = time.time
    ) -> None:
        """`local`: only this machine's users can connect to where it listens."""
        self._token = token.encode("ascii")
        self._now = now
        self._names = {name.lower() for name in (web.host, *web.names)} | _LOOPBACK_NAMES
        self.reading_is_open = local and not web.names
        """Whether looking needs no token. Where it has further names, a proxy brings others."""
        # two services on one machine share a browser's cookies: ports do not tell them apart
        self.cookie = "kakudai-" + hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:8]

    def knows_host(self, host: str, *, own_address: str | None) -> bool:
        """Whether a Host header names this service: a foreign one is a page elsewhere that was pointed here.

        `own_address` is the one the connection came in at.
        """
        name = host_name(host)
        return name is not None and (name in self._names or name == own_address)

    def is_token(self, said: str) -> bool:
        """Whether `said` is the token."""
        return hmac.compare_digest(said.encode("utf-8", "surrogateescape"), self._token)

    def new_session(self) -> str:
        """The value of a session's cookie: when it ends, and the proof that it comes from here."""
        until = str(int(self._now()) + SESSION_S)
        return f"{until}.{self._signed('session', until)}"

    def is_session(self, cookie: str) -> bool:
        """Whether a cookie is a session that is not over."""
        until, _, proof = cookie.partition(".")
        genuine = hmac.compare_digest(proof.encode("utf-8", "surrogateescape"), self._signed("session", until).encode())
        return genuine and int(until) > self._now()

    def form_key(self, session: str) -> str:
        """What every form of a session carries, and no other site can know."""
        return self._signed("form", session)

    def is_form_key(self, said: str, session: str) -> bool:
        """Whether a form comes from a page of this session."""
        return hmac.compare_digest(said.encode("utf-8", "surrogateescape"), self.form_key(session).encode())

    def _signed(self, purpose: str, value: str) -> str:
        message = f"{purpose}:{value}".encode("utf-8", "surrogateescape")
        return hmac.new(self._token, message, hashlib.sha256).hexdigest()


def host_name(host: str) -> str | None:
    """The name in a Host header, without port and brackets, in lower case; None for what is none."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::\d{1,5})?", host, re.ASCII)
    return (match[1] or match[2]).rstrip(".").lower() if match else None
