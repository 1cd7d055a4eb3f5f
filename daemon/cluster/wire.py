"""What passes between a job's process and its agent: these objects, pickled, over a pipe that nobody else holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.cluster.settings import Cluster
from daemon.cluster.shared_folder import Sharing
from engine.elsewhere import EpisodeOrder, MadeSegment, SegmentOrder


@dataclass(frozen=True)
class Begin:
    """The first word to an agent: which cluster, which episode. The source is open under `source_fd` there too."""

    cluster: Cluster
    episode: EpisodeOrder
    source_fd: int
    source_path: Path
    source_size: int
    custom_weights: tuple[bytes, bytes | None] | None
    """Weights of the user's own, with their card: sent along, since no node has them."""
    set_aside: dict[str, tuple[str, float]]
    """Nodes that earlier jobs found unfit: why, and until when (seconds since 1970)."""
    sharing: Sharing | None = None
    """This job's place in the shared folder, where there is one."""


@dataclass(frozen=True)
class Submit:
    """Have a segment made and written to `target`."""

    order: SegmentOrder
    target: Path


@dataclass(frozen=True)
class Made:
    """It lies at its target, flushed."""

    segment: MadeSegment
    node: str
    shared: bool
    """Whether it came through the shared folder."""


@dataclass(frozen=True)
class NotMade:
    """Several tried, and none could. The fields are those of the last one's error."""

    index: int
    error: str
    reason: str
    remedy: str
    node: str


@dataclass(frozen=True)
class NotStored:
    """The disk of the target refuses."""

    path: Path
    errno: int
    strerror: str


@dataclass(frozen=True)
class Nodes:
    """How the nodes are. `usable`: how many workers could take a segment; `problem`: why the cluster is not there."""

    table: list[dict[str, Any]]
    usable: int
    problem: str | None = None


@dataclass(frozen=True)
class Failure:
    """What went wrong on a worker. Errors themselves do not travel: their class may be unknown where they arrive."""

    error: str
    reason: str
    remedy: str
    of_the_machine: bool
    """Another machine may well succeed: a full disk, a missing GPU."""
    of_the_sharing: bool = False
    """The same one may well succeed when it is sent what it did not find in the shared folder."""


@dataclass(frozen=True)
class Joined:
    """A worker that may be given work. `unshared`: why it does not use the shared folder, if one was offered."""

    unshared: str | None = None


@dataclass(frozen=True)
class Taken:
    """A finished segment: its bytes, or the name under which it was `left` in the shared folder.

    `unshared`: why it was not left there, though it should have been.
    """

    content: bytes = b""
    left: str | None = None
    unshared: str | None = None
