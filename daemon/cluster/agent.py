"""The process between a job and the cluster: `python -P -m daemon.cluster.agent FD PARENT`, started by `crew`.

It is Ray's driver, and apart from the job's process because Ray ends its driver's process when it loses the cluster.
One loop: hear the job, look at the nodes, take in what is done, hand out what waits, tell how it stands. A segment is
made by a worker, stays there until there is room for its bytes, and is taken then.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody

import ray

from daemon.cluster import shared_folder
from daemon.cluster.roster import Slot
from daemon.cluster.segment_actor import Offer
from daemon.cluster.shares import Shares
from daemon.cluster.tries import Tries
from daemon.cluster.wire import Begin, Failure, Made, Nodes, NotMade, NotStored, Submit, Taken
from daemon.cluster.workers import NAMESPACE, ClusterWorkers, words
from daemon.parent_death import die_with
from engine.elsewhere import MadeSegment

_LOOK_S = 2.0
"""Seconds between looks at the nodes."""
_WAIT_S = 0.2
_PIECE = 16 << 20
"""Bytes of a source in one object of Ray's store."""


@dataclass(frozen=True)
class _Work:
    """A segment that a worker has; `made` once it is finished."""

    submit: Submit
    slot: Slot
    worker: Any
    """Who has it, of those that the slot has had."""
    ticket: str = field(default_factory=secrets.token_hex)
    made: MadeSegment | None = None

    @property
    def bytes(self) -> int:
        return self.made.bytes if self.made else 0


