"""Names with a newline, a leading dash, %d, http:, brackets, invalid UTF-8, 255 bytes, emoji."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner, eventually, write_picture

_NAMES = (
    b"new\nline ERROR forged.png",
    b"-rf.png",
    b"%d%s.png",
    b"http:x.png",
    b"[a]{b}(c)*?.png",
    b"in\xff\xfevalid.png",
    b"n" * 251 + b".png",
    "拡大🎞️.png".encode(),
    b"esc\x1b[2J.png",
    b"$(touch pwned);`x`.png",
)


@pytest.mark.slow
def test_each_works_or_is_refused_and_no_log_line_is_forged(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        for seed, name in enumerate(_NAMES):
            write_picture(tmp_path / "drawn.png", seed=seed, width=8, height=8)
            (tmp_path / "drawn.png").rename(Path(os.fsdecode(os.fsencode(service.inbox) + b"/" + name)))
        (service.inbox / "bad").mkdir()
        for name in _NAMES:  # what is said of a file that fails goes through ledger, log and status as well
            Path(os.fsdecode(os.fsencode(service.inbox) + b"/bad/" + name)).write_text("no picture")
        service.start()
        eventually(lambda: service.count("delivered") + service.count("failed") == 2 * len(_NAMES))
        delivered, failed = service.count("delivered"), service.count("failed") - len(_NAMES)
        assert failed >= 0
        service.stop()
        raw = (tmp_path / "service.log").read_bytes()
        assert all(re.match(rb"\d{4}-\d\d-\d\d |    ", line) for line in raw.splitlines())
        assert b"\x1b" not in raw
        assert len(service.delivered()) == delivered
        assert not list(tmp_path.rglob("pwned"))
    seen(
        f"{delivered} delivered, {failed} refused; as many damaged ones failed; no line forged in the log",
        names=len(_NAMES),
    )
