"""The ledger: what is queued once stays once, every transition is whole, deaths use no attempt."""

from __future__ import annotations

import dataclasses
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.job import Found, Identity, Job, signed
from daemon.ledger import CANCELLED, LARGEST_INTERRUPTIONS, Judged, Ledger
from daemon.ledger_queries import Paused
from daemon.ledger_schema import MIGRATIONS
from engine.errors import EnvironmentFault, ProcessingError, ToolError

INBOX = Path("/inbox")


def _found(name: str = "a.png", *, inode: int = 1, size: int = 10, mtime_ns: int = 5) -> Found:
    return Found(INBOX, INBOX / name, "file", Identity(inode, 1, size, mtime_ns))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def _next(ledger: Ledger) -> Job:
    job = ledger.next_queued(folders=[INBOX])
    assert job is not None
    return job


def _started(ledger: Ledger) -> Job:
    job = _next(ledger)
    ledger.start(job, profile="fast")
    return job


def _verifying(ledger: Ledger) -> Job:
    job = _started(ledger)
    ledger.planned(job, sha256="s", fingerprint="f", wanted=Path("/out/a"), part=Path("/out/.a.1.part"))
    ledger.verifying(job, output=Path("/out/a"), part_inode=3, part_size=4, part_sha256="p", report="{}")
    return job


def test_a_file_is_queued_once_and_a_changed_one_again(ledger: Ledger) -> None:
    assert len(ledger.queue([_found(), _found(), _found("b.png")])) == 2
    assert ledger.queue([_found()]) == []
    assert ledger.known(INBOX / "a.png", _found().identity)
    assert not ledger.known(INBOX / "a.png", _found(size=11).identity)
    assert len(ledger.queue([_found(size=11), _found(mtime_ns=6), _found(inode=2)])) == 3
    assert ledger.counts() == {"queued": 5}


def test_the_queue_is_first_in_first_out_and_leaves_paused_folders_out(ledger: Ledger) -> None:
    other = Found(Path("/other"), Path("/other/x.png"), "file", Identity(9, 1, 1, 1))
    ledger.queue([_found("b.png"), other, _found("a.png")])
    assert _next(ledger).source == INBOX / "b.png"
    found = ledger.next_queued(folders=[Path("/other")])
    assert found is not None
    assert found.source == Path("/other/x.png")
    assert ledger.next_queued(folders=[INBOX], not_jobs=[1, 3]) is None
    assert ledger.next_queued(folders=[]) is None
    assert ledger.queued_by_folder() == {INBOX: 2, Path("/other"): 1}


def test_names_need_not_be_text_and_inodes_may_be_huge(ledger: Ledger) -> None:
    odd = _found("new\nline\udcff'%d.png", inode=signed(2**64 - 1), size=2**40, mtime_ns=-1)
    ledger.queue([odd])
    job = _next(ledger)
    assert (job.source, job.identity) == (odd.path, odd.identity)


def test_a_delivery_passes_through_every_state(ledger: Ledger) -> None:
    ledger.queue([_found()])
    job = _verifying(ledger)
    ledger.rename_output(job, Path("/out/a (2)"))
    ledger.delivered(job, original="pending")
    (done,) = ledger.jobs("delivered")
    assert (done.output, done.part, done.report) == (Path("/out/a (2)"), None, "{}")
    assert [pending.id for pending in ledger.originals_pending()] == [job.id]
    ledger.original_done(done, "moved")
    assert ledger.originals_pending() == []
    twin = ledger.delivered_twin(dataclasses.replace(job, id=99), sha256="s", fingerprint="f", wanted=Path("/out/a"))
    assert twin is not None
    assert (
        ledger.delivered_twin(dataclasses.replace(job, id=99), sha256="s", fingerprint="g", wanted=Path("/out/a"))
        is None
    )


def test_a_transition_from_the_wrong_state_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    ledger.queue([_found()])
    job = _next(ledger)
    with pytest.raises(ProcessingError):
        ledger.delivered(job, original="kept")
    with pytest.raises(ProcessingError):
        ledger.fail(job, error="e", reason="r", remedy="m")
    with pytest.raises(ProcessingError):
        ledger.planned(job, sha256="", fingerprint="", wanted=Path("/w"), part=Path("/p"))
    assert ledger.counts() == {"queued": 1}


