"""The page that people look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config_model import Config, Folder
from daemon.job import Found, Identity
from daemon.ledger import Ledger
from daemon.status import headline, render, snapshot
from daemon.text import duration, printable
from engine.settings import Settings

INBOX = Path("/in")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def _state(ledger: Ledger, **options: Any) -> dict[str, Any]:
    config = Config(Path("/config.yaml"), Path("/state"), folders=(Folder(INBOX, Path("/out"), "fast", Settings()),))
    return snapshot(config, ledger, **options)


def _queue(ledger: Ledger, *names: str, folder: Path = INBOX) -> None:
    ledger.queue(Found(folder, folder / name, "file", Identity(number, 1, 1, 1)) for number, name in enumerate(names))


def test_a_failure_shows_one_line_its_remedy_and_where_the_rest_is(ledger: Ledger) -> None:
    _queue(ledger, "bad\x1b[31m.mkv")
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="fast")
    ledger.fail(job, error="ProcessingError", reason="ffmpeg ended with status 1:\nline\tone\nline two", remedy="cure")
    state = _state(ledger)
    assert state["failed"][0]["reason"] == "ffmpeg ended with status 1"
    assert state["failed"][0]["details"] == [r"line\tone", "line two"]
    assert render(state).splitlines()[-3:] == [
        r"      1  /in/bad\x1b[31m.mkv",
        "         ffmpeg ended with status 1 (more in /state/logs/job-1.log)",
        "         → cure; then: kakudai retry 1",
    ]


def test_a_long_queue_is_cut_and_counted(ledger: Ledger) -> None:
    _queue(ledger, *(f"{number}.png" for number in range(30)))
    page = render(_state(ledger, settling=3))
    assert "Queue (10 of 30 shown)" in page
    assert "3 more seen, not finished yet." in page
    assert page.count(".png") == 10


def test_what_waits_says_why(ledger: Ledger) -> None:
    _queue(ledger, "a.png", folder=Path("/gone"))
    state = _state(ledger, waiting={INBOX: ("disk full", "free space")})
    page = render(state)
    assert "Waiting: /in\n         disk full\n         → free space" in page
    assert "Waiting: /gone\n         1 queued, but the folder is not in the configuration" in page
    assert headline(state) == "waiting, 1 queued"


def test_an_empty_service_says_so(ledger: Ledger) -> None:
    state = _state(ledger, service_runs=False)
    assert render(state) == "Kakudai is not running.\nJobs: none yet."
    assert headline(state) == "idle"


def test_the_running_job_shows_frames_speed_and_the_time_left(ledger: Ledger) -> None:
    _queue(ledger, "a.mkv")
    state = _state(ledger)
    state["running"] = {
        "job": 1,
        "source": "/in/a.mkv",
        "stage": "enlarge",
        "done": 120,
        "total": 480,
        "unit": "frames",
        "per_second": 6.0,
        "eta_s": 60.0,
        "stages": {"decode": 0.1, "network": 0.98},
        "bottleneck": "network",
        "reused_share": 0.641,
        "source_size": "640x480",
        "output_size": "1280x960",
        "seconds": 20.0,
    }
    page = render(state)
    assert "enlarge: 120/480 frames 25%, 6 frames/s, 1m 00s left, 64% reused, held back by network" in page
    assert "640x480 → 1280x960, for 20s" in page
    assert headline(state) == "enlarging a.mkv 25%, 1 queued"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m 00s"), (7325, "2h 02m"), (90_000, "1d 1h"), (-3, "0s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_no_name_can_write_on_the_terminal() -> None:
    assert printable("拡大 [1080p].mkv") == "拡大 [1080p].mkv"
    assert printable("a\nb\x1b[2J\u202egnp.exe") == r"a\nb\x1b[2J\u202egnp.exe"
    assert printable(b"\xff.png") == r"\udcff.png"
