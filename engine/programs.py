"""The programs that work for us: where they are, what starts them, and how what they say is shown."""

from __future__ import annotations

import functools
import shutil
import subprocess

from engine.errors import ToolError

_PACKAGES = {
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "mkvmerge": "mkvtoolnix",
    "mkvextract": "mkvtoolnix",
    "mkvpropedit": "mkvtoolnix",
}


def find_tool(name: str) -> str:
    """The absolute path of a program. Raises `ToolError` where it is missing."""
    found = shutil.which(name)
    if found is None:
        raise ToolError(
            f"the program {name} is not installed",
            remedy=f"install it: apt install {_PACKAGES.get(name, name)}",
        )
    return found


@functools.cache
def dying_with_us() -> tuple[str, ...]:
    """What makes a child die with the thread that starts it; nothing where setpriv is missing, or may not do it.

    It sets its own capabilities anew, which a sandbox may forbid (capset).
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    wrapper = (setpriv, "--pdeathsig", "KILL", "--")
    works = subprocess.run([*wrapper, "true"], check=False, capture_output=True, stdin=subprocess.DEVNULL)
    return wrapper if works.returncode == 0 else ()


def printable(text: str) -> str:
    """`text` on one line, with control characters escaped: names and tags of hostile files end up in logs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