def test_failed_attempts_go_behind_and_are_counted_pauses_are_not(ledger: Ledger) -> None:
    ledger.queue([_found("a.png"), _found("b.png")])
    first = _started(ledger)
    ledger.requeue(first, outcome="paused", reason="disk full", remedy="free space")
    assert (_next(ledger).id, _next(ledger).failures) == (first.id, 0)
    first = _started(ledger)
    ledger.requeue(first, outcome="failed", reason="crashed", remedy="r")
    assert _next(ledger).source == INBOX / "b.png"
    again = ledger.job(first.id)
    assert again is not None
    assert (again.failures, again.reason) == (1, "crashed")


def test_deaths_of_the_service_use_no_attempt_but_ten_in_a_row_end_the_job(tmp_path: Path) -> None:
    for death in range(LARGEST_INTERRUPTIONS):
        ledger = Ledger(tmp_path / "ledger.db")
        ledger.recover()
        if death == 0:
            ledger.queue([_found()])
        assert _started(ledger).failures == 0
        ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.recover()
    (failed,) = ledger.jobs("failed")
    assert "died 10 times" in (failed.reason or "")
    assert failed.failures == 0
    ledger.close()


def test_an_interrupted_job_goes_behind_the_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.queue([_found("a.png"), _found("b.png")])
    _started(ledger)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert [job.source for job in ledger.recover()] == [INBOX / "a.png"]
    assert [job.source.name for job in ledger.jobs("queued")] == ["b.png", "a.png"]
    ledger.close()


def test_a_superseded_file_can_be_queued_anew_but_not_retried(ledger: Ledger) -> None:
    ledger.queue([_found()])
    job = _started(ledger)
    ledger.skip(job, "changed", superseded=True)
    assert not ledger.known(INBOX / "a.png", _found().identity)
    assert ledger.retry([job.id]) == Judged([], {job.id: "its file has left or changed since"})
    assert len(ledger.queue([_found()])) == 1


def test_retry_takes_what_has_ended_and_says_why_not(ledger: Ledger) -> None:
    ledger.queue([_found("a.png"), _found("b.png")])
    failed = _started(ledger)
    ledger.fail(failed, error="InputError", reason="r", remedy="m")
    assert ledger.retry([failed.id, 2, 77]) == Judged([failed.id], {2: "it is queued", 77: "there is no such job"})
    again = ledger.job(failed.id)
    assert again is not None
    assert (again.state, again.failures, again.reason) == ("queued", 0, None)
    assert ledger.retry(None) == Judged([], {})


def test_a_higher_priority_comes_first_and_the_front_before_all(ledger: Ledger) -> None:
    ledger.queue([_found(f"{number}.png") for number in range(1, 5)])
    assert ledger.prioritise([3, 3, 9], 5) == Judged([3], {9: "there is no such job"})
    assert ledger.prioritise([1], -1).jobs == [1]
    assert [job.id for job in ledger.jobs("queued")] == [3, 2, 4, 1]
    assert ledger.move_to_front([4, 1]).jobs == [4, 1]
    assert [job.id for job in ledger.jobs("queued")] == [4, 1, 3, 2]
    ledger.requeue(_started(ledger), outcome="failed", reason="r", remedy="m")
    assert [job.id for job in ledger.jobs("queued")] == [1, 3, 4, 2]  # behind the others of its priority
    assert _next(ledger).priority == 5


def test_a_folder_gives_its_jobs_a_priority(ledger: Ledger) -> None:
    ledger.queue([_found("a.png"), dataclasses.replace(_found("b.png"), priority=3)])
    assert _next(ledger).source.name == "b.png"


def test_what_is_held_is_left_out_and_its_neighbours_are_not(ledger: Ledger) -> None:
    ledger.queue([_found(name) for name in ("a/1.png", "a/b/2.png", "ab.png", "a0.png", "z.png")])
    left: list[int] = []
    while job := ledger.next_queued(folders=[INBOX], not_below=[INBOX / "a"], not_jobs=left):
        left.append(job.id)
    assert left == [3, 4, 5]
    assert ledger.next_queued(folders=[INBOX], not_below=[INBOX]) is None
    held = ledger.next_queued(folders=[INBOX], not_below=[INBOX / "a" / "b", Path("/other")])
    assert held is not None
    assert held.id == 1


