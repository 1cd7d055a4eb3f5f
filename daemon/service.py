"""The service: watches, queues, works, answers; one thread, one loop.

Start: lock → ledger → what a death left behind → folders → watches and first listing → READY.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from daemon.announce import Announcer, check_installed
from daemon.child import JobProcess, end_orphans
from daemon.cluster.settings import check_cluster
from daemon.config import load_config
from daemon.config_model import DAY_S, Config
from daemon.control import ControlServer
from daemon.housekeeping import clean_up
from daemon.knocks import Knocks
from daemon.ledger import Ledger
from daemon.lock import state_lock
from daemon.looks import folders_for_people
from daemon.notify import is_managed, notify, watchdog_interval_s
from daemon.orders import Orders
from daemon.places import SILENT_REMEDY, prepare_folders, refuse_reload, silent_folders
from daemon.previews import Previews
from daemon.rebuild import open_ledger
from daemon.settling import folder_is_lost
from daemon.signals import Asked, listen
from daemon.status import headline, snapshot
from daemon.text import printable
from daemon.watch import Watcher
from daemon.web.server import WebServer
from daemon.worker import Worker
from engine.errors import ConfigError, EnvironmentFault, KakudaiError

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 1.0
_LEDGER_FAULT_PAUSE_S = 5.0
_STATUS_S = 5.0
_LOCK_PATIENCE_S = 2.0
_LEDGER_PATIENCE_S = 60.0


def run_service(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises what prevents the start."""
    if not config.folders:
        raise ConfigError(["folders: none is given, so there is nothing to watch"], path=config.path)
    with ExitStack() as stack:
        stack.enter_context(state_lock(config.state_dir, patience_s=_LOCK_PATIENCE_S))
        if orphans := end_orphans(config.state_dir):
            log.warning("ended %d processes that an earlier service left behind", len(orphans))
        knocks = Knocks()
        ledger = _open_patiently(config, knocks)
        stack.callback(ledger.close)
        ran = ledger.recover()
        for job in ran:
            log.warning("%s: was interrupted (the service died); queued again", printable(job.source))
        check_cluster(config.cluster)
        selector = stack.enter_context(selectors.DefaultSelector())
        signals = stack.enter_context(listen(selector))
        service = Service(config, ledger, selector, knocks)
        stack.callback(service.close)
        service.worker.tell_failures(ran)
        service.serve(signals)
    log.info("stopped")
    return 0


def _open_patiently(config: Config, knocks: Knocks) -> Ledger:
    """Another program (a backup, a person with sqlite3) may hold the file for a while."""
    deadline = time.monotonic() + _LEDGER_PATIENCE_S
    while True:
        try:
            return open_ledger(config, knocks)
        except EnvironmentFault as fault:
            if time.monotonic() >= deadline:
                raise
            log.warning("waiting: %s", fault)
            notify(f"STATUS=waiting: {fault.reason}")
            time.sleep(1)


