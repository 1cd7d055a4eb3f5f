"""How a job ends: its outcome into the ledger, its result under its name, its leftovers away.

Every step first writes the ledger and then forgets what led to it, so that a step the disk refused
(`EnvironmentFault`) is simply made again at the next tick.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from daemon.config_model import Folder
from daemon.deliver import deliver, finish_original
from daemon.error_file import remove_error_file, write_error_file
from daemon.job import Job
from daemon.outcome import Changed, Done, Failed, Outcome, Skipped, Stopped
from daemon.place import remove
from daemon.rates import measured_from
from daemon.report import delivered, report_path, write_report
from daemon.running import Running
from daemon.text import printable
from daemon.workshop import Workshop
from engine.errors import EnvironmentFault, OutputError, ProcessingError

log = logging.getLogger(__name__)

_ORIGINAL_AGAIN_S = 300.0


class Conclusions:
    """Of one service. Raises `EnvironmentFault` of the ledger."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def conclude(self, running: Running, outcome: Outcome, *, stopping: bool) -> None:
        """Record how the attempt at a job ended. `stopping`: the service had asked for the end."""
        job = running.job
        name = printable(job.source)
        match outcome:
            case Done():
                assert running.wanted is not None
                if measured := measured_from(json.loads(outcome.report)):
                    self._shop.ledger.rates.learn(running.folder.settings.fingerprint(), measured)
                self._shop.ledger.verifying(
                    job,
                    output=running.wanted.with_name(outcome.output_name),
                    part_inode=outcome.inode,
                    part_size=outcome.size,
                    part_sha256=outcome.sha256,
                    report=outcome.report,
                )
                self._shop.pauses.over(running.folder)
            case Changed():
                self._shop.ledger.skip(
                    job, "the file changed while it was read; it is queued anew once it is finished", superseded=True
                )
                self._shop.forget(job.source)
                log.info("%s: changed while it was read; the result is dropped", name)
            case Skipped():
                self._shop.ledger.skip(job, outcome.reason)
                log.info("%s: skipped: %s", name, outcome.reason)
            case Stopped():
                self._shop.ledger.requeue(job, outcome="stopped" if stopping else "paused")
                log.info("%s: stopped; it goes on after the next start" if stopping else "%s: waits", name)
            case Failed():
                failure = outcome.after_silence() if running.was_excused else outcome
                self._conclude_failure(job, running.folder, failure, asked_to_end=running.asked_to_end is not None)

    def _conclude_failure(self, job: Job, folder: Folder, failure: Failed, *, asked_to_end: bool = False) -> None:
        name = printable(job.source)
        if failure.source_is_gone(job):
            self._shop.ledger.skip(job, "the file was removed before it was enlarged", superseded=True)
            self._shop.forget(job.source)
            log.info("%s: removed before it was enlarged", name)
        elif asked_to_end and not failure.is_final:
            self._shop.ledger.requeue(job, outcome="stopped")  # most likely that was its cause
        elif failure.is_fault(job):
            self._shop.ledger.requeue(job, outcome="paused", reason=failure.reason, remedy=failure.remedy)
            self.remove_leftovers()  # before free space is measured: its growth ends the pause
            self._shop.pause(folder, failure.as_fault(folder))
        elif failure.may_become_whole and (wait_s := self._shop.config.retry.look_after_s(job.looks)) is not None:
            self._shop.ledger.incomplete(job, error=failure.error, reason=failure.reason, remedy=failure.remedy)
            self._shop.pauses.delay(job.id, wait_s)
            log.warning("%s: incomplete: %s; looked at again in %g s", name, failure.reason, wait_s)
        elif failure.is_final or job.failures + 1 >= self._shop.config.retry.attempts:
            self._shop.ledger.fail(job, error=failure.error, reason=failure.reason, remedy=failure.remedy)
            self.tell_failure(job)
            log.error("%s: failed: %s; %s", name, failure.reason, failure.remedy)
        else:
            self._shop.ledger.requeue(job, outcome="failed", reason=failure.reason, remedy=failure.remedy)
            wait_s = self._shop.config.retry.wait_s * 4**job.failures
            self._shop.pauses.delay(job.id, wait_s)
            log.warning("%s: attempt %d failed: %s; again in %g s", name, job.failures + 1, failure.reason, wait_s)

    def tell_failure(self, job: Job) -> None:
        """To whoever looks into the output folder, if that is wanted and the job has failed for good."""
        now, folder = self._shop.ledger.job(job.id), self._shop.folders.get(job.folder)
        if now is None or now.state != "failed":
            return
        self._shop.news(now)
        if folder is not None and folder.input not in self._shop.silent:
            write_error_file(folder, now, self._shop.log_path(job))

    def _tell_delivery(self, job: Job) -> None:
        now = self._shop.ledger.job(job.id)
        if now is not None and now.state == "delivered":
            self._shop.news(now)

    def remove_work_files(self, job: Job) -> None:
        """Of a job that is over; what cannot be removed now goes with the daily cleaning."""
        if job.folder in self._shop.silent:
            return
        try:
            remove(self._shop.work_dir(job))
        except (EnvironmentFault, OutputError) as error:
            log.warning("%s; %s", error, error.remedy)

    def remove_leftovers(self) -> None:
        """Remove the parts of jobs that are not at work."""
        for job in self._shop.ledger.leftover_parts():
            assert job.part is not None
            folder = self._shop.folders.get(job.folder)
            if folder is not None and self._shop.waits(folder):
                continue
            try:
                remove(job.part)
            except (EnvironmentFault, OutputError) as error:
                if folder is not None:
                    self._shop.pause(folder, error)
                continue
            self._shop.ledger.forget_part(job)

    def finish_deliveries(self) -> None:
        """Bring what is enlarged under its name, and see to the originals of what is delivered.

        An original that cannot be moved or deleted is tried again later, and stops nothing else.
        """
        delayed = self._shop.pauses.delayed_jobs()
        pending = [job for job in self._shop.ledger.originals_pending() if job.id not in delayed]
        for job in [*self._shop.ledger.jobs("verifying"), *pending]:
            folder = self._shop.folders.get(job.folder)
            if folder is None or self._shop.waits(folder):
                continue
            try:
                if job.state == "verifying":
                    deliver(job, folder, self._shop.ledger, write_report=self._write_report)
                    remove(self._shop.work_dir(job))
                    remove_error_file(folder, job)
                    self._tell_delivery(job)
                else:
                    finish_original(job, folder, self._shop.ledger)
            except (EnvironmentFault, OutputError) as error:
                if error.path == self._shop.ledger.path:
                    raise
                if job.state == "delivered" and isinstance(error, OutputError):
                    self._see_to_original_later(job, error)
                else:
                    self._shop.pause(folder, error)
            except ProcessingError as error:
                self._conclude_failure(job, folder, Failed.from_error(error))

    def _see_to_original_later(self, job: Job, error: OutputError) -> None:
        note = f"its original is still there: {error}; {error.remedy}"
        if job.reason != note:
            log.warning("%s: delivered, but %s", printable(job.source), note)
            self._shop.ledger.original_done(job, "pending", note=note)
        self._shop.pauses.delay(job.id, _ORIGINAL_AGAIN_S)

    def _write_report(self, job: Job, output: Path) -> None:
        path = report_path(self._shop.config, output, job.id)
        if path is not None and job.report is not None:
            write_report(delivered(json.loads(job.report), output, job=job.id), path)
