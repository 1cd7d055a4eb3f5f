"""The process of one job: `python -P -m daemon.job_process EVENTS_FD SERVICE_PID`, started by `daemon.child`.

It alone loads TensorFlow and owns the GPU. It can be killed at any moment, and dies when the service does.
Its stdout and stderr go to the job's log; what it has to say goes to EVENTS_FD, where stray prints cannot break it.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from daemon.job import Identity
from daemon.parent_death import die_with
from daemon.place import Content, read_back
from daemon.report import assemble, folder_facts, source_facts
from daemon.request import Request
from daemon.segment_rows import PipedRecords
from daemon.settling import look
from daemon.twin import Twin, copy_twin
from engine import job as engine_job
from engine import sequence
from engine.elsewhere import Elsewhere
from engine.errors import EnvironmentFault, IncompleteInputError, InputError, KakudaiError, ProcessingError
from engine.estimate import expected_space
from engine.files import flush_folder, storage_error
from engine.job import ProgressEvent, Report
from engine.plan import Plan
from engine.source import Source, open_source

BEAT_S = 5.0
"""Seconds between signs of life."""

_PROGRESS_S = 0.25
_MORE_LIKELY_OUT_OF_MEMORY = "500"


class Stopped(BaseException):
    """The service asks for an orderly end (SIGTERM)."""


class SourceChanged(Exception):  # noqa: N818  (not an error: the job is queued anew)
    """The source is not what the job was queued for, or was written to meanwhile."""


class Channel:
    """Events to the service, answers from it."""

    def __init__(self, fd: int) -> None:
        self._pipe = os.fdopen(fd, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._last_progress_at = 0.0

    def send(self, event: str, **fields: object) -> None:
        """One event. A service that is gone is no error here: the parent's death ends this process."""
        with self._lock, suppress(BrokenPipeError):
            self._pipe.write(json.dumps({"event": event, **fields}) + "\n")
            self._pipe.flush()

    def progress(self, event: ProgressEvent) -> None:
        """How far the job is; a few times a second at most."""
        now = time.monotonic()
        if now - self._last_progress_at >= _PROGRESS_S or event.done == event.total:
            self._last_progress_at = now
            self.send("progress", **dataclasses.asdict(event))

    def beat(self) -> None:
        """Say for ever that this process lives."""
        while True:
            self.send("beat")
            time.sleep(BEAT_S)