class Agent:
    """Everything that an agent knows. `run` returns when the job wants no more."""

    def __init__(self, begin: Begin, connection: Connection) -> None:
        self._begin = begin
        self._connection = connection
        cluster, episode = begin.cluster, begin.episode
        self._workers = ClusterWorkers(
            cluster, episode.settings.device, set_aside=begin.set_aside, sharing=begin.sharing
        )
        self._roster = self._workers.roster
        self._shares = Shares(episode.source_sha256, cluster.episodes)
        self._waiting: deque[Submit] = deque()
        self._making: dict[Any, _Work] = {}
        self._finished: deque[_Work] = deque()
        self._taking: dict[Any, _Work] = {}
        self._asked: dict[Any, Slot] = {}
        self._tries = Tries()
        self._offers: dict[bool, Any] = {}
        self._look_at = 0.0

    def run(self) -> None:
        while self._hear():
            if time.monotonic() >= self._look_at:
                self._workers.look()
                self._ask_others()
                self._tell()
                self._look_at = time.monotonic() + _LOOK_S
            self._take_in()
            self._hand_out()
            self._take_finished()

    # --- the job ---

    def _hear(self) -> bool:
        """Take in what the job wants; False once it wants no more."""
        try:
            while self._connection.poll():
                self._waiting.append(self._connection.recv())
        except EOFError:
            return False
        return True

    def _tell(self) -> None:
        self._connection.send(Nodes(self._roster.table(), len(self._roster.usable())))

    # --- what comes ---

    def _take_in(self) -> None:
        pending = [*self._workers.joining, *self._asked, *self._making, *self._taking]
        if not pending:
            self._connection.poll(_WAIT_S)
            return
        done, _ = ray.wait(pending, num_returns=1, timeout=_WAIT_S)
        for ref in done:
            if ref in self._workers.joining:
                self._workers.take_join(ref)
            elif ref in self._asked:
                self._take_answer(ref, self._asked.pop(ref))
            elif ref in self._making:
                self._take_made(ref, self._making.pop(ref))
            else:
                self._take_segment(ref, self._taking.pop(ref))

    def _take_answer(self, ref: Any, slot: Slot) -> None:
        try:
            self._shares.answered(slot, busy=ray.get(ref), mine=self._load().get(slot, 0))
        except ray.exceptions.RayError:
            return  # it is seen to be gone by those who wait for its work, or at the next look

    def _take_made(self, ref: Any, work: _Work) -> None:
        self._roster.ended(work.slot)
        try:
            made: MadeSegment | Failure = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._lost(work, words(error))
            return
        if isinstance(made, Failure):
            self._take_failure(work, made)
        else:
            self._roster.worked(work.slot, frames=made.frames, seconds=made.seconds)
            self._finished.append(replace(work, made=made))

    def _take_segment(self, ref: Any, work: _Work) -> None:
        assert work.made is not None
        try:
            taken: Taken | Failure = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._lost(work, words(error))
            return
        if isinstance(taken, Failure):
            self._take_failure(work, taken)
            return
        if taken.unshared is not None:
            self._roster.unshare(work.slot, taken.unshared)
        try:
            self._store(taken, work.submit.target)
        except shared_folder.LostError as error:
            self._roster.unshare(work.slot, str(error))
            self._waiting.appendleft(work.submit)
            return
        except OSError as error:
            self._connection.send(NotStored(work.submit.target, error.errno or 0, error.strerror or str(error)))
            return
        self._tell()  # before it: the job may want no more after its last segment
        self._connection.send(Made(work.made, work.slot.node, shared=taken.left is not None))
        for node, reason in self._tries.made(work.submit.order.index, work.slot.node).items():
            self._roster.blame(node, reason)

    def _store(self, taken: Taken, target: Path) -> None:
        if taken.left is not None:
            assert self._begin.sharing is not None
            shared_folder.collect(self._begin.sharing, taken.left, target)
            return
        with target.open("wb") as file:
            file.write(taken.content)
            file.flush()
            os.fsync(file.fileno())

    def _lost(self, work: _Work, reason: str) -> None:
        """The worker is no more, and the segment with it, which is not its fault: it is no attempt of its own."""
        self._workers.lose(work.slot, reason, worker=work.worker)
        self._waiting.appendleft(work.submit)

    def _take_failure(self, work: _Work, failure: Failure) -> None:
        index = work.submit.order.index
        if failure.of_the_sharing:
            self._roster.unshare(work.slot, failure.reason)
            self._waiting.appendleft(work.submit)
            return
        self._roster.failed(work.slot, failure.reason)
        if failure.of_the_machine:
            self._roster.set_aside(work.slot.node, failure.reason)
        else:
            self._tries.failed(index, work.slot.node, failure.reason)
        if self._tries.is_hopeless(index, {slot.node for slot in self._roster.usable()}):
            self._connection.send(NotMade(index, failure.error, failure.reason, failure.remedy, work.slot.node))
        else:
            self._waiting.appendleft(work.submit)

    # --- what goes ---

    def _load(self) -> dict[Slot, int]:
        """How many segments each worker has, those that wait to be taken included: it makes no more meanwhile."""
        load = dict.fromkeys(self._roster.usable(), 0)
        for work in (*self._making.values(), *self._finished, *self._taking.values()):
            if work.slot in load:
                load[work.slot] += 1
        return load

    def _ask_others(self) -> None:
        for slot in self._shares.to_ask(self._load(), len(self._waiting)):
            if slot not in self._asked.values():
                self._asked[self._workers.call(slot, "busy")] = slot

    def _hand_out(self) -> None:
        load = self._load()
        nodes = {slot.node for slot in load}
        while self._waiting and (slot := self._shares.next(load, len(self._waiting))) is not None:
            submit = self._next_for(slot.node, nodes)
            if submit is None:
                del load[slot]
                continue
            work = _Work(submit, slot, self._workers.worker(slot))
            offer = self._offer(shared=self._workers.sharing(slot) is not None)
            ref = self._workers.call(slot, "make", self._begin.episode, offer, work.submit.order, work.ticket)
            self._making[ref] = work
            self._roster.began(slot)
            load[slot] += 1

    def _next_for(self, node: str, nodes: set[str]) -> Submit | None:
        for submit in self._waiting:
            if self._tries.may_go(submit.order.index, node, nodes):
                self._waiting.remove(submit)
                return submit
        return None

    def _take_finished(self) -> None:
        """As many as there is room for on the way, and one that is larger than all of that by itself."""
        while self._finished and (not self._taking or self._under_way + self._finished[0].bytes <= self._most_bytes):
            work = self._finished.popleft()
            if self._workers.worker(work.slot) is not work.worker:
                self._waiting.appendleft(work.submit)
                continue
            sharing = self._workers.sharing(work.slot)
            self._taking[self._workers.call(work.slot, "take", work.ticket, work.submit.order.index, sharing)] = work

    @property
    def _under_way(self) -> int:
        return sum(work.bytes for work in self._taking.values())

    @property
    def _most_bytes(self) -> int:
        return self._begin.cluster.in_flight_bytes

    def _offer(self, *, shared: bool) -> Any:
        """The source in the shared folder, or in Ray's store, where nodes copy it among themselves: put there once."""
        begin = self._begin
        if shared not in self._offers:
            path = begin.source_path if begin.cluster.shared_sources else None
            pieces: tuple[Any, ...] = ()
            if shared:
                assert begin.sharing is not None
                try:
                    path = shared_folder.place_source(
                        begin.source_fd,
                        begin.source_size,
                        begin.source_path,
                        begin.sharing,
                        begin.episode.source_sha256,
                    )
                except OSError:
                    return self._offer(shared=False)  # full, or gone: the next results will tell
            else:
                pieces = tuple(ray.put(piece) for piece in _pieces(begin.source_fd, begin.source_size))
            self._offers[shared] = ray.put(Offer(path, pieces, begin.custom_weights))
        return self._offers[shared]


def _pieces(fd: int, size: int) -> Iterator[bytes]:
    return (os.pread(fd, _PIECE, offset) for offset in range(0, size, _PIECE))


def main(arguments: list[str], agent: type[Agent] = Agent) -> int:
    """Serve one job until it closes the pipe."""
    die_with(int(arguments[1]))
    with Connection(int(arguments[0])) as connection:
        begin: Begin = connection.recv()
        try:
            ray.init(
                address=begin.cluster.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR
            )
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            connection.send(Nodes([], 0, words(error)))
            return 1
        agent(begin, connection).run()
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