class Service:
    """The parts and the loop that turns them."""

    def __init__(self, config: Config, ledger: Ledger, selector: selectors.BaseSelector, knocks: Knocks) -> None:
        self._config = config
        self._ledger = ledger
        self._selector = selector
        self._clock = time.monotonic
        self._ledger_fault: str | None = None
        self._ledger_again_at = 0.0
        self._next_cleaning = self._clock()
        self._knocks = knocks
        self._silent = silent_folders(config, self._knocks)
        prepare_folders(config, self._ledger, silent=self._silent)
        self.watcher = self._watch(config)
        self.announcer = Announcer(config, clock=self._clock)
        self.worker = Worker(config, ledger, clock=self._clock, forget=self._look_again, news=self.announcer.ended)
        self.worker.leave_alone(self._silent)
        self.previews = Previews(config, ledger, self.worker, clock=self._clock)
        self._heard: set[JobProcess] = set()
        orders = Orders(
            ledger,
            snapshot=self._snapshot,
            worker=self.worker,
            more={
                **self.previews.known,
                "folders": self._folders,
                "glimpse": self._glimpse,
                "web": lambda _request: self.web.entrance(),
            },
        )
        self.control = ControlServer(config.state_dir / "control.sock", selector, orders.answer)
        self.web = WebServer(config, selector, orders.answer, clock=self._clock)

    def close(self) -> None:
        """Let go of everything; a running process is killed."""
        self.announcer.close()
        self.web.close()
        self.control.close()
        self.previews.close()
        self.worker.close()
        self.watcher.close()

    def _watch(self, config: Config) -> Watcher:
        watcher = Watcher(
            config.folders,
            known=self._ledger.known,
            let_go=self._ledger.let_go,
            rescan_s=config.rescan_s,
            clock=self._clock,
        )
        if watcher.fd is not None:
            self._selector.register(watcher.fd, selectors.EVENT_READ, _nothing)
        return watcher

    def reload(self) -> None:
        """Read the configuration again. One with any mistake changes nothing, and says so.

        The running job goes on as it began; jobs of a folder that is no longer there wait until it is back.
        """
        try:
            config = load_config(self._config.path)
            refuse_reload(self._config, config)
            check_installed(config.notify)
            check_cluster(config.cluster)
            prepare_folders(config, self._ledger, silent=silent_folders(config, self._knocks))
        except KakudaiError as error:
            log.error("the old configuration is kept: %s; %s", error, error.remedy)
            return
        if self.watcher.fd is not None:
            self._selector.unregister(self.watcher.fd)
        self.watcher.close()
        self._config = config
        self.watcher = self._watch(config)
        self.worker.reload(config)
        self.previews.reload(config)
        self.announcer.reload(config)
        self.web.reload(config)
        log.info("reloaded: watching %s", ", ".join(printable(folder.input) for folder in config.folders))

    def serve(self, signals: Asked) -> None:
        """The loop. READY is told after the first listing; `signals` tells when to end in order, or to reload."""
        watchdog_s = watchdog_interval_s()
        next_word = self._clock()
        ready = stopping = False
        while True:
            self._tick()
            if not ready:
                ready = True
                notify("READY=1")
                log.info("ready: watching %s", ", ".join(printable(f.input) for f in self._config.folders))
            if is_managed() and self._clock() >= next_word:
                self._report()
                next_word = self._clock() + min(_STATUS_S, watchdog_s or _STATUS_S)
            if signals.reload and not stopping:
                signals.reload = False
                self.reload()
            if signals.stop and not stopping:
                stopping = True
                notify("STOPPING=1")
                self.previews.close()
                self._listen_to_the_children()
                self.worker.stop()
            if signals.at_once:
                self.worker.stop_at_once()
            if self.worker.stopped:
                return
            self._sleep()

    def _report(self) -> None:
        """Tell systemd that the loop turns, and what is done."""
        try:
            notify("WATCHDOG=1", f"STATUS={headline(self._snapshot())}")
        except EnvironmentFault as fault:
            notify("WATCHDOG=1", f"STATUS=waiting: {fault.reason}")

    def _tick(self) -> None:
        """One turn. A fault of the ledger's disk stops all claims until it is gone; nothing is lost meanwhile."""
        self.web.tick()
        self.announcer.tick()
        if self._clock() < self._ledger_again_at:
            return
        try:
            self._silent = silent_folders(self._config, self._knocks)
            self.worker.leave_alone(self._silent)
            scans = self.watcher.scans
            found = self.watcher.tick(self._silent)
            if self.watcher.scans != scans:
                self._let_go_of_the_gone()
            if found:
                new = self._ledger.queue(found)
                self.watcher.queued(found)
                log.info("queued %d new file%s", len(new), "" if len(new) == 1 else "s")
            self.previews.tick()
            self.worker.tick(missing=self.watcher.missing(), may_begin=not self.previews.has_the_machine)
            self._look_for_news()
            if self._clock() >= self._next_cleaning and not self._silent:
                self._next_cleaning = self._clock() + DAY_S
                clean_up(self._config, self._ledger)
        except EnvironmentFault as fault:
            if self._ledger_fault != str(fault):
                log.error("work waits: %s; %s", fault, fault.remedy)
            self._ledger_fault = str(fault)
            self._ledger_again_at = self._clock() + _LEDGER_FAULT_PAUSE_S
        else:
            if self._ledger_fault is not None:
                log.info("work goes on: the ledger can be written again")
            self._ledger_fault = None
        self._listen_to_the_children()

    def _look_for_news(self) -> None:
        """What waits that should not, and whether there is work left."""
        if self._config.notify is not None:
            waits = {**self.worker.pauses.reasons(), **self._lost()}
            self.announcer.look(waits=waits, paused=self._ledger.paused(), counts=self._ledger.counts())

    def _let_go_of_the_gone(self) -> None:
        """Of what failed: events may have been lost, or have happened while no service ran."""
        missing = self.watcher.missing()
        gone = [
            Path(source)
            for (folder, device), sources in self._ledger.undelivered().items()
            if folder not in missing and not folder_is_lost(folder, device)
            for source in sources
            if not os.path.lexists(source)
        ]
        if gone:
            self._ledger.let_go(gone)

    def _sleep(self) -> None:
        wait_s = min(_LONGEST_SLEEP_S, max(0.0, self.watcher.next_due() - self._clock()))
        if self._clock() < self._ledger_again_at:
            wait_s = _LONGEST_SLEEP_S
        for key, _ in self._selector.select(wait_s):
            key.data()

    def _listen_to_the_children(self) -> None:
        """Wake up when one speaks. Compared as processes: the next one's pipe may have the same number."""
        at_work = {running.process for running in (*self.worker.at_work, *self.previews.at_work)}
        if at_work == self._heard:
            return
        for process in self._heard:  # before the new ones: a number may come again
            self._selector.unregister(process.fd)
        for process in at_work:
            self._selector.register(process.fd, selectors.EVENT_READ, _nothing)
        self._heard = at_work

    def _look_again(self, source: Path) -> None:
        self.watcher.forget(source)
        self.watcher.rescan_soon()

    def _snapshot(self) -> dict[str, Any]:
        return snapshot(
            self._config,
            self._ledger,
            at_work=self.worker.at_work,
            waiting=self._waiting(),
            delayed=self.worker.pauses.delayed_jobs(),
            settling=self.watcher.settling(),
            fault=self._ledger_fault,
            files=self.worker.files,
            service={
                "web": self.web.status(),
                "tally": self.worker.tally.plain(),
                "cluster": self.worker.cluster(),
                "previews": self.previews.plain(),
            },
            how=self.watcher.how,
        )

    def _waiting(self) -> dict[Path, tuple[str, str]]:
        """Why folders wait, and the cure."""
        return {**self.worker.waits(), **self._lost()}

    def _lost(self) -> dict[Path, tuple[str, str]]:
        return {
            folder: (reason, SILENT_REMEDY if folder in self._silent else "mount it again")
            for folder, reason in self.watcher.missing().items()
        }

    def _folders(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return folders_for_people(self._config, self._ledger, self._waiting(), self.watcher.missing())

    def _glimpse(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        number = request.get("job")
        path = self.worker.glimpse_path(number) if isinstance(number, int) else None
        return {"path": None if path is None else str(path)}


def _nothing() -> None:
    """What is readable is read in the next turn."""
