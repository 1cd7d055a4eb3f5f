"""A fake NOTIFY_SOCKET, a stall, a typo, a bad SIGHUP, a wrong clock, a foreign Host header, the score of the unit."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from shutil import which

import pytest

from tests.faults.conftest import Seen
from tests.faults.scene import assert_each_once
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

_UNIT = Path(__file__).parents[2] / "systemd" / "kakudai.service"
_FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def test_the_manager_is_told_and_a_stall_is_noticed(tmp_path: Path, seen: Seen) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        with ServiceRunner(tmp_path).start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000") as service:
            assert listener.recv(4096) == b"READY=1"
            assert listener.recv(4096) == b"WATCHDOG=1\nSTATUS=idle"
            assert service.process is not None
            service.process.send_signal(signal.SIGSTOP)
            listener.settimeout(1)
            with contextlib.suppress(TimeoutError):
                while True:  # what was sent before the stall
                    listener.recv(4096)
            with pytest.raises(TimeoutError):
                listener.recv(4096)
            service.process.send_signal(signal.SIGCONT)
            listener.settimeout(60)
            assert b"WATCHDOG=1" in listener.recv(4096)
            assert service.stop() == 0
            told = b""
            while told != b"STOPPING=1":
                told = listener.recv(4096)
    seen("READY after the first scan; pings stopped with the loop; STOPPING told")


def test_a_typo_is_named(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path, CONFIG.replace("settle_s", "setle_s")) as service:
        process = service.launch().process
        assert process is not None
        assert process.wait(timeout=60) == 78
        assert "folders[0].setle_s: unknown key" in service.log()
    seen("a typo exits 78 and names the key")


def test_a_hangup_reads_the_configuration_again_unless_it_is_bad(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path).start() as service:
        assert service.process is not None
        service.config.write_text(CONFIG.replace("profile: fast", "profile: fst"))
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the old configuration is kept" in service.log())
        assert 'no profile named "fst"' in service.log()
        service.config.write_text(CONFIG + "  - {input: in2, output: out2, profile: fast, settle_s: 0.2}\n")
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reloaded: watching" in service.log())
        write_picture(service.inbox / "cel.png", seed=1)
        write_picture(tmp_path / "in2" / "other.png", seed=2)
        service.wait_for(delivered=2)
        assert_each_once(service, ["cel [64p].png"])
        assert (tmp_path / "out2" / "other [64p].png").exists()
        assert service.stop() == 0
    seen("SIGHUP: a bad configuration leaves the old one, a good one is used at once")


@pytest.mark.skipif(not _FAKETIME, reason="faketime is not installed")
@pytest.mark.parametrize("offset", ["-1d", "+1d"])
def test_a_clock_a_day_off_is_harmless(tmp_path: Path, seen: Seen, offset: str) -> None:
    # not by the program faketime: it would be killed instead of the service, its child
    with ServiceRunner(tmp_path).start(LD_PRELOAD=str(_FAKETIME[0]), FAKETIME=offset, NO_FAKE_STAT="1") as service:
        write_picture(service.inbox / "cel.png")
        (cel,) = service.wait_for(delivered=1)["delivered"]
        assert abs(cel["changed"] - time.time()) > 80_000  # it did see the other time
        service.kill()
    with ServiceRunner(tmp_path) as service:
        write_picture(service.inbox / "next.png", seed=2)
        service.start().wait_for(delivered=2)
        assert_each_once(service, ["cel [64p].png", "next [64p].png"])
        assert service.stop() == 0
    seen(f"started with a clock {offset}: harmless")


@pytest.mark.skipif(not _FAKETIME, reason="faketime is not installed")
@pytest.mark.parametrize("offset", ["-1d", "+1d"])
def test_a_clock_that_jumps_a_day_is_harmless(tmp_path: Path, seen: Seen, offset: str) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    fake = {"LD_PRELOAD": str(_FAKETIME[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    # as with a real jump: neither the monotonic clock nor the times of files move
    fake |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    with ServiceRunner(tmp_path).start(**fake) as service:
        write_picture(service.inbox / "before.png", seed=1)
        service.wait_for(delivered=1)
        (service.inbox / "bad.png").write_text("no picture")
        service.wait_for(failed=1)
        clock.write_text(offset)
        write_picture(service.inbox / "after.png", seed=2)
        jobs = service.wait_for(delivered=2)["delivered"]
        (after,) = [job for job in jobs if job["source"].endswith("after.png")]
        assert abs(after["changed"] - time.time()) > 80_000  # it did see the other time
        assert_each_once(service, ["after [64p].png", "before [64p].png"])
        assert service.count("failed") == 1
        assert service.stop() == 0
    seen(f"clock jumps {offset} while it runs: one job each, nothing made again")


def test_files_from_the_future_and_the_past_are_found(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        for name, offset in (("past.png", -86_400), ("future.png", 86_400)):
            write_picture(service.inbox / name, seed=offset % 7)
            os.utime(service.inbox / name, (time.time() + offset,) * 2)
        service.start().wait_for(delivered=2)
        assert_each_once(service, ["future [64p].png", "past [64p].png"])
    seen("files a day from the past and the future: one job each")


def test_a_foreign_host_header_is_refused(tmp_path: Path, seen: Seen) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ServiceRunner(tmp_path, CONFIG.replace("web: false", f"web: {{port: {port}}}")).start():
        answers = []
        for host in (f"127.0.0.1:{port}", "evil.example", f"127.0.0.1.evil.example:{port}"):
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/", headers={"Host": host})
            answers.append(connection.getresponse().status)
            connection.close()
        assert answers == [200, 403, 403]
    seen("a foreign Host header on the status page: 403")


@pytest.mark.skipif(which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize(("devices", "largest"), [("GPU devices allowed", 1.6), ("without devices", 1.3)])
def test_the_units_exposure(tmp_path: Path, seen: Seen, devices: str, largest: float) -> None:
    unit = tmp_path / "kakudai.service"
    text = _UNIT.read_text()
    if devices.startswith("without"):
        text = re.sub(r"DeviceAllow=.*\n", "", text).replace("DevicePolicy=closed", "PrivateDevices=yes")
    # the programs that the unit names are not installed where tests run
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", text))
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], check=False, capture_output=True, text=True
    )
    found = re.search(r"exposure level for kakudai.service: ([\d.]+)", told.stdout)
    assert found is not None, told.stderr
    assert float(found[1]) <= largest
    seen(f"exposure {found[1]} {devices}")
