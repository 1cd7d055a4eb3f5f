"""The process between a job and the cluster: `python -P -m daemon.cluster.agent FD PARENT`, started by `crew`.

It is Ray's driver, and apart from the job's process because Ray ends its driver's process when it loses the cluster.
One loop: hear the job, look at the nodes, take in what is done, hand out what waits, tell how it stands.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from daemon.cluster.passport import passport
from daemon.cluster.roster import Roster, Seen, Slot
from daemon.cluster.segment_actor import Offer, SegmentActor
from daemon.cluster.wire import Begin, Failure, Made, Nodes, NotMade, NotStored, Submit
from daemon.parent_death import die_with
from engine.elsewhere import MadeSegment

NAMESPACE = "kakudai"
_LOOK_S = 2.0
"""Seconds between looks at the nodes."""
_WAIT_S = 0.2
_PIECE = 16 << 20
"""Bytes of a source in one object of Ray's store."""
_TRIES = 3
"""Attempts at one segment before the job is told."""
_UNKNOWN_SEGMENT_BYTES = 64 << 20


@dataclass(frozen=True)
class _Work:
    """A segment under way."""

    submit: Submit
    slot: Slot
    content: Any


class Agent:
    """Everything that an agent knows. `run` returns when the job wants no more."""

    def __init__(self, begin: Begin, connection: Connection) -> None:
        self._begin = begin
        self._connection = connection
        self._passport = passport()
        self._roster = Roster(begin.cluster.workers, begin.episode.settings.device, set_aside=begin.set_aside)
        self._actors: dict[Slot, Any] = {}
        self._joining: dict[Any, Slot] = {}
        self._working: dict[Any, _Work] = {}
        self._waiting: deque[Submit] = deque()
        self._failures: dict[int, int] = {}
        self._offer: Any = None
        self._largest = 0
        self._look_at = 0.0

    def run(self) -> None:
        while self._hear():
            if time.monotonic() >= self._look_at:
                self._look()
                self._tell()
                self._look_at = time.monotonic() + _LOOK_S
            self._take_in()
            self._hand_out()

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

    # --- the nodes ---

    def _look(self) -> None:
        seen = [
            Seen(
                node["NodeID"],
                node["NodeManagerHostname"] or node["NodeManagerAddress"],
                node["Resources"].get("CPU", 0.0),
                node["Resources"].get("GPU", 0.0),
            )
            for node in ray.nodes()
            if node["Alive"]
        ]
        for slot in self._roster.see(seen):
            self._actors.pop(slot, None)
        for slot in self._roster.to_open():
            if slot not in self._actors:
                self._open(slot)

    def _open(self, slot: Slot) -> None:
        """Ask for a slot's worker: the one that another job has started, or a new one."""
        options = {
            "name": self._name(slot),
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": 0,
            "num_cpus": slot.cpus if slot.device == "cpu" else 0,
            "num_gpus": self._begin.cluster.workers.gpus if slot.device == "gpu" else 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(slot.node, soft=False),
        }
        try:
            actor = (
                ray.remote(SegmentActor)
                .options(**options)
                .remote(
                    device=str(slot.device),
                    slot=slot.number,
                    cpus=slot.cpus,
                    alone=slot.alone,
                    episodes=self._begin.cluster.episodes,
                    fetch=ray.get,
                )
            )
            self._actors[slot] = actor
            self._joining[actor.join.remote(self._passport)] = slot
        except ValueError:
            return  # its name is not free yet: a worker of that name is just ending
        except ray.exceptions.RayError as error:
            self._lose(slot, _words(error))

    def _name(self, slot: Slot) -> str:
        """Workers of other versions or other shares have other names, and end by themselves."""
        shape = repr((sorted(self._passport.items()), self._begin.cluster.workers, slot.device))
        return f"segments {hashlib.sha256(shape.encode()).hexdigest()[:12]} {slot.node} {slot.number}"

    def _lose(self, slot: Slot, reason: str) -> None:
        """The worker of a slot is no more; another is asked for at the next look."""
        self._actors.pop(slot, None)
        self._roster.left(slot)
        self._roster.failed(slot, reason)

    # --- the work ---

    def _take_in(self) -> None:
        pending = [*self._joining, *self._working]
        if not pending:
            self._connection.poll(_WAIT_S)
            return
        done, _ = ray.wait(pending, num_returns=1, timeout=_WAIT_S)
        for ref in done:
            if ref in self._joining:
                self._take_join(ref, self._joining.pop(ref))
            else:
                self._take_made(ref, self._working.pop(ref))

    def _take_join(self, ref: Any, slot: Slot) -> None:
        try:
            failure: Failure | None = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._lose(slot, _words(error))
            return
        if failure is None:
            self._roster.joined(slot)
        else:
            self._roster.set_aside(slot.node, failure.reason)
            self._actors.pop(slot, None)

    def _take_made(self, ref: Any, work: _Work) -> None:
        self._roster.ended(work.slot)
        order = work.submit.order
        try:
            made: MadeSegment | Failure = ray.get(ref)
            content: bytes = b"" if isinstance(made, Failure) else ray.get(work.content)
        except ray.exceptions.RayError as error:
            self._lose(work.slot, _words(error))
            self._waiting.appendleft(work.submit)  # not its fault: it is no attempt of its own
            return
        if isinstance(made, Failure):
            self._take_failure(work, made)
            return
        try:
            _store(content, work.submit.target)
        except OSError as error:
            self._connection.send(NotStored(work.submit.target, error.errno or 0, error.strerror or str(error)))
            return
        self._largest = max(self._largest, len(content))
        self._roster.worked(work.slot, frames=made.frames, seconds=made.seconds)
        self._tell()  # before it: the job may want no more after its last segment
        self._connection.send(Made(made, work.slot.node))
        self._failures.pop(order.index, None)

    def _take_failure(self, work: _Work, failure: Failure) -> None:
        index = work.submit.order.index
        self._roster.failed(work.slot, failure.reason)
        if failure.of_the_machine:
            self._roster.set_aside(work.slot.node, failure.reason)
        else:
            self._failures[index] = self._failures.get(index, 0) + 1
        if self._failures.get(index, 0) >= _TRIES:
            self._connection.send(NotMade(index, failure.error, failure.reason, failure.remedy, work.slot.node))
        else:
            self._waiting.appendleft(work.submit)

    def _hand_out(self) -> None:
        """A segment for each worker, two where there are plenty, as long as what will come back is bounded."""
        slots = self._mine(self._roster.usable())
        load = dict.fromkeys(slots, 0)
        for work in self._working.values():
            if work.slot in load:
                load[work.slot] += 1
        while self._waiting and slots and self._has_room():
            slot = min(slots, key=load.__getitem__)
            if load[slot] >= (2 if len(self._waiting) > len(slots) else 1):
                return
            load[slot] += 1
            self._send(self._waiting.popleft(), slot)

    def _mine(self, slots: list[Slot]) -> list[Slot]:
        """With many episodes at once each goes to some of the nodes, others to others: fewer copies of each source.

        Twice the even share, so that where one episode ends others are at work already.
        """
        share = -(-2 * len(slots) // self._begin.cluster.episodes)
        source = self._begin.episode.source_sha256
        drawn = {slot.node: hashlib.sha256(f"{source} {slot.node}".encode()).digest() for slot in slots}
        return sorted(slots, key=lambda slot: (drawn[slot.node], slot.number))[: max(1, share)]

    def _has_room(self) -> bool:
        each = self._largest or _UNKNOWN_SEGMENT_BYTES
        return not self._working or (len(self._working) + 1) * each <= self._begin.cluster.in_flight_bytes

    def _send(self, submit: Submit, slot: Slot) -> None:
        if self._offer is None:
            self._offer = self._make_offer()
        made, content = (
            self._actors[slot].make.options(num_returns=2).remote(self._begin.episode, self._offer, submit.order)
        )
        self._working[made] = _Work(submit, slot, content)
        self._roster.began(slot)

    def _make_offer(self) -> Any:
        """Put the source into Ray's store, once: nodes copy it among themselves."""
        begin = self._begin
        pieces = tuple(ray.put(piece) for piece in _pieces(begin.source_fd, begin.source_size))
        return ray.put(Offer(begin.source_path, begin.cluster.shared_sources, pieces, begin.custom_weights))


def _pieces(fd: int, size: int) -> Iterator[bytes]:
    for offset in range(0, size, _PIECE):
        yield os.pread(fd, _PIECE, offset)


def _store(content: bytes, target: Path) -> None:
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _words(error: BaseException) -> str:
    """One line of Ray's many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def main(arguments: list[str]) -> int:
    """Serve one job until it closes the pipe."""
    die_with(int(arguments[1]))
    with Connection(int(arguments[0])) as connection:
        begin: Begin = connection.recv()
        try:
            ray.init(
                address=begin.cluster.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR
            )
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            connection.send(Nodes([], 0, _words(error)))
            return 1
        Agent(begin, connection).run()
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
