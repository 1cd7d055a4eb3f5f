"""One job at a time in a child process: claims, starts, hears, delivers, records.

`tick` is called by the service's loop and never blocks for long. Every step first writes the ledger and then forgets
what led to it, so that a step the disk refused (`EnvironmentFault`) is simply made again at the next tick.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.child import JobProcess
from daemon.config_model import Config, Folder, TakenName
from daemon.deliver import deliver, finish_original, taken
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.outcome import Changed, Done, Failed, Outcome, Skipped, Stopped
from daemon.pauses import Pauses
from daemon.place import make_folder, remove
from daemon.rates import measured_from
from daemon.report import delivered, report_path, write_report
from daemon.request import Request
from daemon.room import check_room
from daemon.running import Running
from daemon.text import printable
from engine.errors import EnvironmentFault, KakudaiError, OutputError, ProcessingError

log = logging.getLogger(__name__)

STOP_GRACE_S = 20.0
"""Seconds that a job's process has for an orderly end."""
OUTLIVED_S = 600.0
"""Seconds of work after which a job is not what makes the service die: earlier deaths are forgotten."""
_LARGEST_TWIN_REPORT = 1 << 18
_LAST_WORDS_S = 5.0
"""Seconds more, for the ledger's disk; if it refuses so long, the job counts as interrupted at the next start."""


