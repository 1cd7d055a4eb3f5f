"""The workers of a cluster, as Ray's actors: found, started, joined, lost. The rest of Ray is in `agent`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from daemon.cluster import shared_folder
from daemon.cluster.passport import passport
from daemon.cluster.roster import Roster, Seen, Slot
from daemon.cluster.segment_actor import CONCURRENCY, SegmentActor
from daemon.cluster.settings import Cluster
from daemon.cluster.shared_folder import Sharing
from daemon.cluster.wire import Failure, Joined
from engine.settings import Device

NAMESPACE = "kakudai"


class ClusterWorkers:
    """All that one job sees of them; who may be given work is the `roster`'s to say."""

    def __init__(
        self,
        cluster: Cluster,
        device: Device,
        *,
        set_aside: Mapping[str, tuple[str, float]],
        sharing: Sharing | None,
    ) -> None:
        self.roster = Roster(cluster.workers, device, set_aside=set_aside)
        self._cluster = cluster
        self._sharing = sharing
        self._passport = passport()
        self._actors: dict[Slot, Any] = {}
        self._joining: dict[Any, Slot] = {}

    @property
    def joining(self) -> Collection[Any]:
        """Answers that are still to come: each is for `take_join`."""
        return self._joining

    def worker(self, slot: Slot) -> Any:
        """The slot's worker at present; None where there is none."""
        return self._actors.get(slot)

    def call(self, slot: Slot, method: str, *arguments: object) -> Any:
        """Call a worker's method; what comes is Ray's reference to the answer."""
        return getattr(self._actors[slot], method).remote(*arguments)

    def sharing(self, slot: Slot) -> Sharing | None:
        """The shared folder, where the worker's node sees it."""
        return self._sharing if self.roster.shares(slot) else None

    def look(self) -> None:
        """Take note of the nodes that are there now, and have workers started where some are wanted."""
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
        for slot in self.roster.see(seen):
            self._actors.pop(slot, None)
        for slot in self.roster.to_open():
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
            "num_gpus": self._cluster.workers.gpus if slot.device == "gpu" else 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(slot.node, soft=False),
        }
        try:
            actor = (
                ray.remote(concurrency_groups=CONCURRENCY)(SegmentActor)
                .options(**options)
                .remote(
                    device=str(slot.device),
                    slot=slot.number,
                    cpus=slot.cpus,
                    alone=slot.alone,
                    episodes=self._cluster.episodes,
                    fetch=ray.get,
                )
            )
            self._actors[slot] = actor
            self._joining[actor.join.remote(self._passport, self._sharing, _answer_name(slot))] = slot
        except ValueError:
            return  # its name is not free yet: a worker of that name is just ending
        except ray.exceptions.RayError as error:
            self.lose(slot, words(error))

    def _name(self, slot: Slot) -> str:
        """Workers of other versions or other shares have other names, and end by themselves."""
        shape = repr((sorted(self._passport.items()), self._cluster.workers, slot.device))
        return f"segments {hashlib.sha256(shape.encode()).hexdigest()[:12]} {slot.node} {slot.number}"

    def take_join(self, ref: Any) -> None:
        """A worker has answered: it may be given work, or its node may not."""
        slot = self._joining.pop(ref)
        try:
            answer: Joined | Failure = ray.get(ref)
        except ray.exceptions.RayError as error:
            self.lose(slot, words(error))
            return
        if isinstance(answer, Failure):
            self.roster.set_aside(slot.node, answer.reason)
            self._actors.pop(slot, None)
            return
        self.roster.joined(slot)
        if self._sharing is not None:
            unseen = None if shared_folder.answered(self._sharing, _answer_name(slot)) else self._unseen()
            if reason := answer.unshared or unseen:
                self.roster.unshare(slot, reason)

    def _unseen(self) -> str:
        assert self._sharing is not None
        return f"what is written to {self._sharing.root} there is not seen by the service"

    def lose(self, slot: Slot, reason: str, *, worker: Any = None) -> None:
        """The worker of a slot is no more; another is asked for at the next look.

        `worker`: who it was, for whom several may tell: it died once.
        """
        if worker is not None and worker is not self.worker(slot):
            return
        self._actors.pop(slot, None)
        self.roster.left(slot)
        self.roster.failed(slot, reason)
        self.roster.blame(slot.node, reason)


def _answer_name(slot: Slot) -> str:
    return f"{slot.node[:16]}-{slot.number}"


def words(error: BaseException) -> str:
    """One line of Ray's many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
