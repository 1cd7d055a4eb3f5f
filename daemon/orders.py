"""What people ask for, by the command or the status page: one JSON object, answered with one.

    {"do": "status"}                                            → the state of the service
    {"do": "rates"}                                             → what earlier jobs took
    {"do": "pause", "reason": "…"}    {"do": "resume"}          → {"paused": {"reason": "…", "since": 1.7e9} | null}
    {"do": "cancel", "jobs": [1, 2]}  {"do": "front", "jobs": […]}
    {"do": "priority", "jobs": […], "priority": 5}
    {"do": "retry", "jobs": […] | null}                         → {"jobs": [1], "refused": {"2": "it is delivered"}}

    {"do": "preview", "job": 1}                                 → the same; only the service does it (`daemon.previews`)

What only looks stands in `daemon.looks`. Whatever cannot be understood or done is answered with
{"error": "…", "remedy": "…", "exit_code": 64}.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from daemon.config_schema import HIGHEST_PRIORITY
from daemon.ledger import Judged, Ledger
from daemon.looks import Looks
from daemon.text import printable
from daemon.worker import Worker
from engine.errors import KakudaiError, UsageError

log = logging.getLogger(__name__)

BY_HAND = "asked for by hand"
"""Why work is paused when nobody said."""
_LONGEST_REASON = 200
_MOST_JOBS = 10_000

Answer = Mapping[str, Any]


class Orders:
    """Answers orders: in the service with its `worker`; while none runs, by whoever holds the lock.

    `more` are questions that the service alone can answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        snapshot: Callable[[], dict[str, Any]],
        worker: Worker | None = None,
        more: Mapping[str, Callable[[Answer], Answer]] | None = None,
    ) -> None:
        self._ledger = ledger
        self._worker = worker
        self._known: Mapping[str, Callable[[Answer], Answer]] = {
            "status": lambda _request: snapshot(),
            "rates": self._rates,
            "pause": self._pause,
            "resume": self._resume,
            "cancel": self._cancel,
            "priority": self._prioritise,
            "front": self._move_to_front,
            "retry": self._retry,
            **Looks(ledger).known,
            **(more or {}),
        }

    def answer(self, request: Answer) -> Answer:
        """Do what is asked. Raises nothing but what is a fault of Kakudai."""
        act = self._known.get(str(request.get("do")))
        try:
            if act is None:
                raise UsageError("no such request", remedy=f"there are {', '.join(self._known)}")
            return act(request)
        except KakudaiError as error:
            return {"error": str(error), "remedy": error.remedy, "exit_code": error.exit_code}

    def _rates(self, _request: Answer) -> Answer:
        known = self._ledger.rates.all().items()
        return {
            "rates": [
                [*key, found.rate.pixels_per_second, found.rate.bytes_per_pixel, found.jobs] for key, found in known
            ]
        }

    def _pause(self, request: Answer) -> Answer:
        reason = printable(str(request.get("reason") or BY_HAND))[:_LONGEST_REASON]
        self._ledger.pause(reason)
        log.info("all work is paused: %s", reason)
        return self._paused()

    def _resume(self, _request: Answer) -> Answer:
        if self._ledger.paused() is not None:
            self._ledger.resume()
            log.info("work goes on")
        return self._paused()

    def _paused(self) -> Answer:
        paused = self._ledger.paused()
        return {"paused": None if paused is None else {"reason": paused.reason, "since": paused.since}}

    def _cancel(self, request: Answer) -> Answer:
        judged = self._ledger.cancel(_jobs(request))
        if self._worker:
            self._worker.drop(judged.jobs)
        log.info("cancelled: %s", ", ".join(map(str, judged.jobs)) or "nothing")
        return _told(judged)

    def _prioritise(self, request: Answer) -> Answer:
        priority = _whole(request.get("priority"), "the priority")
        if abs(priority) > HIGHEST_PRIORITY:
            raise UsageError(f"priority {priority} is out of range", remedy=f"at most ±{HIGHEST_PRIORITY}")
        return _told(self._ledger.prioritise(_jobs(request), priority))

    def _move_to_front(self, request: Answer) -> Answer:
        return _told(self._ledger.move_to_front(_jobs(request)))

    def _retry(self, request: Answer) -> Answer:
        judged = self._ledger.retry(None if request.get("jobs") is None else _jobs(request))
        if self._worker:
            for number in judged.jobs:
                self._worker.pauses.forget_job(number)
        return _told(judged)


def _told(judged: Judged) -> Answer:
    return {"jobs": judged.jobs, "refused": {str(number): why for number, why in judged.refused.items()}}


def _jobs(request: Answer) -> list[int]:
    given = request.get("jobs")
    if not isinstance(given, list) or not given or len(given) > _MOST_JOBS:
        raise UsageError("which jobs?", remedy=f'give their numbers as "jobs": [1, 2], at most {_MOST_JOBS}')
    return [_whole(number, "a job's number") for number in given]


def _whole(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise UsageError(f"{what} is a whole number, not {printable(str(value)[:40])}", remedy="give a number")
    return value