def test_cancelled_jobs_are_skipped_until_retried(ledger: Ledger) -> None:
    ledger.queue([_found("a.png"), _found("b.png"), _found("c.png")])
    running = _started(ledger)
    assert ledger.cancel([1, 2, 4]) == Judged([1, 2], {4: "there is no such job"})
    assert {(job.id, job.reason) for job in ledger.jobs("skipped")} == {(1, CANCELLED), (2, CANCELLED)}
    assert ledger.cancel([1]).refused == {1: "it is skipped"}
    assert ledger.known(INBOX / "a.png", _found().identity)
    assert ledger.retry([running.id]).jobs == [running.id]
    assert [job.id for job in ledger.jobs("queued")] == [3, 1]


def test_a_retry_gives_an_incomplete_file_all_its_looks_again(ledger: Ledger) -> None:
    ledger.queue([_found()])
    for looks in range(3):
        job = _started(ledger)
        assert job.looks == looks
        ledger.incomplete(job, error="IncompleteInputError", reason="ends in zeros", remedy="copy it again")
        ledger.look_again(job)
    ledger.requeue(_started(ledger), outcome="failed")
    job = _started(ledger)
    assert job.looks == 3, "other failures are counted apart"
    ledger.fail(job, error="IncompleteInputError", reason="ends in zeros", remedy="copy it again")
    assert ledger.retry(None).jobs == [job.id]
    assert _started(ledger).looks == 0


def test_an_older_ledger_knows_how_often_it_looked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (*(statement for step in MIGRATIONS[:4] for statement in step), "PRAGMA user_version = 4"):
        connection.execute(statement)
    for number, state in enumerate(("incomplete", "queued", "failed"), start=1):
        connection.execute(
            "INSERT INTO jobs (folder, source, kind, inode, device, size, mtime_ns, state, position, failures, "
            "created, changed) VALUES (?, ?, 'file', 1, 1, 1, 1, ?, 1, 1, 0, 0)",
            (bytes(INBOX), b"%d" % number, state),
        )
        for attempt in range(1, 4):
            connection.execute("INSERT INTO attempts VALUES (?, ?, 0, 1, 'failed', NULL)", (number, attempt))
    connection.close()
    ledger = Ledger(path)
    assert {job.state: job.looks for job in ledger.jobs("incomplete", "queued", "failed")} == {
        "incomplete": 2,
        "queued": 2,
        "failed": 0,
    }
    ledger.close()


def test_a_pause_outlives_the_service_and_keeps_its_beginning(tmp_path: Path) -> None:
    moments = iter([10.0, 20.0])
    ledger = Ledger(tmp_path / "ledger.db", now=lambda: next(moments))
    ledger.pause("gaming")
    ledger.pause("sleeping")
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.paused() == Paused("sleeping", 10.0)
    ledger.resume()
    ledger.resume()
    assert ledger.paused() is None
    ledger.close()


def test_a_better_copy_ends_an_earlier_failure(ledger: Ledger) -> None:
    ledger.queue([_found("a.png"), _found("b.png")])
    for _ in range(2):
        ledger.fail(_started(ledger), error="InputError", reason="damaged", remedy="copy it again")
    ledger.queue([_found("a.png", size=11)])
    assert [job.source.name for job in ledger.jobs("failed")] == ["b.png"]
    (over,) = ledger.jobs("skipped")
    assert over.reason == "a newer file took its place"
    ledger.queue([_found("b.png")])
    assert ledger.counts() == {"failed": 1, "skipped": 1, "queued": 1}


def test_leftover_parts_are_named_until_they_are_forgotten(ledger: Ledger) -> None:
    ledger.queue([_found()])
    job = _started(ledger)
    ledger.planned(job, sha256="s", fingerprint="f", wanted=Path("/out/a"), part=Path("/out/.a.1.part"))
    assert ledger.leftover_parts() == []
    ledger.fail(job, error="e", reason="r", remedy="m")
    (left,) = ledger.leftover_parts()
    assert left.part == Path("/out/.a.1.part")
    ledger.forget_part(left)
    assert ledger.leftover_parts() == []


def test_a_newer_ledger_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ToolError, match="newer Kakudai"):
        Ledger(path)


def test_a_damaged_ledger_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(ToolError, match="damaged"):
        Ledger(path)


