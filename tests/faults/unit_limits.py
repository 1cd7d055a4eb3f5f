"""A command under the limits of the unit file: `python -m tests.faults.unit_limits UNIT COMMAND…`, as root.

What systemd does with prctl and seccomp is done here with libseccomp, read from the same lines: capabilities, umask, no
new privileges, the filter of calls with its groups expanded by `systemd-analyze`, address families, namespaces,
personality, realtime, set-user-id bits, and a network of its own. The user stays the caller's, without its privileges,
and file systems and devices stay as they are: that takes systemd itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd" / "kakudai.service"

_ALLOW = 0x7FFF0000
_NE, _MASKED = 1, 7
_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_SET_IDS = 0o6000
_REALTIME_FROM = 6
"""SCHED_DEADLINE, above SCHED_OTHER, BATCH and IDLE; FIFO and RR are 1 and 2."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class _Filter:
    """One seccomp filter: what no rule tells gets `otherwise`."""

    def __init__(self, otherwise: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._library.seccomp_init.argtypes = [ctypes.c_uint32]
        self._library.seccomp_load.argtypes = [ctypes.c_void_p]
        self._library.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Comparison),
        ]
        self._context = self._library.seccomp_init(otherwise)
        assert self._context

    def add(self, action: int, call: str, *conditions: tuple[int, int, int, int]) -> None:
        """Calls that this machine has not are left out."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (_Comparison * max(1, len(conditions)))(*(_Comparison(*condition) for condition in conditions))
        result = self._library.seccomp_rule_add_array(self._context, action, number, len(conditions), array)
        assert result in (0, -errno.EACCES), (call, result)  # EACCES: it is the action of the filter already

    def load(self) -> None:
        assert self._library.seccomp_load(self._context) == 0


def directives(unit: Path) -> dict[str, list[str]]:
    """Every value of each key of [Service], in the unit's order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def allowed_calls(lines: Sequence[str]) -> set[str]:
    """SystemCallFilter=: an allow list, to which @default belongs always; `~` takes away, later lines add."""
    allowed = _expanded("@default")
    for line in lines:
        calls = {call for word in line.removeprefix("~").split() for call in _expanded(word)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def _expanded(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    told = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True)
    members = [line.strip() for line in told.stdout.splitlines()[1:]]
    return {call for member in members if member and not member.startswith("#") for call in _expanded(member)}


def confine(keys: Mapping[str, Sequence[str]]) -> None:
    """Put this process, and what it starts, under the filters of the unit."""
    refused = _error(getattr(errno, keys["SystemCallErrorNumber"][0]))
    calls = _Filter(refused)
    for call in sorted(allowed_calls(keys["SystemCallFilter"])):
        calls.add(_ALLOW, call)
    more = _Filter(_ALLOW)
    assert keys["RestrictAddressFamilies"] == ["AF_UNIX"]
    more.add(_error(errno.EAFNOSUPPORT), "socket", (0, _NE, socket.AF_UNIX, 0))
    if _yes(keys, "RestrictNamespaces"):
        for bit in range(32):
            if _NEW_NAMESPACES & 1 << bit:
                for call in ("clone", "unshare"):
                    more.add(_error(errno.EPERM), call, (0, _MASKED, 1 << bit, 1 << bit))
        more.add(_error(errno.EPERM), "setns")
        more.add(_error(errno.ENOSYS), "clone3")
    if _yes(keys, "LockPersonality"):
        more.add(_error(errno.EPERM), "personality", (0, _NE, 0, 0))
    if _yes(keys, "RestrictRealtime"):
        for policy in (1, 2, _REALTIME_FROM):
            more.add(_error(errno.EPERM), "sched_setscheduler", (1, _MASKED, 0xFFFFFFFF, policy))
    if _yes(keys, "RestrictSUIDSGID"):
        for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
            for bit in (0o4000, 0o2000):
                more.add(_error(errno.EPERM), call, (argument, _MASKED, bit, bit))
    more.load()
    calls.load()  # last: it no longer allows seccomp itself to be asked for other filters without no_new_privs


def _error(number: int) -> int:
    return 0x00050000 | number


def _yes(keys: Mapping[str, Sequence[str]], name: str) -> bool:
    return keys.get(name) == ["yes"]


def main(arguments: Sequence[str]) -> None:
    """Does not return: the command takes this process over."""
    keys = directives(Path(arguments[0]))
    os.umask(int(keys["UMask"][0], 8))
    if arguments[1] != "--confined":
        (capability,) = keys["CapabilityBoundingSet"]
        kept = "-all,+" + capability.removeprefix("CAP_").lower()
        assert _yes(keys, "NoNewPrivileges")
        assert _yes(keys, "PrivateNetwork")
        lower = ["unshare", "--net", "setpriv", "--no-new-privs", f"--bounding-set={kept}", f"--inh-caps={kept}"]
        own = [sys.executable, "-m", "tests.faults.unit_limits", arguments[0], "--confined"]
        os.execvp(lower[0], [*lower, f"--ambient-caps={kept}", *own, *arguments[1:]])
    confine(keys)
    os.execvp(arguments[2], list(arguments[2:]))


if __name__ == "__main__":
    main(sys.argv[1:])