class _ToTheService(logging.Handler):
    """Warnings belong into the service's journal as well as into the job's log."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.send("warning", message=record.getMessage())


def serve(arguments: list[str], work: Callable[[Request, Channel], None]) -> int:
    """Do by `work` what stands in the first line of stdin. The exit code is 0 whenever the events tell the outcome."""
    _die_with(int(arguments[1]))
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which then stops us in order
    channel = Channel(int(arguments[0]))
    logging.basicConfig(level=logging.WARNING, handlers=[logging.StreamHandler(), _ToTheService(channel)])
    request = Request.from_json(sys.stdin.readline())
    _be_nice(request.nice)
    threading.Thread(target=channel.beat, name="beat", daemon=True).start()
    try:
        work(request, channel)
    except Stopped:
        return 128 + signal.SIGTERM
    except SourceChanged:
        channel.send("changed")
    except KakudaiError as error:
        traceback.print_exc()
        _send_failure(channel, error)
    except OSError as error:
        traceback.print_exc()
        _send_failure(channel, storage_error(error, request.source))
    except Exception as error:  # noqa: BLE001  (the one place where a job's failure is recorded)
        traceback.print_exc()
        _send_failure(
            channel,
            ProcessingError(
                f"unexpected {type(error).__name__}: {error}",
                remedy="please report this with the job's log, which has the details",
            ),
        )
    return 0


def _send_failure(channel: Channel, error: KakudaiError) -> None:
    channel.send(
        "failed",
        error=type(error).__name__,
        exit_code=error.exit_code,
        reason=error.reason,
        remedy=error.remedy,
        path=str(error.path) if error.path is not None else None,
    )


def _work(request: Request, channel: Channel) -> None:
    if request.kind == "sequence":
        _work_on_frames(request, channel)
        return
    with open_source(request.source, links_above=False) as source:
        if not request.identity.same_file(_identity(source)):
            raise SourceChanged
        try:
            _work_on_file(source, request, channel)
        except InputError as error:
            if source.changed():
                raise SourceChanged from error
            if source.ends_in_zeros():
                raise IncompleteInputError(
                    f"{error.reason} (it ends in zeros: was its copy ever finished?)",
                    remedy=error.remedy,
                    path=error.path,
                ) from error
            raise


def _work_on_file(source: Source, request: Request, channel: Channel) -> None:
    planned = engine_job.plan(source, request.settings)
    try:
        facts = source_facts(source)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot be read: {error.strerror}", remedy="check the disk or mount it lies on", path=request.source
        ) from error
    part, work_dir, records, twin = _agree(planned, facts["sha256"], request, channel)
    if twin is not None and copy_twin(twin, part):
        if source.changed():
            raise SourceChanged
        _tell_done(part, planned.output_name, lambda content: twin.report_of(facts, content), channel)
        return
    report = engine_job.enlarge(
        source,
        part,
        request.settings,
        planned=planned,
        work_dir=work_dir,
        progress=channel.progress,
        records=records,
        glimpsed=lambda frame: channel.send("glimpse", frame=frame),
        elsewhere=_elsewhere(request, channel),
    )
    if source.changed():
        raise SourceChanged
    _finish(part, report, request, facts, channel)


def _elsewhere(request: Request, channel: Channel) -> Elsewhere | None:
    if request.cluster is None:
        return None
    from daemon.cluster.crew import cluster_crew

    return cluster_crew(
        request.cluster,
        set_aside=request.set_aside,
        tell=lambda nodes, problem: channel.send("cluster", nodes=nodes, problem=problem),
    )


def _work_on_frames(request: Request, channel: Channel) -> None:
    before = look(os.fspath(request.source), "sequence")
    if before is None or not request.identity.same_file(before.identity):
        raise SourceChanged
    planned = sequence.plan_sequence(request.source, request.settings)
    facts = folder_facts(request.source)
    part, work_dir, _, _ = _agree(planned, facts["sha256"], request, channel)
    report = sequence.enlarge_sequence(
        request.source, part, request.settings, planned=planned, work_dir=work_dir, progress=channel.progress
    )
    if look(os.fspath(request.source), "sequence") != before:
        raise SourceChanged
    _finish(part, report, request, facts, channel)


def _agree(
    planned: Plan, sha256: str, request: Request, channel: Channel
) -> tuple[Path, Path, PipedRecords, Twin | None]:
    """Tell the plan and learn where to put the result, which segments earlier attempts left, and whether another file
    of the same content is delivered.

    The service records both before anything is written.
    """
    space = expected_space(planned, request.settings, bytes_per_pixel=request.rates.get(planned.kind))
    channel.send(
        "planned",
        kind=planned.kind,
        sha256=sha256,
        output_name=planned.output_name,
        output_is_folder=planned.output_is_folder,
        frames=planned.frames,
        segment_frames=planned.segment_frames,
        source_size=str(planned.source_size),
        output_size=str(planned.output_size),
        work_bytes=space.work_bytes,
        output_bytes=space.output_bytes,
    )
    answer = sys.stdin.readline()
    if not answer:
        raise Stopped
    places = json.loads(answer)
    records = PipedRecords(places["segments"], send=channel.send, hear=sys.stdin.readline)
    twin = Twin(**places["twin"]) if places["twin"] else None
    return Path(places["part"]), Path(places["work_dir"]), records, twin


def _finish(part: Path, report: Report, request: Request, source: dict[str, Any], channel: Channel) -> None:
    _tell_done(
        part,
        report.output_name,
        lambda content: assemble(report, source=source, settings=request.settings, content=content),
        channel,
    )


def _tell_done(part: Path, name: str, report: Callable[[Content], dict[str, Any]], channel: Channel) -> None:
    mask = os.umask(0o077)
    os.umask(mask)
    with suppress(PermissionError):  # a mount that gives its files to another user (SMB, FAT): it has its own modes
        part.chmod((0o777 if part.is_dir() else 0o666) & ~mask)
    content = read_back(part)
    flush_folder(part.parent)
    channel.send(
        "done",
        output_name=name,
        inode=content.inode,
        size=content.size,
        sha256=content.sha256,
        report=report(content),
    )


def _identity(source: Source) -> Identity:
    return Identity.of(os.fstat(source.fd))


def _die_with(service: int) -> None:
    die_with(service)
    with suppress(OSError):
        # when memory runs out, this process goes, not the service
        Path("/proc/self/oom_score_adj").write_text(_MORE_LIKELY_OUT_OF_MEMORY)


def _be_nice(niceness: int) -> None:
    """Before any thread or program is started: they inherit it."""
    if niceness > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], _work))