def test_a_second_owner_is_kept_out(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.store._BUSY_S", 0.05)
    ledger.queue([_found()])
    with pytest.raises(EnvironmentFault, match="locked"):
        Ledger(ledger.path)


STEPS = ["queue", "start", "fail", "fail for good", "pause", "deliver", "die", "retry", "cancel", "front", "leave"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=40))
def test_whatever_happens_no_job_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    ledger = Ledger(path)
    names = 0
    for step in steps:
        running = ledger.jobs("running")
        if step == "queue":
            names += 1
            ledger.queue([_found(f"{names}.png", inode=names), _found("1.png", inode=1)])
            names = max(names, 1)
        elif step == "start" and not running and ledger.next_queued(folders=[INBOX]):
            _started(ledger)
        elif step == "fail" and running:
            ledger.requeue(running[0], outcome="failed", reason="r", remedy="m")
        elif step == "fail for good" and running:
            ledger.fail(running[0], error="InputError", reason="r", remedy="m")
        elif step == "cancel":
            ledger.cancel([job.id for job in (*running, *ledger.jobs("queued", limit=1))])
        elif step == "front":
            last = [job.id for job in ledger.jobs("queued")[-1:]]
            ledger.move_to_front(last)
            assert [job.id for job in ledger.jobs("queued", limit=1)] == last
        elif step == "leave":
            ledger.let_go([INBOX / "1.png"])
        elif step == "pause" and running:
            ledger.requeue(running[0], outcome="paused")
        elif step == "deliver" and running:
            ledger.planned(running[0], sha256="s", fingerprint="f", wanted=Path("/o"), part=Path("/p"))
            ledger.verifying(running[0], output=Path("/o"), part_inode=1, part_size=1, part_sha256="", report="")
            ledger.delivered(running[0], original="kept")
        elif step == "die":
            ledger.close()
            ledger = Ledger(path)
            ledger.recover()
            assert ledger.jobs("running") == []
        elif step == "retry":
            ledger.retry(None)
    jobs = ledger.jobs("queued", "running", "verifying", "delivered", "failed", "skipped")
    assert ledger.counts() == Counter(job.state for job in jobs)
    assert {job.source.name for job in jobs} == {f"{name}.png" for name in range(1, names + 1)}
    assert max(Counter(job.source for job in jobs if not job.superseded).values(), default=1) == 1
    assert max(Counter(job.source for job in jobs if job.state == "delivered").values(), default=1) == 1
    assert all(job.state == "skipped" for job in jobs if job.superseded)
    assert len(ledger.jobs("running")) <= 1
    ledger.close()


def test_the_counts_are_those_of_the_rows_and_an_older_ledger_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (*MIGRATIONS[0], "PRAGMA user_version = 1"):
        connection.execute(statement)
    for number, state in enumerate(("queued", "queued", "failed")):
        connection.execute(
            "INSERT INTO jobs (folder, source, kind, inode, device, size, mtime_ns, state, position, created, changed) "
            "VALUES (?, ?, 'file', 1, 1, 1, 1, ?, 1, 0, 0)",
            (bytes(INBOX), b"%d" % number, state),
        )
    connection.close()
    ledger = Ledger(path)
    assert ledger.counts() == {"queued": 2, "failed": 1}
    assert ledger.queued_by_folder() == {INBOX: 2}
    ledger.queue([_found("x"), _found("x"), Found(Path("/other"), Path("/other/x"), "file", Identity(9, 1, 1, 1))])
    ledger.forget(ledger.jobs("failed"))
    assert ledger.counts() == {"queued": 4}
    assert ledger.queued_by_folder() == {INBOX: 3, Path("/other"): 1}
    ledger.close()


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_no_burden(ledger: Ledger) -> None:
    """Each takes about 4 ms where the disk syncs in 3; here it may take ten times as long, since others work too."""
    ledger.queue(_found(f"{number}.png", inode=number) for number in range(100_000))

    def typical(act: Callable[[], object]) -> float:
        seconds = []
        for _ in range(21):
            began = time.perf_counter()
            act()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)

    claimed: list[Job] = []
    assert typical(lambda: claimed.append(_started(ledger))) < 0.05
    for job in claimed:
        ledger.planned(job, sha256="s", fingerprint="f", wanted=Path("/out/a"), part=Path("/out/.a.1.part"))
        ledger.verifying(job, output=Path("/out/a"), part_inode=3, part_size=4, part_sha256="p", report="{}")
    left = iter(claimed)
    assert typical(lambda: ledger.delivered(next(left), original="kept")) < 0.05
    assert typical(lambda: ledger.jobs("queued", limit=10)) < 0.01
    assert typical(lambda: ledger.jobs("delivered", limit=10, newest_first=True)) < 0.01
    assert typical(ledger.counts) < 0.01
    assert typical(ledger.queued_by_folder) < 0.01
