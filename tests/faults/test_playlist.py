"""HLS and ffconcat scripts named .mkv and .mp4, the service in a network namespace of its own, under strace."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.service_runner import CONFIG, ServiceRunner, write_episode

_SCRIPTS = {
    "concat.mkv": "ffconcat version 1.0\nfile secret.mkv\n",
    "concat.mp4": "ffconcat version 1.0\nfile secret.mkv\n",
    "list.mkv": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1/secret.mkv\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mkv\n#EXT-X-ENDLIST\n",
}


@pytest.mark.slow
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_nothing_else_is_opened_and_nobody_is_called(tmp_path: Path, seen: Seen) -> None:
    alone = ["unshare", "-U", "-r", "-n"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    calls = tmp_path / "calls"
    traced = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(calls), "-e", "trace=open,openat,openat2,connect"]
    config = CONFIG.replace("settle_s: 0.2", "settle_s: 0.2, ignore: [secret.mkv]")
    with ServiceRunner(tmp_path, config, wrapper=[*alone, *traced]) as service:
        write_episode(service.inbox / "secret.mkv", frames=2)
        for name, script in _SCRIPTS.items():
            (service.inbox / name).write_text(script)
        status = service.start().wait_for(failed=len(_SCRIPTS))
        assert all(job["error"] == "InputError" for job in status["failed"])
        service.stop()
        traced_calls = calls.read_text()
        assert all(name in traced_calls for name in _SCRIPTS)
        assert "secret.mkv" not in traced_calls
        assert not re.search(r"connect\(.*AF_INET", traced_calls)
        assert service.delivered() == []
    seen("refused; no other file opened, no connect()", files=len(_SCRIPTS))
