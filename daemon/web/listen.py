"""The socket the page is served on: opened here, or handed over by systemd (kakudai.socket), which keeps the service
itself without network.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from daemon.config_model import Web
from daemon.control import folder_of
from engine.errors import EnvironmentFault

_FIRST_HANDED_OVER = 3
"""The first descriptor that systemd hands over (sd_listen_fds(3))."""


def listen(web: Web) -> list[socket.socket]:
    """Listening sockets. Raises `EnvironmentFault` where the place is taken or refused."""
    try:
        return [_listen_on_path(web.socket)] if web.socket is not None else _listen_on_host(web.host, web.port)
    except OSError as error:
        raise EnvironmentFault(
            f"the status page cannot listen on {place(web)}: {error.strerror or error}", remedy=_remedy(error, web)
        ) from error


def handed_over() -> list[socket.socket]:
    """What systemd hands over; nothing where there is none, or the second time."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_FDNAMES", None)
    sockets = []
    for fd in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + count):
        os.set_inheritable(fd, False)
        sockets.append(socket.socket(fileno=fd))
    return sockets


def place(web: Web) -> str:
    """Where it is to listen, in words."""
    return str(web.socket) if web.socket is not None else f"{bracketed(web.host)}:{web.port}"


def address_of(listening: socket.socket, web: Web) -> str:
    """The address for a browser; of a unix socket its path."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{web.socket or listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not opened)
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://{bracketed(host)}:{port}"


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine's users can connect: by what it is bound to, whoever opened it."""
    if listening.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def bracketed(host: str) -> str:
    """An IPv6 address as it stands in front of a port."""
    return f"[{host}]" if ":" in host else host


def _listen_on_host(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, error.strerror) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
    except OSError:
        listening.close()
        raise
    return [listening]


def _listen_on_path(path: Path) -> socket.socket:
    """For the owner and the group. What a dead service left under the name is removed; anything else stays."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
            path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with folder_of(path) as name:
            listening.bind(name)
        path.chmod(0o660)  # nobody is let in before listen
        listening.listen(64)
    except OSError:
        listening.close()
        raise
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            with folder_of(path) as name:
                client.connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def _remedy(error: OSError, web: Web) -> str:
    if error.errno == errno.EADDRINUSE:
        other = "another socket" if web.socket is not None else "another port"
        return f"give web {other} in the configuration, or end what listens there; it is tried again every minute"
    if error.errno in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES) and web.socket is None:
        return "under systemd install kakudai.socket, which hands the port over; else choose a port above 1023"
    return "check web in the configuration; `web: false` turns the page off"