class Worker:
    """Works the ledger's queue. `forget` tells the watcher to look at a source anew."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        forget: Callable[[Path], None],
    ) -> None:
        self._config = config
        self._folders: Mapping[Path, Folder] = {folder.input: folder for folder in config.folders}
        self._ledger = ledger
        self._clock = clock
        self._forget = forget
        self._stop_by: float | None = None
        self._told: deque[str] = deque(maxlen=1000)
        self.pauses = Pauses(config.state_dir, config.work_dir, clock=clock)
        self.running: Running | None = None

    def reload(self, config: Config) -> None:
        """Work by another configuration from the next job on."""
        self._config = config
        self._folders = {folder.input: folder for folder in config.folders}

    @property
    def stopped(self) -> bool:
        """Whether the end that was asked for is reached: no process runs, or its time is over."""
        if self._stop_by is None:
            return False
        return self.running is None or self._clock() > self._stop_by + _LAST_WORDS_S

    def stop(self) -> None:
        """Claim nothing more and end the running job in order; it is queued again in its place."""
        if self._stop_by is None:
            self._stop_by = self._clock() + STOP_GRACE_S
            if self.running:
                self.running.process.terminate()

    def close(self) -> None:
        """End the running process at once."""
        if self.running:
            self.running.process.close()
            self.running = None

    def tick(self, *, missing: Mapping[Path, str]) -> None:
        """Go on. `missing` are the watched folders that cannot be listed. Raises `EnvironmentFault` of the ledger."""
        if self.running:
            self._attend(self.running)
        if self.running is None:
            self._remove_leftovers()
            self._finish_deliveries()
            if self._stop_by is None:
                self._look_again_at_incomplete(missing)
                self._claim(missing)

    # --- the running job ---

    def _attend(self, running: Running) -> None:
        running.hear()
        self._pass_on_warnings(running)
        while running.outcome is None and running.plans:
            self._accept_plan(running, running.plans[0])
            running.plans.popleft()
        self._record_segments(running)
        if running.outcome is None:
            running.outcome = running.verdict(stopping=self._stop_by is not None)
        if not running.outlived and running.seconds > OUTLIVED_S:
            self._ledger.outlived(running.job)
            running.outlived = True
        if self._stop_by is not None and self._clock() >= self._stop_by and running.outcome is None:
            running.outcome = Stopped()
        if running.outcome is not None and running.ended():
            self._conclude(running, running.outcome)
            running.process.close()
            self.running = None

    def _pass_on_warnings(self, running: Running) -> None:
        """Into the service's log; what every job says (no GPU, …) only once."""
        while running.warnings:
            warning = running.warnings.popleft()
            if warning not in self._told:
                self._told.append(warning)
                log.warning("%s: %s", printable(running.job.source), printable(warning))

    def _accept_plan(self, running: Running, plan: dict[str, object]) -> None:
        """Record where the result goes, then let the process begin. Nothing is written before that."""
        job, folder = running.job, running.folder
        place = running.place_for(plan)
        if isinstance(place, Failed):
            running.outcome = place
            return
        twin = self._ledger.delivered_twin(
            job, sha256=place.sha256, fingerprint=folder.settings.fingerprint(), wanted=place.wanted
        )
        if twin and twin.output and twin.output.exists():
            running.outcome = Skipped(
                f"the same content is delivered already as {printable(twin.output.name)} (job {twin.id}); "
                "remove that to have it made again"
            )
            return
        if folder.taken_name is TakenName.SKIP and os.path.lexists(place.wanted):
            running.outcome = Skipped(taken(place.wanted))
            return
        try:
            remove(place.part)
            check_room(self._config, self._ledger, place, plan)
            make_folder(place.wanted.parent)
            make_folder(place.work_dir)
        except (EnvironmentFault, OutputError) as error:
            running.outcome = Failed.from_error(error)
            return
        self._ledger.planned(
            job,
            sha256=place.sha256,
            fingerprint=folder.settings.fingerprint(),
            wanted=place.wanted,
            part=place.part,
        )
        running.wanted = place.wanted
        running.process.answer(
            part=str(place.part),
            work_dir=str(place.work_dir),
            segments=[dataclasses.asdict(segment) for segment in self._ledger.segments.of(job)],
            twin=self._twin(job, place.sha256, folder),
        )

    def _twin(self, job: Job, sha256: str, folder: Folder) -> dict[str, str] | None:
        """A delivered output that this job's would equal byte for byte, for its process to copy."""
        fingerprint = folder.settings.fingerprint()
        if job.kind != "file" or "{crc32}" in folder.settings.name:  # that name is known only from the output
            return None
        for twin in self._ledger.same_content(job, sha256=sha256, fingerprint=fingerprint):
            if not (twin.output and twin.part_sha256 and twin.report) or len(twin.report) > _LARGEST_TWIN_REPORT:
                continue
            if twin.output.is_file() and twin.output.stat().st_size == twin.part_size:
                return {"path": str(twin.output), "sha256": twin.part_sha256, "report": twin.report}
        return None

    def _record_segments(self, running: Running) -> None:
        """Commit what is finished; the process waits for the word."""
        while running.segments:
            self._ledger.segments.keep(running.job, running.segments[0])
            running.process.answer(segment=running.segments.popleft().index)

    def _conclude(self, running: Running, outcome: Outcome) -> None:
        job = running.job
        name = printable(job.source)
        match outcome:
            case Done():
                assert running.wanted is not None
                if measured := measured_from(json.loads(outcome.report)):
                    self._ledger.rates.learn(running.folder.settings.fingerprint(), measured)
                self._ledger.verifying(
                    job,
                    output=running.wanted.with_name(outcome.output_name),
                    part_inode=outcome.inode,
                    part_size=outcome.size,
                    part_sha256=outcome.sha256,
                    report=outcome.report,
                )
                self.pauses.over(running.folder)
            case Changed():
                self._ledger.skip(
                    job, "the file changed while it was read; it is queued anew once it is finished", superseded=True
                )
                self._forget(job.source)
                log.info("%s: changed while it was read; the result is dropped", name)
            case Skipped():
                self._ledger.skip(job, outcome.reason)
                log.info("%s: skipped: %s", name, outcome.reason)
            case Stopped():
                self._ledger.requeue(job, outcome="stopped")
                log.info("%s: stopped; it goes on after the next start", name)
            case Failed():
                self._conclude_failure(job, running.folder, outcome)

    def _conclude_failure(self, job: Job, folder: Folder, failure: Failed) -> None:
        name = printable(job.source)
        if failure.source_is_gone(job):
            self._ledger.skip(job, "the file was removed before it was enlarged", superseded=True)
            self._forget(job.source)
            log.info("%s: removed before it was enlarged", name)
        elif self._stop_by is not None and not failure.is_final:
            self._ledger.requeue(job, outcome="stopped")  # most likely the stop was its cause
        elif failure.is_fault(job):
            self._ledger.requeue(job, outcome="paused", reason=failure.reason, remedy=failure.remedy)
            self._remove_leftovers()  # before free space is measured: its growth ends the pause
            self._pause(folder, failure.as_fault(folder))
        elif (
            failure.may_become_whole
            and (wait_s := self._config.retry.look_after_s(self._ledger.looks(job))) is not None
        ):
            self._ledger.incomplete(job, error=failure.error, reason=failure.reason, remedy=failure.remedy)
            self.pauses.delay(job.id, wait_s)
            log.warning("%s: incomplete: %s; looked at again in %g s", name, failure.reason, wait_s)
        elif failure.is_final or job.failures + 1 >= self._config.retry.attempts:
            self._ledger.fail(job, error=failure.error, reason=failure.reason, remedy=failure.remedy)
            log.error("%s: failed: %s; %s", name, failure.reason, failure.remedy)
        else:
            self._ledger.requeue(job, outcome="failed", reason=failure.reason, remedy=failure.remedy)
            wait_s = self._config.retry.wait_s * 4**job.failures
            self.pauses.delay(job.id, wait_s)
            log.warning("%s: attempt %d failed: %s; again in %g s", name, job.failures + 1, failure.reason, wait_s)

    # --- between jobs ---

    def _remove_leftovers(self) -> None:
        for job in self._ledger.leftover_parts():
            assert job.part is not None
            folder = self._folders.get(job.folder)
            if folder is not None and self.pauses.is_paused(folder):
                continue
            try:
                remove(job.part)
            except (EnvironmentFault, OutputError) as error:
                if folder is not None:
                    self._pause(folder, error)
                continue
            self._ledger.forget_part(job)

    def _finish_deliveries(self) -> None:
        for job in [*self._ledger.jobs("verifying"), *self._ledger.originals_pending()]:
            folder = self._folders.get(job.folder)
            if folder is None or self.pauses.is_paused(folder):
                continue
            try:
                if job.state == "verifying":
                    deliver(job, folder, self._ledger, write_report=self._write_report)
                    remove(self.work_dir(job))
                else:
                    finish_original(job, folder, self._ledger)
            except (EnvironmentFault, OutputError) as error:
                if error.path == self._ledger.path:
                    raise
                self._pause(folder, error)
            except ProcessingError as error:
                self._conclude_failure(job, folder, Failed.from_error(error))

    def _write_report(self, job: Job, output: Path) -> None:
        path = report_path(self._config, output, job.id)
        if path is not None and job.report is not None:
            write_report(delivered(json.loads(job.report), output, job=job.id), path)

    def _look_again_at_incomplete(self, missing: Mapping[Path, str]) -> None:
        """Back-off in memory: after a restart each is looked at once, at once."""
        delayed = self.pauses.delayed_jobs()
        for job in self._ledger.jobs("incomplete"):
            if job.id not in delayed and job.folder in self._folders and job.folder not in missing:
                self._ledger.look_again(job)

    def _claim(self, missing: Mapping[Path, str]) -> None:
        ready = [
            folder
            for folder in self._folders.values()
            if folder.input not in missing and not self.pauses.is_paused(folder)
        ]
        job = self._ledger.next_queued(folders=[folder.input for folder in ready], not_jobs=self.pauses.delayed_jobs())
        if job is None:
            return
        folder = self._folders[job.folder]
        if job.part is not None:
            return  # what an earlier attempt left is removed first
        if not folder.output.is_dir():
            self._pause(
                folder,
                EnvironmentFault(
                    "the output folder is not there",
                    remedy="mount or make it; work goes on by itself then",
                    path=folder.output,
                ),
            )
            return
        self._ledger.start(job, profile=folder.profile)
        try:
            process = JobProcess(
                Request(job.source, job.kind, job.identity, folder.settings, self._bytes_per_pixel(folder)),
                state_dir=self._config.state_dir,
                log_path=self.log_path(job),
            )
        except (EnvironmentFault, OSError) as error:
            reason = error.reason if isinstance(error, EnvironmentFault) else str(error)
            fault = EnvironmentFault(reason, remedy="free space and memory; work goes on by itself then")
            self._ledger.requeue(job, outcome="paused", reason=fault.reason, remedy=fault.remedy)
            self._pause(folder, fault)
            return
        self.running = Running(job, folder, process, work_dir=self.work_dir(job), clock=self._clock)
        log.info("enlarging %s (job %d, profile %s)", printable(job.source), job.id, folder.profile)

    def _bytes_per_pixel(self, folder: Folder) -> dict[str, float]:
        fingerprint = folder.settings.fingerprint()
        known = self._ledger.rates.all().items()
        return {kind: found.rate.bytes_per_pixel for (settings, kind), found in known if settings == fingerprint}

    def _pause(self, folder: Folder, fault: KakudaiError) -> None:
        if self.pauses.pause(folder, fault):
            log.warning("%s: waits: %s; %s", printable(folder.input), fault, fault.remedy)

    def work_dir(self, job: Job) -> Path:
        """The folder for a job's intermediate files."""
        return self._config.work_dir / str(job.id)

    def log_path(self, job: Job) -> Path:
        """Where the output of a job's process goes."""
        return self._config.state_dir / "logs" / f"job-{job.id}.log"
