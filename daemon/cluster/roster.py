"""The nodes of a cluster and their workers: who may be given work, who fails too often, who is set aside and why.

Plain book-keeping; nothing of Ray here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.cluster.settings import Workers
from engine.settings import Device

FAILURES_IN_A_ROW = 3
"""After so many failures without a success between them a node is set aside."""
SET_ASIDE_S = 600.0
"""Seconds for which a node that is set aside gets no work; then it is tried again."""
_KEPT_RATES = 20


@dataclass(frozen=True)
class Seen:
    """A node as the cluster tells it. `id` is new whenever the node is started anew."""

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Slot:
    """A place for one worker on a node."""

    node: str
    number: int
    device: Device
    cpus: int
    alone: bool
    """The only one of its node."""


@dataclass
class _Node:
    seen: Seen
    slots: tuple[Slot, ...]
    joined: set[Slot] = field(default_factory=set)
    busy: int = 0
    segments: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_reason: str | None = None
    unshared: str | None = None
    rates: list[float] = field(default_factory=list)


class Roster:
    """Who is there. `clock` tells seconds since 1970, since what is set aside outlives a process."""

    def __init__(
        self,
        workers: Workers,
        device: Device,
        *,
        set_aside: Mapping[str, tuple[str, float]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workers = workers
        self._device = device
        self._clock = clock
        self._nodes: dict[str, _Node] = {}
        self._lost: dict[str, _Node] = {}
        self._set_aside = dict(set_aside or {})

    def see(self, seen: Iterable[Seen]) -> list[Slot]:
        """The nodes that are there now; the slots that are no more."""
        now = {node.id: node for node in seen}
        on_gpus = self._on_gpus(now.values())
        gone = [node for id_, node in self._nodes.items() if id_ not in now]
        for node in gone:
            self._lost[node.seen.id] = self._nodes.pop(node.seen.id)
        for id_, there in now.items():
            if id_ not in self._nodes:
                self._nodes[id_] = _Node(there, self._slots(there, on_gpus=on_gpus))
        return [slot for node in gone for slot in node.slots]

    def _on_gpus(self, nodes: Iterable[Seen]) -> bool:
        """One kind of device for all: they differ in the last bits."""
        if self._device is Device.AUTO:
            return any(node.gpus >= self._workers.gpus for node in nodes) or any(
                slot.device is Device.GPU for node in self._nodes.values() for slot in node.slots
            )
        return self._device is Device.GPU

    def _slots(self, node: Seen, *, on_gpus: bool) -> tuple[Slot, ...]:
        share, whole = (self._workers.gpus, node.gpus) if on_gpus else (self._workers.cpus, node.cpus)
        device = Device.GPU if on_gpus else Device.CPU
        count = int(whole / share + 1e-9)
        return tuple(Slot(node.id, number, device, self._workers.cpus, count == 1) for number in range(count))

    def to_open(self) -> list[Slot]:
        """Slots where a worker is wanted and none has joined."""
        return [
            slot
            for node in self._nodes.values()
            if not self.is_set_aside(node.seen.id)
            for slot in node.slots
            if slot not in node.joined
        ]

    def joined(self, slot: Slot) -> None:
        if slot.node in self._nodes:
            self._nodes[slot.node].joined.add(slot)

    def left(self, slot: Slot) -> None:
        if slot.node in self._nodes:
            self._nodes[slot.node].joined.discard(slot)

    def usable(self) -> list[Slot]:
        """Slots whose worker has joined and may be given work."""
        return [
            slot
            for node in self._nodes.values()
            if not self.is_set_aside(node.seen.id)
            for slot in sorted(node.joined, key=lambda slot: slot.number)
        ]

    def began(self, slot: Slot) -> None:
        if slot.node in self._nodes:
            self._nodes[slot.node].busy += 1

    def ended(self, slot: Slot) -> None:
        if slot.node in self._nodes:
            self._nodes[slot.node].busy -= 1

    def worked(self, slot: Slot, *, frames: int, seconds: float) -> None:
        """A segment came back well."""
        node = self._nodes.get(slot.node) or self._lost.get(slot.node)
        if node is not None:
            node.segments += 1
            node.failures_in_a_row = 0
            node.rates = [*node.rates[1 - _KEPT_RATES :], frames / max(seconds, 1e-6)]

    def failed(self, slot: Slot, reason: str) -> None:
        """A segment did not; whose fault it was may be seen later."""
        node = self._nodes.get(slot.node) or self._lost.get(slot.node)
        if node is not None:
            node.failures += 1
            node.last_reason = reason

    def blame(self, id_: str, reason: str) -> None:
        """It was the node's fault. Too many in a row, and it is set aside."""
        node = self._nodes.get(id_) or self._lost.get(id_)
        if node is None:
            return
        node.failures_in_a_row += 1
        if node.failures_in_a_row >= FAILURES_IN_A_ROW:
            self.set_aside(id_, f"failed {node.failures_in_a_row} times in a row: {reason}")

    def shares(self, slot: Slot) -> bool:
        """Whether its node uses the shared folder, if there is one."""
        return slot.node in self._nodes and self._nodes[slot.node].unshared is None

    def unshare(self, slot: Slot, reason: str) -> None:
        """From now on its node is sent everything, and sends it back."""
        if slot.node in self._nodes:
            self._nodes[slot.node].unshared = f"does not use the shared folder: {reason}"

    def set_aside(self, node: str, reason: str) -> None:
        """Give a node nothing for a while."""
        self._set_aside[node] = (reason, self._clock() + SET_ASIDE_S)
        if node in self._nodes:
            self._nodes[node].failures_in_a_row = 0

    def is_set_aside(self, node: str) -> bool:
        return node in self._set_aside and self._clock() < self._set_aside[node][1]

    def table(self) -> list[dict[str, Any]]:
        """For people and programs, JSON-ready."""
        rows = [self._row(node, "") for node in self._nodes.values()]
        return rows + [self._row(node, "gone") for node in self._lost.values() if node.segments or node.failures]

    def _row(self, node: _Node, state: str) -> dict[str, Any]:
        id_ = node.seen.id
        reason, until = node.last_reason or node.unshared, None
        if not state and self.is_set_aside(id_):
            state = "set aside"
            reason, until = self._set_aside[id_]
        elif not state:
            state = "works" if node.joined else "has no room" if not node.slots else "joins"
        mean = sum(node.rates) / len(node.rates) if node.rates else 0.0
        return {
            "node": id_,
            "name": node.seen.name,
            "state": state,
            "workers": len(node.joined),
            "device": str(node.slots[0].device) if node.slots else None,
            "busy": node.busy,
            "segments": node.segments,
            "frames_per_second": round(mean * max(1, len(node.joined)), 3),
            "failures": node.failures,
            "reason": reason,
            "until": until,
        }
