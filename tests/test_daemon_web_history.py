"""Ten thousand jobs in the history, a thousand in the queue: the page stays quick and small."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.history import ENDED, History, Mark
from daemon.ledger import Ledger
from daemon.store import Store
from engine.errors import UsageError
from tests.service_runner import ServiceRunner
from tests.test_daemon_web import WEB, client_of
from tests.web_client import WebClient

ENDED_JOBS, QUEUED_JOBS = 10_000, 1_000
LONGEST_S, LARGEST = 0.2, 300_000
REPORT = json.dumps(
    {
        "frames": 34_095,
        "source_size": "640x480",
        "output_size": "1440x1080",
        "seconds": 900.0,
        "details": {"timestamps": list(range(300))},
    }
)


def fill(state_dir: Path, inbox: Path) -> None:
    """A ledger as years of work leave it; three in a hundred failed."""
    state_dir.mkdir(parents=True, exist_ok=True)
    Ledger(state_dir / "ledger.db").close()
    now = time.time()
    connection = sqlite3.connect(state_dir / "ledger.db")
    columns = "folder, source, kind, inode, device, size, mtime_ns, state, position, reason, remedy, output, report"
    statement = f"INSERT INTO jobs ({columns}, original, created, changed) VALUES ({', '.join('?' * 16)})"
    with connection:
        for number in range(ENDED_JOBS + QUEUED_JOBS):
            state = "queued" if number >= ENDED_JOBS else "failed" if number % 100 < 3 else "delivered"
            source = inbox / f"Series {number // 26}" / f"Series {number // 26} - {number % 26:02} [DVD][A1B2C3D4].mkv"
            why = (
                ("the file is damaged or incomplete", "compare it with its source")
                if state == "failed"
                else (None, None)
            )
            done = (os.fsencode(source), REPORT, "kept") if state == "delivered" else (None, None, None)
            connection.execute(
                statement,
                (os.fsencode(inbox), os.fsencode(source), "file", number, 1, 1, 1, state, number, *why, *done)
                + (now - 99_999, now - 50_000 + number // 3),  # younger than what retention drops
            )
    connection.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebClient]:
    with ServiceRunner(tmp_path_factory.mktemp("history"), WEB.replace("rescan_s: 1", "rescan_s: 600")) as service:
        fill(service.base / "state", service.base / "elsewhere")  # not watched: nothing of it is worked on
        service.start()
        yield client_of(service)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/history",
        "/history?state=failed",
        "/history?search=series+7+",
        "/history?search=nothing+has+this",
        "/queue?page=19",
        "/jobs/1",
        "/api/v1/status",
        "/api/v1/history?limit=200",
        "/metrics",
    ],
)
def test_every_page_answers_quickly_and_is_small(web: WebClient, path: str) -> None:
    web.enter()
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        answer = web.get(path)
        seconds.append(time.monotonic() - began)
        assert answer.status == 200
        assert len(answer.body) < LARGEST
    assert min(seconds) < LONGEST_S


def test_the_pages_of_the_history_hold_every_job_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, tmp_path / "in")
    store = Store(tmp_path / "ledger.db")
    history = History(store)
    seen: list[int] = []
    mark = None
    while jobs := history.latest(ENDED, limit=997, after=mark):
        seen += [job.id for job in jobs]
        mark = Mark.from_text(str(Mark(jobs[-1].changed, jobs[-1].id)))
    assert len(seen) == ENDED_JOBS
    assert len(set(seen)) == ENDED_JOBS
    assert seen == sorted(seen, reverse=True)
    assert all(job.report is None for job in history.latest(["delivered"], limit=3))
    assert len(history.latest(ENDED, limit=99, search="SERIES 7 - 0")) == 10
    monkeypatch.setattr("daemon.history.LONGEST_S", 0.0)
    with pytest.raises(UsageError, match="takes too long"):
        history.latest(ENDED, limit=99, search="nothing has this")
    assert store.rows("SELECT count(*) FROM jobs") == [(ENDED_JOBS + QUEUED_JOBS,)], "only that question was given up"
    store.close()
