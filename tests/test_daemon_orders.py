"""Pause, resume, cancel, priority: of a service that runs, and of one that does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daemon.cli import main
from daemon.control import ask
from daemon.job import Found, Identity
from daemon.ledger import Ledger
from daemon.orders import Orders
from tests.faults.episodes import SLOW_WORK, long_episode, report_of
from tests.service_runner import CONFIG, ServiceRunner, eventually, write_picture

NONSENSE: list[dict[str, Any]] = [
    {},
    {"do": "sing"},
    {"do": ["pause"]},
    {"do": "cancel"},
    {"do": "cancel", "jobs": []},
    {"do": "cancel", "jobs": ["1"]},
    {"do": "cancel", "jobs": [True]},
    {"do": "front", "jobs": [1 << 70]},
    {"do": "priority", "jobs": [1]},
    {"do": "priority", "jobs": [1], "priority": 1 << 40},
    {"do": "retry", "jobs": 7},
]


_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=30)
    | st.sampled_from(["failed", "delivered", "1", "1.5-1", 1 << 63, -1])
)
_VALUES = st.recursive(
    _LEAVES, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=5), of, max_size=2)
)
_ASKED = ("rates", "pause", "resume", "cancel", "priority", "front", "retry", "queue", "history", "job")
_FIELDS = ("jobs", "job", "priority", "reason", "first", "limit", "states", "search", "after")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    ledger = Ledger(tmp_path_factory.mktemp("orders") / "ledger.db")
    ledger.queue([Found(Path("/in"), Path(f"/in/{name}.png"), "file", Identity(1, 1, 1, 1)) for name in "abc"])
    ledger.cancel([1])
    yield Orders(ledger, snapshot=dict)
    ledger.close()


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    st.fixed_dictionaries(
        {"do": st.sampled_from(_ASKED) | _VALUES}, optional=dict.fromkeys(_FIELDS, st.integers(0, 3) | _VALUES)
    )
)
def test_whatever_is_asked_is_answered(orders: Orders, asked: dict[str, Any]) -> None:
    """By JSON: what it raised would end the service."""
    json.dumps(orders.answer(json.loads(json.dumps(asked))))


def _order(service: ServiceRunner, **request: Any) -> dict[str, Any]:
    answer = ask(service.base / "state", request)
    assert answer is not None
    return answer


def test_paused_work_waits_across_a_restart_and_new_files_are_queued(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        paused = _order(service, do="pause", reason="line\nbreak")["paused"]
        assert paused["reason"] == r"line\nbreak"
        write_picture(service.inbox / "cel.png")
        service.wait_for(queued=1)
        assert service.stop() == 0
        service.start()
        status = service.status()
        assert (status["halt"]["by"], status["halt"]["since"]) == ("user", paused["since"])
        assert status["counts"] == {"queued": 1}
        assert _order(service, do="resume") == {"paused": None}
        service.wait_for(delivered=1)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["order", "file"])
def test_a_pause_lets_the_segment_end_and_costs_neither_place_nor_attempt(tmp_path: Path, by: str) -> None:
    with ServiceRunner(tmp_path, SLOW_WORK) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        write_picture(service.inbox / "z.png")
        eventually(lambda: (service.status()["running"] or {}).get("done", 0) > 10)
        service.wait_for(queued=1)
        pause = service.inbox / ".pause"
        _order(service, do="pause") if by == "order" else pause.touch()
        status = service.status()
        assert by == "file" or status["running"] is None or status["running"]["draining"]
        status = service.wait_for(queued=2)
        assert len(list((tmp_path / "state/work/1/segments").glob("segment_*.mkv"))) >= 1
        assert [(job["job"], job["failures"]) for job in status["queued"]] == [(1, 0), (2, 0)]
        _order(service, do="cancel", jobs=[2])
        pause.unlink() if by == "file" else _order(service, do="resume")
        service.wait_for(delivered=1)
        assert report_of(service)["details"]["segments_reused"] >= 1


def test_cancelling_ends_the_running_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path, SLOW_WORK) as service:
        long_episode(service.inbox / "Show.mkv")
        service.start()
        eventually(lambda: (service.status()["running"] or {}).get("done"))
        process = service.status()["running"]["pid"]
        write_picture(service.inbox / "z.png")
        service.wait_for(queued=1)
        assert _order(service, do="cancel", jobs=[1, 7]) == {"jobs": [1], "refused": {"7": "there is no such job"}}
        assert not Path(f"/proc/{process}").exists()
        status = service.wait_for(delivered=1, skipped=1)
        assert status["skipped"][0]["reason"] == "cancelled"
        assert service.delivered() == ["z [64p].png"]
        assert not (tmp_path / "state/work/1").exists()
        assert (service.inbox / "Show.mkv").exists()
        assert _order(service, do="retry", jobs=[1])["jobs"] == [1]
        eventually(lambda: service.status()["running"])


def test_nonsense_is_answered_with_a_remedy(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path).start() as service:
        for request in NONSENSE:
            answer = _order(service, **request)
            assert answer["error"], request
            assert answer["remedy"], request


@pytest.mark.parametrize("runs", [True, False])
def test_the_commands_work_with_the_service_and_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runs: bool
) -> None:
    with ServiceRunner(tmp_path, CONFIG.replace("settle_s: 0.2", "settle_s: 0.1")).start() as service:
        with_config = ["--config", str(service.config)]
        assert main(["pause", *with_config, "--reason", "gaming"]) == 0
        for name in ("a.png", "b.png", "c.png"):
            write_picture(service.inbox / name, seed=ord(name[0]))
        service.wait_for(queued=3)
        if not runs:
            service.stop()
        assert main(["priority", *with_config, "2", "-5"]) == 0
        assert main(["priority", *with_config, "3", "front"]) == 0
        assert main(["cancel", *with_config, "1", "9"]) == 64
        told = capsys.readouterr()
        assert told.out.splitlines() == [
            "all work is paused: gaming; kakudai resume lets it go on",
            "job 2: moved",
            "job 3: moved",
            "job 1: cancelled",
        ]
        assert told.err == "job 9: not cancelled: there is no such job\n"
        assert main(["status", *with_config]) == 0
        page = capsys.readouterr().out
        assert "All work is paused: gaming" in page
        assert "(priority -5)" in page
        assert main(["status", "--json", *with_config]) == 0
        assert [job["job"] for job in json.loads(capsys.readouterr().out)["queued"]] == [3, 2]
        assert main(["resume", *with_config]) == 0
        assert capsys.readouterr().out == "work goes on\n"
        if not runs:
            service.start()
        service.wait_for(delivered=2, skipped=1)


def test_no_priority_but_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="64"):
        main(["priority", "1", "high"])
    assert '"high" is neither a whole number nor front' in capsys.readouterr().err
