"""What people look at: the state of the service as data, and as a page of text."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daemon.cluster.view import cluster_lines
from daemon.config_model import Config, Folder
from daemon.folder_files import FolderFiles, Hold
from daemon.halt import halt
from daemon.job import Job
from daemon.ledger import Ledger
from daemon.running import Running
from daemon.text import duration, printable

_SHOWN = {"queued": 10, "failed": 20, "incomplete": 10, "delivered": 10, "skipped": 5}


def snapshot(
    config: Config,
    ledger: Ledger,
    *,
    at_work: Sequence[Running] = (),
    waiting: Mapping[Path, tuple[str, str]] | None = None,
    delayed: Collection[int] = (),
    settling: int = 0,
    fault: str | None = None,
    service: Mapping[str, Any] | None = None,
    service_runs: bool = True,
    files: FolderFiles | None = None,
    how: Callable[[Path], dict[str, str | None]] | None = None,
) -> dict[str, Any]:
    """The state as JSON-ready data. Names are escaped; times are seconds since 1970. `service`: its own facts."""
    jobs = [{**job_for_people(running.job), **running.status()} for running in at_work]
    queued = ledger.jobs("queued", limit=_SHOWN["queued"])
    configured = {folder.input: folder for folder in config.folders}
    held = _holds(queued, configured, files or FolderFiles())
    waiting = dict(waiting or {}) | {hold.place: (hold.reason, hold.remedy) for hold in held.values()}
    waits = [
        {"folder": printable(folder), "reason": reason, "remedy": remedy}
        for folder, (reason, remedy) in waiting.items()
    ]
    waits += [
        {
            "folder": printable(folder),
            "reason": f"{count} queued, but the folder is not in the configuration",
            "remedy": f"put it back under folders in {config.path}, or leave it",
        }
        for folder, count in ledger.queued_by_folder().items()
        if folder not in configured
    ]
    if fault is not None:
        waits.insert(0, {"folder": "all", "reason": fault, "remedy": "no work is lost; it goes on by itself"})
    return {
        "service": {"runs": service_runs, "pid": os.getpid() if service_runs else None},
        "config": printable(config.path.absolute()),
        "state_dir": printable(config.state_dir),
        "halt": asdict(halted) if (halted := halt(config, ledger, now=time.time())) else None,
        **(service or {}),
        "watched": [
            {
                "input": printable(folder.input),
                "output": printable(folder.output),
                "profile": folder.profile,
                **(how(folder.input) if how else {"found_by": None, "writers_unseen": None}),
            }
            for folder in config.folders
        ],
        "counts": ledger.counts(),
        "settling": settling,
        "running": jobs[0] if jobs else None,
        "also_running": jobs[1:],
        "verifying": [job_for_people(job) for job in ledger.jobs("verifying", limit=_SHOWN["queued"])],
        "waiting": waits,
        "queued": [{**job_for_people(job), "delayed": job.id in delayed, "held": job.id in held} for job in queued],
        **{
            state: [job_for_people(job) for job in ledger.history.latest([state], limit=_SHOWN[state])]
            for state in ("failed", "incomplete", "delivered", "skipped")
        },
    }


def _holds(jobs: Iterable[Job], folders: Mapping[Path, Folder], files: FolderFiles) -> dict[int, Hold]:
    """Which of these jobs wait because of a file in their folder."""
    found = {job.id: files.steer(folders[job.folder], job.source, job.kind) for job in jobs if job.folder in folders}
    return {number: hold for number, hold in found.items() if isinstance(hold, Hold)}


def job_for_people(job: Job) -> dict[str, Any]:
    """`reason` is one line; what a child process said is in `details`, and in the job's log."""
    first, *others = (job.reason or "").split("\n")
    reason = printable(first.rstrip(":")) or None
    details = [printable(line) for line in others]
    return {
        "job": job.id,
        "state": job.state,
        "superseded": job.superseded,
        "source": printable(job.source),
        "output": printable(job.output) if job.output else None,
        "profile": job.profile,
        "priority": job.priority,
        "failures": job.failures,
        "error": job.error,
        "reason": reason,
        "details": details,
        "remedy": printable(job.remedy) if job.remedy else None,
        "original": job.original,
        "changed": job.changed,
    }


def headline(state: Mapping[str, Any]) -> str:
    """One line: what is done now, and how much waits."""
    counts = state["counts"]
    running = state["running"]
    doing = "idle"
    if running:
        doing = f"enlarging {Path(running['source']).name}{_percent(running)}"
    elif state["halt"]:
        doing = "paused"
    elif state["waiting"]:
        doing = "waiting"
    told = [f"{counts[name]} {name}" for name in ("queued", "failed") if counts.get(name)]
    return ", ".join([doing, *told])


