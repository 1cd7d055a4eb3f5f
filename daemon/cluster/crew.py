"""A job's hands on the cluster: starts an agent, hands it the segments, takes what comes back, and starts another agent
when the first is gone. What was under way then is handed out again.

Nothing of Ray here: the agent is a process of its own.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from daemon.cluster.settings import Cluster, WhenGone
from daemon.cluster.shared_folder import Sharing, sharing
from daemon.cluster.wire import Begin, Made, Nodes, NotMade, NotStored, Submit
from engine import errors
from engine.elsewhere import Crew, CrewGoneError, EpisodeOrder, MadeSegment, SegmentOrder
from engine.errors import EnvironmentFault, KakudaiError, ProcessingError
from engine.files import storage_error
from engine.source import Source

log = logging.getLogger(__name__)

_AGAIN_S = 2.0
"""Seconds between two attempts at reaching the cluster."""
_LAST_WORDS_S = 2.0
"""Seconds for an agent that ends to say why, in the job's log."""
_REMEDY = "look at `ray status` on the head; work goes on by itself once workers are there"

Tell = Callable[[list[dict[str, Any]], str | None], None]
"""Told how the nodes are, and what keeps the cluster from being there."""


def cluster_crew(
    cluster: Cluster, *, set_aside: Mapping[str, tuple[str, float]], tell: Tell
) -> Callable[[EpisodeOrder, Source], Any]:
    """An `engine.elsewhere.Elsewhere` on a cluster. `set_aside`: nodes that earlier jobs found unfit."""

    @contextmanager
    def gather(episode: EpisodeOrder, source: Source) -> Iterator[Crew]:
        with ExitStack() as stack:
            place = _shared_place(cluster, stack)
            crew = ClusterCrew(cluster, episode, source, set_aside=dict(set_aside), tell=tell, place=place)
            stack.callback(crew.close)
            yield crew

    return gather


def _shared_place(cluster: Cluster, stack: ExitStack) -> Sharing | None:
    """A place in the shared folder, as long as the stack is open; None where there is none to be had."""
    if cluster.shared is None:
        return None
    try:
        return stack.enter_context(sharing(cluster.shared))
    except (OSError, KakudaiError) as error:
        reason = error.reason if isinstance(error, KakudaiError) else error.strerror
        log.warning("cluster.shared: %s: %s; everything goes through Ray", cluster.shared, reason)
        return None


