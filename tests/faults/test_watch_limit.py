"""At most 3 inotify watches (user.max_inotify_watches) for 10 folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner, eventually, write_picture

_LIMITED = ["unshare", "-U", "-r", "sh", "-c", 'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]


def test_the_limit_is_told_once_and_the_rescan_finds_all(tmp_path: Path, seen: Seen) -> None:
    if subprocess.run([*_LIMITED, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    with ServiceRunner(tmp_path, wrapper=_LIMITED) as service:
        for number in range(10):
            (service.inbox / str(number)).mkdir()
        service.start()
        for number in range(10):
            write_picture(service.inbox / str(number) / "cel.png", seed=number)
        eventually(lambda: sum(service.status()["counts"].values()) == 10)
        assert service.log().count("no more folders can be watched") == 1
        service.stop()
    seen("warned once, all 10 found by the rescan", jobs=10, lost=0)
