"""The cluster as the service knows it: what the jobs tell of its nodes, kept between jobs, for people and for the next
job. Nothing of Ray here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.cluster.settings import Cluster
from daemon.text import duration, printable

MOST_NODES = 10_000
"""Told by one job. What says more is not believed."""
_LARGEST = 1 << 53
_TEXTS = ("node", "name", "state")
_FORGOTTEN_S = 3600.0
"""Seconds after which a node that nobody speaks of is shown no longer."""


@dataclass(frozen=True)
class Told:
    """What a job says: a row for each node, and why the cluster is not there."""

    nodes: tuple[Mapping[str, Any], ...]
    problem: str | None

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Told:
        """Raises KeyError, TypeError or ValueError for what cannot be one."""
        rows = list(event["nodes"])
        if len(rows) > MOST_NODES:
            raise ValueError(len(rows))
        problem = event["problem"]
        return cls(tuple(map(_row, rows)), None if problem is None else printable(str(problem)))


def _row(said: Mapping[str, Any]) -> Mapping[str, Any]:
    row: dict[str, Any] = {name: printable(str(said[name])) for name in _TEXTS}
    row |= {name: int(_bounded(said[name])) for name in ("workers", "busy", "segments", "failures")}
    row["frames_per_second"] = _bounded(said["frames_per_second"])
    row["device"] = None if said["device"] is None else printable(str(said["device"]))
    row["reason"] = None if said["reason"] is None else printable(str(said["reason"]))
    row["until"] = None if said["until"] is None else _bounded(said["until"])
    return row


def _bounded(value: object) -> float:
    if not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise ValueError(value)
    return float(value)


class ClusterView:
    """What was told last of each node, and what its nodes did for all jobs so far."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._nodes: dict[str, dict[str, Any]] = {}
        self._told: dict[int, dict[str, tuple[int, int]]] = {}
        self._problem: str | None = None

    def note(self, job: int, told: Told) -> None:
        """Take in what a job says. Its counts are its own; here they are added up."""
        self._problem = told.problem
        before = self._told.setdefault(job, {})
        for row in told.nodes:
            node = self._nodes.setdefault(row["node"], {"segments": 0, "failures": 0})
            done, failed = before.get(row["node"], (0, 0))
            counts = {
                "segments": node["segments"] + max(0, row["segments"] - done),
                "failures": node["failures"] + max(0, row["failures"] - failed),
            }
            rate = row["frames_per_second"] or node.get("frames_per_second", 0.0)
            node |= {**row, **counts, "frames_per_second": rate, "told": self._now()}
            before[row["node"]] = (row["segments"], row["failures"])

    def over(self, job: int) -> None:
        """The job is over: none of its segments is under way."""
        for node in self._told.pop(job, {}):
            if node in self._nodes:
                self._nodes[node]["busy"] = 0

    def set_aside(self) -> dict[str, tuple[str, float]]:
        """For the next job: nodes that get no work, why, and until when (seconds since 1970)."""
        return {
            id_: (node["reason"], node["until"])
            for id_, node in self._nodes.items()
            if node["until"] is not None and node["until"] > self._now()
        }

    def plain(self, cluster: Cluster | None) -> dict[str, Any] | None:
        """JSON-ready; None where there is no cluster."""
        if cluster is None:
            return None
        recent = [node for node in self._nodes.values() if node["told"] > self._now() - _FORGOTTEN_S]
        return {
            "address": printable(cluster.address),
            "problem": self._problem,
            "nodes": [
                {**node, "told": round(node["told"])}
                for node in sorted(recent, key=lambda node: (node["name"], node["node"]))
            ],
        }


def cluster_lines(cluster: Mapping[str, Any] | None) -> Iterator[str]:
    """The cluster's part of the page that `kakudai status` prints."""
    if cluster is None:
        return
    yield f"Cluster at {cluster['address']}"
    if cluster["problem"]:
        yield f"         {cluster['problem']}"
    if not cluster["nodes"]:
        yield "         no node has been seen yet: the first episode goes and looks"
    for node in cluster["nodes"]:
        workers = f"{node['workers']} {node['device'] or ''} worker{'' if node['workers'] == 1 else 's'}"
        facts = [f"{node['name']} ({node['node'][:8]})", node["state"], workers]
        facts += [f"{node['busy']} busy"] if node["busy"] else []
        facts += [f"{node['frames_per_second']:.3g} frames/s", f"{node['segments']} segments"]
        facts += [f"{node['failures']} failures"] if node["failures"] else []
        yield f"         {', '.join(facts)}"
        if node["reason"]:
            left = node["until"] - time.time() if node["until"] else 0.0
            again = f" (tried again in {duration(left)})" if left > 0 else ""
            yield f"           {node['reason']}{again}"
