"""Which worker gets a job's next segment. Plain book-keeping; nothing of Ray here.

Each job has workers of its own, on as few nodes as may be, so that a source is copied to few; every worker is, on the
whole, two jobs' own, so that where one episode ends another is at work already. When its own are all busy a job asks
the others, and those that do nothing are lent to it: no GPU waits as long as any episode has segments left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from daemon.cluster.roster import Slot

AHEAD = 2
"""Segments that a worker has at once: one at the network, another being decoded, flushed or checked."""
_MOST_ASKED = 16
"""Workers of others asked at each look."""


class Shares:
    """Of one job. `load` maps every worker that may be given work to how many of the job's segments it has."""

    def __init__(self, source_sha256: str, episodes: int) -> None:
        self._source, self._episodes = source_sha256, episodes
        self._lent: set[Slot] = set()

    def own(self, slots: Sequence[Slot]) -> list[Slot]:
        """Node by node, in an order that each source draws anew: twice the even share."""
        drawn = {slot.node: hashlib.sha256(f"{self._source} {slot.node}".encode()).digest() for slot in slots}
        share = -(-2 * len(slots) // self._episodes)
        return sorted(slots, key=lambda slot: (drawn[slot.node], slot.number))[: max(1, share)]

    def next(self, load: Mapping[Slot, int], waiting: int) -> Slot | None:
        """Who gets one of the segments that wait; None as long as all have enough.

        Towards the end of an episode nobody has one in reserve that another could begin with.
        """
        mine = self.own(list(load))
        most = AHEAD if waiting > len(mine) else 1
        for slots in (mine, [slot for slot in load if slot in self._lent]):
            if slots and load[least := min(slots, key=load.__getitem__)] < most:
                return least
        return None

    def to_ask(self, load: Mapping[Slot, int], waiting: int) -> list[Slot]:
        """Workers who are to be asked how much they have to do: those lent, and more where segments would wait."""
        self._lent &= set(load)
        mine = self.own(list(load))
        others = [slot for slot in load if slot not in mine and slot not in self._lent]
        full = waiting and all(load[slot] for slot in mine)
        return [*self._lent, *(others[: min(waiting, _MOST_ASKED)] if full else ())]

    def answered(self, slot: Slot, *, busy: int, mine: int) -> None:
        """A worker has `busy` segments at work, `mine` of them this job's: with none for others it is lent."""
        if busy <= mine:
            self._lent.add(slot)
        else:
            self._lent.discard(slot)
