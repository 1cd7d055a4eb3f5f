"""Questions to the service; while none runs, the command opens the ledger itself."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from daemon.config_model import Config
from daemon.control import ask
from daemon.ledger import Ledger
from daemon.lock import AlreadyOwned, state_lock
from daemon.status import snapshot
from engine.errors import EnvironmentFault, KakudaiError, MissingInputError, ProcessingError

_START_PATIENCE_S = 10.0
"""Seconds that a service which holds the lock has to open its control socket."""


def status_of(config: Config) -> dict[str, Any]:
    """The state of the service, whether it runs or not."""
    answer = _ask_service(config, {"do": "status"})
    if answer is not None:
        return answer
    with _own_ledger(config) as ledger:
        return snapshot(config, ledger, service_runs=False)


def retry_jobs(config: Config, jobs: Collection[int] | None) -> tuple[list[int], dict[int, str]]:
    """Queue ended jobs again (None: every failed one). Returns those queued, and why others were not."""
    answer = _ask_service(config, {"do": "retry", "jobs": None if jobs is None else list(jobs)})
    if answer is not None:
        return list(answer["queued"]), {int(number): why for number, why in answer["refused"].items()}
    with _own_ledger(config) as ledger:
        return ledger.retry(jobs)


def _ask_service(config: Config, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """None when no service runs. One that is just starting is waited for."""
    deadline = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            answer = ask(config.state_dir, request)
        except PermissionError as error:
            raise MissingInputError(
                "this user may not talk to the service",
                remedy="use sudo, or join the group of the service (kakudai)",
                path=config.state_dir,
            ) from error
        except TimeoutError as error:
            raise EnvironmentFault(
                "the service does not answer", remedy="look into its journal", path=config.state_dir
            ) from error
        if answer is not None:
            if "error" in answer:
                raise ProcessingError(answer["error"], remedy=answer["remedy"])
            return answer
        if not config.state_dir.is_dir() or time.monotonic() >= deadline or not _is_owned(config):
            return None
        time.sleep(0.1)


def _is_owned(config: Config) -> bool:
    try:
        with state_lock(config.state_dir):
            return False
    except AlreadyOwned:
        return True
    except KakudaiError:
        return False


@contextmanager
def _own_ledger(config: Config) -> Iterator[Ledger]:
    path = config.state_dir / "ledger.db"
    if not path.exists():
        raise MissingInputError(
            "no service has worked with this state folder yet",
            remedy="start one: kakudai run --config " + str(config.path),
            path=config.state_dir,
        )
    with state_lock(config.state_dir):
        ledger = Ledger(path)
        try:
            yield ledger
        finally:
            ledger.close()