class ClusterCrew:
    """See `engine.elsewhere.Crew`. The agent is started with the first segment: a job may need none."""

    def __init__(
        self,
        cluster: Cluster,
        episode: EpisodeOrder,
        source: Source,
        *,
        set_aside: dict[str, tuple[str, float]],
        tell: Tell,
        place: Sharing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._episode, self._source = cluster, episode, source
        self._set_aside = set_aside
        self._tell = tell
        self._place = place
        self._clock = clock
        self._open: dict[int, Submit] = {}
        self._agent: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._again_at = 0.0
        self._alone_since: float | None = None
        self._problem = "nothing was heard of it"
        self._made_by: Counter[str] = Counter()
        self._shared = 0
        self._agents = 0
        self._names: dict[str, str] = {}

    def submit(self, order: SegmentOrder, target: Path) -> None:
        self._open[order.index] = Submit(order, target)
        if self._agent is not None:
            self._send(self._open[order.index])

    def finished(self, *, wait_s: float) -> list[MadeSegment]:
        """Raises `EnvironmentFault` (or `CrewGoneError` where work then goes on here) after `patience_s` without a
        worker, the workers' own error for a segment that several could not make, and what the disk says.
        """
        if not self._open:
            time.sleep(wait_s)
            return []
        self._begin_if_needed()
        made: list[MadeSegment] = []
        wait = wait_s
        while self._agent is not None and self._heard(wait):
            wait = 0.0
            message = self._receive()
            if isinstance(message, Made):
                if self._open.pop(message.segment.index, None) is not None:
                    self._made_by[message.node] += 1
                    self._shared += message.shared
                    made.append(message.segment)
            elif message is not None:
                self._take(message)
        if self._agent is None and not made:
            time.sleep(wait_s)
        if not made:
            self._check_patience()
        return made

    def facts(self) -> dict[str, object]:
        """Segments by node, those that came through the shared folder, and how often the cluster was reached anew."""
        by_name = {f"{self._names.get(node, 'node')} ({node[:12]})": count for node, count in self._made_by.items()}
        return {
            "segments_by_node": by_name,
            "segments_shared": self._shared,
            "reconnected": max(0, self._agents - 1),
        }

    def close(self) -> None:
        """End the agent: segments under way are dropped."""
        if self._agent is not None:
            process, connection = self._agent
            self._agent = None
            connection.close()
            process.kill()
            process.wait()

    # --- the agent ---

    def _begin_if_needed(self) -> None:
        if self._agent is not None or self._clock() < self._again_at:
            return
        self._again_at = self._clock() + _AGAIN_S
        ours, theirs = multiprocessing.Pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "daemon.cluster.agent", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._source.fd),
            )
        if self._alone_since is None:
            self._alone_since = self._clock()
        self._agents += 1
        self._agent = process, ours
        self._send(
            Begin(
                self._cluster,
                self._episode,
                self._source.fd,
                self._source.path.absolute(),
                self._source.size,
                self._custom_weights(),
                self._set_aside,
                self._place,
            )
        )
        for submit in self._open.values():
            self._send(submit)

    def _custom_weights(self) -> tuple[bytes, bytes | None] | None:
        path = self._episode.settings.weights
        if path is None:
            return None
        card = path.with_suffix(".json")
        return path.read_bytes(), card.read_bytes() if card.is_file() else None

    def _send(self, message: object) -> None:
        if self._agent is not None:
            try:
                self._agent[1].send(message)
            except OSError:
                self._lost()

    def _heard(self, wait_s: float) -> bool:
        assert self._agent is not None
        return self._agent[1].poll(wait_s)

    def _receive(self) -> object | None:
        assert self._agent is not None
        try:
            message: object = self._agent[1].recv()
            return message
        except (EOFError, OSError):
            self._lost()
            return None

    def _lost(self) -> None:
        """Ray ends its driver's process when it loses the cluster; another one may find it again."""
        assert self._agent is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._agent[0].wait(_LAST_WORDS_S)
        self.close()
        self._again_at = self._clock() + _AGAIN_S
        if self._alone_since is None:
            self._alone_since = self._clock()

    def _take(self, message: object) -> None:
        match message:
            case Nodes():
                self._names |= {row["node"]: row["name"] for row in message.table}
                self._set_aside |= {
                    row["node"]: (row["reason"], row["until"]) for row in message.table if row["until"] is not None
                }
                self._problem = message.problem or _why_nobody(message.table)
                if message.usable:
                    self._alone_since = None
                elif self._alone_since is None:
                    self._alone_since = self._clock()
                self._tell(message.table, message.problem)
            case NotMade():
                raise _error(message, self._source.path)
            case NotStored():
                raise storage_error(OSError(message.errno, message.strerror), message.path)
            case _:
                raise TypeError(message)

    def _check_patience(self) -> None:
        if self._alone_since is None or self._clock() - self._alone_since < self._cluster.patience_s:
            return
        reason = f"no worker of the cluster at {self._cluster.address} can be reached: {self._problem}"
        self._tell([], reason)
        if self._cluster.when_gone is WhenGone.LOCAL:
            raise CrewGoneError(reason, remedy=_REMEDY)
        raise EnvironmentFault(reason, remedy=_REMEDY)


def _why_nobody(table: list[dict[str, Any]]) -> str:
    reasons = [f"{row['name']}: {row['reason'] or row['state']}" for row in table]
    return "; ".join(reasons) or "it has no nodes"


def _error(message: NotMade, path: Path) -> KakudaiError:
    kind = getattr(errors, message.error, None)
    if not (isinstance(kind, type) and issubclass(kind, KakudaiError)) or kind is errors.ConfigError:
        kind = ProcessingError
    return kind(f"{message.reason} (on node {message.node[:12]})", remedy=message.remedy, path=path)
