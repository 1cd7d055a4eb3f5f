"""smbd on loopback and smbclient put: an episode in one go, and one whose upload stalls for ten windows."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import pytest

from tests import media
from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once, jobs_of
from tests.service_runner import ServiceRunner, eventually, write_episode

_FRAMES = 24
_SETTLE_S = 0.2

pytestmark = [
    pytest.mark.skipif(which("smbd") is None or which("smbclient") is None, reason="samba is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may run smbd"),
]


@pytest.mark.slow
def test_an_upload_is_one_job_once_it_is_complete(tmp_path: Path, seen: Seen) -> None:
    for name in ("whole", "stalled"):
        write_episode(tmp_path / f"{name}.mkv", frames=_FRAMES)
    content = (tmp_path / "stalled.mkv").read_bytes()
    with ServiceRunner(tmp_path).start() as service, _share(service.inbox) as client:
        subprocess.run([*client, "-c", f"put {tmp_path}/whole.mkv whole.mkv"], check=True, capture_output=True)
        with subprocess.Popen([*client, "-c", "put - stalled.mkv"], stdin=subprocess.PIPE) as upload:
            assert upload.stdin is not None
            upload.stdin.write(content[: len(content) // 2])
            upload.stdin.flush()
            arriving = service.inbox / "stalled.mkv"
            eventually(arriving.exists)  # the client reads ahead: what it has lies there, or comes with the rest
            service.wait_for(delivered=1)
            time.sleep(10 * _SETTLE_S)  # the fault itself: a client that stalls
            assert sum(service.status()["counts"].values()) == 1
            upload.stdin.write(content[len(content) // 2 :])
            upload.stdin.close()
            assert upload.wait(timeout=60) == 0
        service.wait_for(delivered=2)
        assert_each_once(service, ["stalled [96p].mkv", "whole [96p].mkv"])
        assert arriving.read_bytes() == content
        for output in service.outbox.iterdir():
            assert len(media.frame_hashes(output)) == _FRAMES
        service.stop()
    assert len(jobs_of(tmp_path)) == 2
    seen("one job each, complete; the stalled one was not queued before its end", jobs=2, duplicated=0, partial=0)


@contextmanager
def _share(folder: Path) -> Iterator[list[str]]:
    """smbd of the test's own, which shares `folder` with guests; yields how smbclient is called."""
    with TemporaryDirectory(prefix="smb") as own:  # pytest's own folder is too long for the paths of its sockets
        yield from _serve(Path(own), folder)


def _serve(own: Path, folder: Path) -> Iterator[list[str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = ("private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir")
    settings = own / "smb.conf"
    settings.write_text(
        "[global]\ninterfaces = 127.0.0.1\nbind interfaces only = yes\nmap to guest = bad user\n"
        f"guest account = root\ndisable spoolss = yes\nload printers = no\nlog file = {own}/log\n"
        + "".join(f"{place} = {own}\n" for place in places)
        + f"[in]\npath = {folder}\nguest ok = yes\nread only = no\n"
    )
    command = ["smbd", "--foreground", "-s", str(settings), "-p", str(port)]
    client = ["smbclient", "-s", str(settings), "-N", "-p", str(port), "//127.0.0.1/in"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: subprocess.run([*client, "-c", "ls"], check=False, capture_output=True).returncode == 0)
            yield client
        finally:
            server.terminate()
            server.wait()
