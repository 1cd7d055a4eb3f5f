"""Whose fault is it that a segment could not be made: its own, or the node's? Plain book-keeping; nothing of Ray here.

A segment that failed goes to another node. Where that makes it, the first node was to blame; where nobody can, nobody
is, and the job is told.
"""

from __future__ import annotations

from collections.abc import Collection

MOST = 3
"""Attempts at one segment before the job is told."""


class Tries:
    """Of one job's segments: on which nodes each failed, and why."""

    def __init__(self) -> None:
        self._failed: dict[int, list[tuple[str, str]]] = {}

    def failed(self, index: int, node: str, reason: str) -> None:
        """A node could not make a segment, for a reason that may lie in the segment."""
        self._failed.setdefault(index, []).append((node, reason))

    def may_go(self, index: int, node: str, nodes: Collection[str]) -> bool:
        """Whether a segment may go to that node: not where it failed, as long as one of `nodes` has not tried."""
        return node not in self._nodes(index) or not self._untried(index, nodes)

    def is_hopeless(self, index: int, nodes: Collection[str]) -> bool:
        """Whether so many nodes have failed, or so often all that there are, that the segment is to blame."""
        enough = len(self._failed.get(index, ())) >= MOST
        return enough and (len(self._nodes(index)) >= MOST or not self._untried(index, nodes))

    def made(self, index: int, node: str) -> dict[str, str]:
        """A node has made it: the other nodes that are to blame for their failures, and why."""
        return {other: reason for other, reason in self._failed.pop(index, ()) if other != node}

    def _nodes(self, index: int) -> set[str]:
        return {node for node, _ in self._failed.get(index, ())}

    def _untried(self, index: int, nodes: Collection[str]) -> set[str]:
        return set(nodes) - self._nodes(index)
