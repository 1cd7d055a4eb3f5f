"""HLS and ffconcat scripts named .mkv and .mp4, in a network namespace of their own, under strace."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.service_runner import write_episode

_SCRIPTS = {
    "concat.mkv": "ffconcat version 1.0\nfile secret.mkv\n",
    "concat.mp4": "ffconcat version 1.0\nfile secret.mkv\n",
    "list.mkv": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1/secret.mkv\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mkv\n#EXT-X-ENDLIST\n",
}


@pytest.mark.slow
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_nothing_else_is_opened_and_nobody_is_called(tmp_path: Path, seen: Seen) -> None:
    write_episode(tmp_path / "secret.mkv", frames=2)
    (tmp_path / "config.yaml").write_text("profiles: {default: {model: bicubic}}\n")
    alone = ["unshare", "-U", "-r", "-n"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = []
    for name, script in _SCRIPTS.items():
        (tmp_path / name).write_text(script)
        done = subprocess.run(
            [*alone, "strace", "-f", "-qq", "-o", str(tmp_path / "calls"), "-e", "trace=open,openat,openat2,connect"]
            + [sys.executable, "-m", "daemon.cli", "upscale", str(tmp_path / name), "-o", str(tmp_path / "out")]
            + ["--config", str(tmp_path / "config.yaml")],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 65, done.stderr
        calls = (tmp_path / "calls").read_text()
        assert name in calls
        assert "secret" not in calls
        assert not re.search(r"connect\(.*AF_INET", calls)
    seen("refused; no other file opened, no connect()", files=len(_SCRIPTS))
