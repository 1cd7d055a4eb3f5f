"""What systemd is told (sd_notify(3)); nothing at all where no NOTIFY_SOCKET is given."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> None:
    """Send `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`. A manager that does not listen is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            sender.sendto("\n".join(lines).encode("utf-8", "replace"), address)
        except OSError:
            return  # the service works without its manager as well


def is_managed() -> bool:
    """Whether somebody wants to be told."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def watchdog_interval_s() -> float | None:
    """How often systemd wants a sign of life: half of WatchdogSec=; None when it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
