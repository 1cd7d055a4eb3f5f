"""News for people who do not look: what was done, failed, waits or ran out, in few messages, by a process of its own.

Apprise sends them (some hundred kinds of addresses); it is loaded by `daemon.announce_process` alone, which also puts
in what the addresses leave to the environment or to files. The service neither holds the secrets nor waits for anybody;
what cannot be sent is told in the log and hurts no job.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from daemon.child import STATE_VARIABLE
from daemon.config_model import Config, News, Notify
from daemon.job import Job
from daemon.ledger_queries import Paused
from daemon.text import printable, without_figures
from engine.errors import ToolError

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-P", "-m", "daemon.announce_process")
_GATHER_S = 10.0
"""Seconds from the first news to its message, for what comes along with it."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 3600.0
"""Between two messages; twice as long each time while there is much to tell."""
_MUCH = 10
"""News in one message from which there is much to tell, and of each kind, how many are named."""
_PATIENCE_S = 60.0
"""Seconds that sending a message may take."""
_TRIES = 3
_SAME_S = 1800.0
"""Seconds for which a reason to wait that came and went is no news when it comes again."""
_LAST_S = 10.0
"""Seconds that a message on its way has when the service ends."""


@dataclass
class _Batch:
    """What is still to be told: how many of each kind, and the first lines of each."""

    counts: dict[News, int] = field(default_factory=dict)
    lines: dict[News, list[str]] = field(default_factory=dict)
    tries: int = 0

    def add(self, kind: News, line: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        lines = self.lines.setdefault(kind, [])
        if len(lines) < _MUCH:
            lines.append(line)

    def merge(self, later: _Batch) -> None:
        for kind, count in later.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.lines[kind] = [*self.lines.get(kind, []), *later.lines[kind]][:_MUCH]

    def message(self) -> tuple[str, str]:
        """Title and body."""
        kinds = [kind for kind in News if kind in self.counts]
        told = ", ".join(kind.value if kind is News.EMPTY else f"{self.counts[kind]} {kind}" for kind in kinds)
        parts = []
        for kind in kinds:
            parts += [f"{kind}: {line}" for line in self.lines[kind]]
            more = self.counts[kind] - len(self.lines[kind])
            parts += [f"… and {more} more {kind}"] if more else []
        return f"Kakudai on {socket.gethostname()}: {told}", "\n".join(parts)


class Announcer:
    """`tick` is called by the service's loop and never blocks."""

    def __init__(self, config: Config, *, clock: Callable[[], float]) -> None:
        """Raises `ToolError` when news are wanted and Apprise is not installed."""
        self._clock = clock
        self._batch = _Batch()
        self._sending: _Message | None = None
        self._send_at: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._not_before = clock()
        self._waits: dict[tuple[str, str], float] = {}
        self._worked = False
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Tell by another configuration from now on. Raises `ToolError`."""
        check_installed(config.notify)
        self._wanted = config.notify
        self._state_dir = config.state_dir

    def note(self, kind: News, line: str) -> None:
        """There is news. `line` is one line, escaped."""
        if self._wanted is None or kind not in self._wanted.on:
            return
        self._batch.add(kind, line)
        if self._send_at is None:
            self._send_at = max(self._clock() + _GATHER_S, self._not_before)

    def ended(self, job: Job) -> None:
        """A job was delivered, or has failed for good."""
        name = printable((job.output or job.source).name)
        if job.state == "failed":
            why = "; ".join(printable(text.split("\n")[0]) for text in (job.reason, job.remedy) if text)
            self.note(News.FAILED, f"{printable(job.source.name)} (job {job.id}): {why}")
        else:
            self.note(News.DONE, f"{name} (job {job.id})")

    def look(self, *, waits: Mapping[Path, tuple[str, str]], paused: Paused | None, counts: Mapping[str, int]) -> None:
        """Which folders wait now, with reason and remedy; whether somebody paused all work; how many jobs there are."""
        now = self._clock()
        self._waits = {wait: seen for wait, seen in self._waits.items() if now - seen < _SAME_S}
        told = [(printable(place), printable(reason), remedy) for place, (reason, remedy) in waits.items()]
        if paused is not None:
            told.append(("all work", printable(paused.reason), "kakudai resume lets it go on"))
        for place, reason, remedy in told:
            wait = (place, without_figures(reason))
            if wait not in self._waits:
                self.note(News.PAUSED, f"{place}: {reason}; {remedy}")
            self._waits[wait] = now
        work_left = any(counts.get(state) for state in ("queued", "running", "verifying"))
        if self._worked and not work_left:
            self.note(News.EMPTY, "nothing is queued any more")
        self._worked = work_left

    @property
    def sending(self) -> bool:
        """Whether a message is on its way."""
        return self._sending is not None

    def tick(self) -> None:
        """Send what is due; hear what became of the last message."""
        if self._sending is not None:
            outcome = self._sending.outcome(self._clock())
            if outcome is None:
                return
            self._conclude(self._sending.batch, outcome)
            self._sending = None
        if self._wanted is not None and self._send_at is not None and self._clock() >= self._send_at:
            self._send(self._wanted)

    def close(self) -> None:
        """Give the message on its way, or the one that is due, a moment, and end."""
        if self._sending is None and self._wanted is not None and self._batch.counts:
            self._send(self._wanted)
        if self._sending is not None:
            self._sending.end(_LAST_S)
            self._sending = None

    def _send(self, wanted: Notify) -> None:
        batch, self._batch, self._send_at = self._batch, _Batch(), None
        much = sum(batch.counts.values()) > _MUCH
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S) if much else _FIRST_PAUSE_S
        self._not_before = self._clock() + self._pause_s
        try:
            self._sending = _Message(wanted, batch, state_dir=self._state_dir, until=self._clock() + _PATIENCE_S)
        except OSError as error:
            self._conclude(batch, f"no process could be started: {error.strerror}")

    def _conclude(self, batch: _Batch, problem: str) -> None:
        """What could not be sent goes along with the next message, but not for ever."""
        if not problem:
            return
        batch.tries += 1
        again = batch.tries < _TRIES
        log.warning("a notification was not sent: %s; %s", printable(problem), "tried again" if again else "given up")
        if again:
            batch.merge(self._batch)
            self._batch = batch
            self._send_at = max(self._not_before, self._clock() + _GATHER_S)


def send_now(wanted: Notify, title: str, body: str) -> str:
    """Send a message and wait for it; empty when every address took it, else why not."""
    request = json.dumps({"urls": wanted.urls, "title": title, "body": body}).encode()
    try:
        done = subprocess.run(_COMMAND, input=request, capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {_PATIENCE_S:g} s"
    return printable(done.stderr.decode(errors="replace").strip()) if done.returncode else ""


class _Message:
    """One message on its way. Raises OSError where no process can be started."""

    def __init__(self, wanted: Notify, batch: _Batch, *, state_dir: Path, until: float) -> None:
        self.batch = batch
        self._until = until
        title, body = batch.message()
        request = json.dumps({"urls": wanted.urls, "title": title, "body": body}).encode()
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, STATE_VARIABLE: str(state_dir)},
        )
        # a pipe takes 64 KiB at once; a message is far below
        with contextlib.suppress(BrokenPipeError):
            self._pipe(self._process.stdin).write(request)
            self._pipe(self._process.stdin).close()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def outcome(self, now: float) -> str | None:
        """None while it is on its way; empty when it was sent, else why it was not."""
        status = self._process.poll()
        if status is None:
            if now < self._until:
                return None
            self.end(0)
            return f"it took longer than {_PATIENCE_S:g} s"
        said = self._pipe(self._process.stderr).read(4096).decode(errors="replace").strip()
        self._pipe(self._process.stderr).close()
        return "" if status == 0 else said or f"its process ended with status {status}"

    def end(self, patience_s: float) -> None:
        """Wait a moment, then kill it."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._pipe(self._process.stderr).close()


def check_installed(wanted: Notify | None) -> None:
    """Raise `ToolError` when news are wanted and Apprise, which is an extra, is not there. Does not load it."""
    if wanted is not None and wanted.urls and importlib.util.find_spec("apprise") is None:
        raise ToolError("notify: Apprise is not installed", remedy="pip install 'kakudai[notify]', or drop `notify`")
