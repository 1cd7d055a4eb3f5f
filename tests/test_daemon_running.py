"""What a job's process says is not trusted: hostile input may have taken it over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from daemon.child import JobProcess, end_orphans
from daemon.config_model import Config, Folder
from daemon.job import Identity, Job
from daemon.ledger import Ledger
from daemon.outcome import Failed
from daemon.request import Request, settings_from_plain, settings_to_plain
from daemon.running import Running
from daemon.worker import Worker
from engine.parse_settings import parse_encoder
from engine.settings import Container, Denoise, Interpolation, Mode, Settings, Size

SOURCE = Path("/in/a.png")


def _running(process: JobProcess) -> Running:
    identity = Identity(1, 1, 1, 1)
    empty: dict[str, Any] = dict.fromkeys(
        ("profile", "wanted", "part", "part_inode", "part_size", "part_sha256", "output", "original", "error")
        + ("reason", "remedy", "report")
    )
    job = Job(7, Path("/in"), SOURCE, "file", identity, False, "running", 0, 0, **empty, created=0, changed=0)
    folder = Folder(Path("/in"), Path("/out"), "fast", Settings())
    return Running(job, folder, process, work_dir=Path("/work"), clock=lambda: 0.0)


class _Says(JobProcess):
    """A process of which only the pipe is real."""

    def __init__(self, said: bytes) -> None:
        self._buffer = bytearray()
        self.fd, self._end = os.pipe2(os.O_NONBLOCK)
        os.write(self._end, said)
        self.killed = False

    @property
    def pid(self) -> int:
        return os.getpid()

    def kill(self) -> None:
        self.killed = True

    def terminate(self) -> None:
        pass

    def trim_log(self) -> None:
        pass

    def exit_status(self) -> int | None:
        return -9 if self.killed else None

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._end)


DONE = (
    b'{"event": "done", "output_name": "%s", "inode": 1, "size": 1, "sha256": "'
    + b"0f" * 32
    + b'", "report": {"details": {}, "frames": 1, "seconds": 0.5, "source_size": "1x1", "output_size": "2x2", '
    b'"source": {"sha256": "0"}, "output": {"sha256": "0", "size": 1}}}\n'
)
SEGMENT = b'{"event": "segment", "key": "k", "index": 0, "first_frame": 0, "frames": 2, "bytes": 3, "sha256": "s"}\n'
PLANNED = (
    b'{"event": "planned", "kind": "episode", "sha256": "' + b"0f" * 32 + b'", "output_name": "x.mkv", '
    b'"output_is_folder": false, "frames": 2, "segment_frames": 2, "source_size": "1x1", "output_size": "2x2", '
    b'"work_bytes": 1, "output_bytes": 1}\n'
)
PROGRESS = (
    b'{"event": "progress", "stage": "enlarge", "done": 3, "total": 9, "unit": "frames", '
    b'"stages": {"decode": 0.5}, "bottleneck": "decode", "reused_share": 0.25}\n'
)


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\n",
        b"[1]\n",
        b"7\n",
        b"\xff\n",
        b"{}\n",
        b'{"event": "progress"}\n',
        b'{"event": "progress", "stage": 1, "done": "x", "total": null, "unit": ""}\n',
        PROGRESS.replace(b"0.5", b'"half"'),
        PROGRESS.replace(b"0.25", b"NaN"),
        b'{"event": "planned"}\n',
        DONE.replace(b'"inode": 1', b'"inode": [1]') % b"a.png",
        DONE.replace(b'"inode": 1', b'"inode": 99999999999999999999') % b"a.png",
        DONE.replace(b'"details": {}', b'"details": 5') % b"a.png",
        DONE.replace(b'"details": {}', b'"details": {"seconds": {"mux": "long"}}') % b"a.png",
        DONE.replace(b'"details": {}', b'"details": {"stage_seconds": [1]}') % b"a.png",
        DONE.replace(b'"details": {}', b'"details": {"warnings": 7}') % b"a.png",
        DONE.replace(b'"frames": 1', b'"frames": "all"') % b"a.png",
        DONE.replace(b'"frames": 1', b'"frames": 1e999') % b"a.png",
        DONE.replace(b'"seconds": 0.5', b'"seconds": null') % b"a.png",
        DONE.replace(b'"output": {', b'"outputs": {') % b"a.png",
        DONE.replace(b'"2x2"', b'["2x2"]') % b"a.png",
        b'{"event": "done"}\n',
        SEGMENT.replace(b'"frames": 2', b'"frames": Infinity'),
        PLANNED.replace(b'"work_bytes": 1', b'"work_bytes": 1' + b"0" * 4000),
        PLANNED.replace(b'"x.mkv"', b'"' + b"x" * 20_000 + b'"'),
        DONE % b"../../etc/passwd",
        DONE % b"..",
        DONE % b"",
        DONE % b"\\ud800.png",  # no file system has such a name
        DONE.replace(b"0f0f", b"\\ud800") % b"a.png",
        b"[" * 60_000 + b"\n",
    ],
)
def test_a_process_that_talks_nonsense_is_killed_and_its_job_failed(said: bytes) -> None:
    process = _Says(said)
    running = _running(process)
    running.hear()
    assert process.killed
    outcome = running.verdict()
    assert isinstance(outcome, Failed)
    assert not outcome.is_final
    process.close()


@pytest.mark.parametrize("said", [DONE % b"a.png", SEGMENT, PLANNED, PROGRESS])
def test_a_process_that_talks_sense_is_believed(said: bytes) -> None:
    process = _Says(said)
    _running(process).hear()
    assert not process.killed
    process.close()


def test_what_a_delivery_lacks_is_noted() -> None:
    details = b'{"damage": ["a hole"], "leading_pictures_dropped": 2, "warnings": ["w"], "differences": ["d"]}'
    process = _Says(DONE.replace(b'"details": {}', b'"details": ' + details) % b"a.png")
    running = _running(process)
    running.hear()
    assert list(running.notes) == [
        "damage accepted: a hole",
        "2 frames at its start, which lean on others that are not there, are left out as in players",
        "w",
        "d",
    ]
    process.close()


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "..", ".", "", "a\0b"])
def test_a_planned_name_leads_nowhere_else(name: str) -> None:
    process = _Says(b"")
    assert isinstance(_running(process).place_for({"output_name": name, "sha256": ""}), Failed)
    process.close()


def test_what_a_failure_says_fits_a_ledger_and_a_log() -> None:
    """Names in a reason hold what no UTF-8 has: from Linux, or from whoever has taken the process over."""
    process = _Says(
        b'{"event": "failed", "error": "InputError", "reason": "\\udcff\\u001b[2J: bad\\nline", "remedy": "r"}\n'
    )
    running = _running(process)
    running.hear()
    assert running.outcome == Failed("InputError", "\\udcff\\x1b[2J: bad\nline", "r")
    process.close()


def test_what_holds_the_job_back_is_passed_on() -> None:
    process = _Says(PROGRESS)
    running = _running(process)
    running.hear()
    status = running.status()
    assert (status["stages"], status["bottleneck"], status["reused_share"]) == ({"decode": 0.5}, "decode", 0.25)
    process.close()


def test_one_that_beats_but_gets_nowhere_is_ended() -> None:
    process, now = _Says(PROGRESS), [0.0]
    running = _running(process)
    running._clock = lambda: now[0]
    for now[0] in (0.0, 3000.0, 3590.0):
        os.write(process._end, b'{"event": "beat"}\n')
        running.hear()
        assert running.verdict() is None
    now[0] = 3601.0
    os.write(process._end, b'{"event": "beat"}\n' + PROGRESS)
    running.hear()
    outcome = running.verdict()
    assert isinstance(outcome, Failed)
    assert "no progress for 1h 00m" in outcome.reason
    assert not outcome.is_final
    process.close()


def test_one_whose_places_do_not_answer_is_excused() -> None:
    process, now = _Says(PROGRESS), [0.0]
    running = _running(process)
    running._clock = lambda: now[0]
    running.hear()
    for now[0] in (3000.0, 6000.0):
        running.excuse()
    now[0] = 6001.0
    os.write(process._end, b'{"event": "beat"}\n')
    running.hear()
    assert running.verdict() is None
    died, refused = Failed("ProcessingError", "hung", "r"), Failed("InputError", "damaged", "r")
    assert died.after_silence().is_fault(running.job)
    assert refused.after_silence() == refused
    process.close()


PLANNED = (
    b'{"event": "planned", "kind": "episode", "sha256": "'
    + b"0" * 64
    + b'", "output_name": "a.mkv", "output_is_folder": false, '
    b'"frames": 500, "segment_frames": %d, "source_size": "", "output_size": "", "work_bytes": 1, "output_bytes": 1}\n'
)


def _progress(done: int, stage: str = "enlarge") -> bytes:
    return json.dumps({**json.loads(PROGRESS), "stage": stage, "done": done, "total": 500}).encode() + b"\n"


@pytest.mark.parametrize(
    ("each", "done", "stage", "expected"),
    [
        (100, 130, "enlarge", 70 / 13),
        (400, 410, "enlarge", 90 / 41),  # the last segment is a short one
        (100, 130, "mux", None),
        (0, 130, "enlarge", None),
        (-5, 130, "enlarge", None),
        (100, -130, "enlarge", None),
    ],
)
def test_how_far_it_is_from_where_its_work_is_safe(each: int, done: int, stage: str, expected: float | None) -> None:
    process, now = _Says(PLANNED % each + _progress(0)), [0.0]
    running = _running(process)
    running._clock = lambda: now[0]
    running.hear()
    assert running.seconds_to_safety() is None
    now[0] = 10.0
    os.write(process._end, _progress(done, stage))
    running.hear()
    assert running.seconds_to_safety() == (None if expected is None else pytest.approx(expected))
    process.close()


@pytest.mark.parametrize(("seconds", "waits"), [(10.0, True), (20.0, False)])
def test_a_stop_waits_for_a_near_segment_until_a_second_one(tmp_path: Path, seconds: float, waits: bool) -> None:
    process, now = _Says(PLANNED % 100 + _progress(0)), [0.0]
    ledger = Ledger(tmp_path / "ledger.db")
    worker = Worker(
        Config(tmp_path / "config.yaml", tmp_path), ledger, clock=lambda: now[0], forget=lambda _source: None
    )
    running = _running(process)
    worker.at_work.append(running)
    running._clock = lambda: now[0]
    running.hear()
    now[0] = seconds  # for thirty of a hundred frames
    os.write(process._end, _progress(30))
    running.hear()
    worker.stop()
    asked = [running.asked_to_end]
    worker.stop_at_once()
    asked.append(running.asked_to_end)
    assert asked == [None if waits else seconds, seconds]
    stopped = [worker.stopped]
    now[0] += 60
    assert [*stopped, worker.stopped] == [False, True]
    ledger.close()
    process.close()


def test_half_a_line_waits_for_the_rest() -> None:
    process = _Says(b'{"event": "be')
    running = _running(process)
    running.hear()
    os.write(process._end, b'at"}\n' + DONE % b"a [2p].png")
    running.hear()
    assert running.outcome is not None
    assert not process.killed
    process.close()


def test_a_process_that_cannot_begin_ends_with_a_failure(tmp_path: Path) -> None:
    request = Request(tmp_path / "a.png", "file", Identity(1, 1, 1, 1), Settings())
    process = JobProcess(request, state_dir=tmp_path, log_path=tmp_path / "logs" / "job-1.log")
    running = _running(process)
    while running.outcome is None:
        running.hear()
        running.outcome = running.outcome or running.verdict()
    assert isinstance(running.outcome, Failed)
    assert running.outcome.error == "MissingInputError"
    process.close()


def test_what_a_dead_service_left_is_found_by_its_state_folder(tmp_path: Path) -> None:
    request = Request(tmp_path / "a.png", "file", Identity(1, 1, 1, 1), Settings())
    process = JobProcess(request, state_dir=tmp_path, log_path=tmp_path / "job-1.log")
    assert end_orphans(tmp_path / "another") == []
    assert end_orphans(tmp_path) == [process.pid]
    process.close()


def test_settings_pass_unchanged() -> None:
    for settings in (
        Settings(),
        Settings(
            mode=Mode.DOUBLE_ENLARGE,
            scale=None,
            target=Size(1920, 1080),
            weights=Path("/w\udcff.h5"),
            upsampling=Interpolation.BILINEAR,
            denoise=Denoise.NONE,
            encoder=parse_encoder({"name": "x264", "crf": 3}),
            container=Container.PNG,
        ),
    ):
        assert settings_from_plain(settings_to_plain(settings)) == settings
        line = Request(SOURCE, "file", Identity(1, 2, 3, 4), settings).to_json()
        assert Request.from_json(line).settings == settings