def render(state: Mapping[str, Any]) -> str:
    """The page that `kakudai status` prints."""
    now = time.time()
    counts = state["counts"]
    service = state["service"]
    lines = [
        f"Kakudai is running (process {service['pid']})." if service["runs"] else "Kakudai is not running.",
        "Jobs: " + (", ".join(f"{count} {name}" for name, count in counts.items()) or "none yet") + ".",
    ]
    if halted := state["halt"]:
        lines += [f"All work is paused: {halted['reason']}", f"         → {halted['remedy']}"]
    if state["settling"]:
        lines.append(f"{state['settling']} more seen, not finished yet.")
    for running in [state["running"], *state["also_running"]] if state["running"] else []:
        lines += ["", "Now", f"  {running['job']:>5}  {running['source']}", f"         {_progress(running)}"]
    if cluster := list(cluster_lines(state.get("cluster"))):
        lines += ["", *cluster]
    for wait in state["waiting"]:
        lines += ["", f"Waiting: {wait['folder']}", f"         {wait['reason']}", f"         → {wait['remedy']}"]
    if state["queued"]:
        lines += ["", *_title("Queue", "queued", state)]
        for job in state["queued"]:
            priority = f"  (priority {job['priority']})" if job["priority"] else ""
            lines.append(f"  {job['job']:>5}  {job['source']}{priority}")
            if job["reason"]:
                again = f"attempt {job['failures']} failed: " if job["failures"] else ""
                lines.append(f"         {again}{job['reason']}")
    if state["failed"]:
        lines += ["", *_title("Failed", "failed", state)]
        for job in state["failed"]:
            more = f" (more in {state['state_dir']}/logs/job-{job['job']}.log)" if job["details"] else ""
            lines += [
                f"  {job['job']:>5}  {job['source']}",
                f"         {job['reason']}{more}",
                f"         → {job['remedy']}; then: kakudai retry {job['job']}",
            ]
    if state["incomplete"]:
        lines += ["", *_title("Incomplete, looked at again", "incomplete", state)]
        for job in state["incomplete"]:
            lines += [f"  {job['job']:>5}  {job['source']}", f"         {job['reason']}"]
    if state["skipped"]:
        lines += ["", *_title("Skipped", "skipped", state)]
        for job in state["skipped"]:
            lines += [f"  {job['job']:>5}  {job['source']}", f"         {job['reason']}"]
    if state["delivered"]:
        lines += ["", *_title("Delivered", "delivered", state)]
        for job in state["delivered"]:
            ago = duration(now - job["changed"])
            lines.append(f"  {job['job']:>5}  {job['output']}  ({ago} ago)")
            if job["reason"]:
                lines.append(f"         {job['reason']}")
    return "\n".join(lines + _folders(state))


def _folders(state: Mapping[str, Any]) -> list[str]:
    """How new files are found, which differs from folder to folder; while no service runs, they are not."""
    lines = []
    for folder in state["watched"]:
        if folder["found_by"] is not None:
            lines.append(f"  {folder['input']}  →  {folder['output']}  ({folder['profile']}; by {folder['found_by']})")
        if folder["writers_unseen"] is not None:
            lines.append(f"         who still writes is not told here: {folder['writers_unseen']}; only time decides")
    return ["", "Watched", *lines] if lines else []


def _title(title: str, name: str, state: Mapping[str, Any]) -> list[str]:
    total, shown = state["counts"].get(name, 0), len(state[name])
    return [f"{title} ({total})" if shown == total else f"{title} ({shown} of {total} shown)"]


def _percent(running: Mapping[str, Any]) -> str:
    total = running.get("total")
    return f" {100 * running['done'] // total}%" if total else ""


def _progress(running: Mapping[str, Any]) -> str:
    parts = []
    if running.get("stage"):
        total = f"/{running['total']}" if running["total"] is not None else ""
        parts.append(f"{running['stage']}: {running['done']}{total} {running['unit']}{_percent(running)}")
        if running["per_second"]:
            parts.append(f"{running['per_second']:.3g} {running['unit']}/s")
        if running["eta_s"] is not None:
            parts.append(f"{duration(running['eta_s'])} left")
        if running.get("reused_share") is not None:
            parts.append(f"{running['reused_share']:.0%} reused")
        if running.get("bottleneck"):
            parts.append(f"held back by {running['bottleneck']}")
    else:
        parts.append("starting")
    if running.get("source_size"):
        parts.append(f"{running['source_size']} → {running['output_size']}")
    parts.append(f"for {duration(running['seconds'])}")
    if running.get("draining"):
        parts.append("to the end of its segment")
    return ", ".join(parts)
