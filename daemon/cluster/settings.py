"""What the configuration says about the cluster."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ToolError


class WhenGone(enum.StrEnum):
    """What a job does when no worker can be reached for `patience_s`: wait, or be done on the service's machine."""

    WAIT = "wait"
    LOCAL = "local"


@dataclass(frozen=True)
class Workers:
    """How a node is divided: a worker for so much of it. On a node without GPU, `cpus` alone counts."""

    gpus: float = 1.0
    """A half: two workers share a GPU, and one decodes and encodes while the other computes."""
    cpus: int = 2


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster to send segments to."""

    address: str = "auto"
    """`auto` (this machine is one of its nodes), `host:port` (the same, by name) or `ray://host:10001`."""
    workers: Workers = Workers()
    when_gone: WhenGone = WhenGone.WAIT
    patience_s: float = 60.0
    episodes: int = 2
    """Jobs at work at once, so that no worker waits at the end of an episode."""
    in_flight_bytes: int = 1_000_000_000
    """Bytes of finished segments that may be on their way here."""
    shared_sources: bool = False
    """Whether the nodes see the sources under the same paths; what they see is checked by its hash."""
    shared: Path | None = None
    """A folder that the nodes and this machine see under one path: sources and finished segments go through it, by the
    nodes that prove at their join that they see it. None: through Ray.
    """

    def to_plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        shared = None if self.shared is None else str(self.shared)
        return {**dataclasses.asdict(self), "when_gone": str(self.when_gone), "shared": shared}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Cluster:
        """From `to_plain`."""
        return cls(
            **{
                **plain,
                "workers": Workers(**plain["workers"]),
                "when_gone": WhenGone(plain["when_gone"]),
                "shared": None if plain["shared"] is None else Path(plain["shared"]),
            },
        )


def check_cluster(cluster: Cluster | None) -> None:
    """Raise `ToolError` where a cluster is wanted and Ray is not installed."""
    if cluster is not None and importlib.util.find_spec("ray") is None:
        raise ToolError(
            f"the configuration names a cluster ({cluster.address}), and Ray is not installed",
            remedy="pip install 'kakudai[cluster]', or remove `cluster` from config.yaml",
        )
