"""Questions to the service; while none runs, the command opens the ledger itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from daemon.config_model import Config
from daemon.control import ask
from daemon.ledger import Ledger
from daemon.lock import AlreadyOwned, state_lock
from daemon.rates import KnownRate
from daemon.status import snapshot
from engine.errors import EnvironmentFault, MissingInputError, ProcessingError
from engine.estimate import Rate

_T = TypeVar("_T")

_PATIENCE_S = 10.0
"""Seconds that a service which holds the lock has to open its control socket."""


def status_of(config: Config) -> dict[str, Any]:
    """The state of the service, whether it runs or not."""
    return _ask(
        config,
        {"do": "status"},
        understand=lambda answer: answer,
        otherwise=lambda ledger: snapshot(config, ledger, service_runs=False),
    )


def retry_jobs(config: Config, jobs: Collection[int] | None) -> tuple[list[int], dict[int, str]]:
    """Queue ended jobs again (None: every failed one). Returns those queued, and why others were not."""
    return _ask(
        config,
        {"do": "retry", "jobs": None if jobs is None else list(jobs)},
        understand=lambda answer: (
            list(answer["queued"]),
            {int(number): str(why) for number, why in answer["refused"].items()},
        ),
        otherwise=lambda ledger: ledger.retry(jobs),
    )


def rates_of(config: Config) -> dict[tuple[str, str], KnownRate]:
    """What earlier jobs took, by fingerprint and kind. Raises `MissingInputError` where no service ever worked."""
    return _ask(
        config,
        {"do": "rates"},
        understand=lambda answer: {
            (str(fingerprint), str(kind)): KnownRate(Rate(float(speed), float(weight)), int(jobs))
            for fingerprint, kind, speed, weight, jobs in answer["rates"]
        },
        otherwise=lambda ledger: ledger.rates.all(),
    )


def _ask(
    config: Config,
    request: Mapping[str, Any],
    *,
    understand: Callable[[dict[str, Any]], _T],
    otherwise: Callable[[Ledger], _T],
) -> _T:
    """Ask the service; when none listens, take the lock and look oneself. One that starts meanwhile is waited for."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        answer = _ask_service(config, request)
        if answer is not None:
            return understand(answer)
        if not (config.state_dir / "ledger.db").exists():
            raise MissingInputError(
                "no service has worked with this state folder yet",
                remedy=f"start one: kakudai run --config {config.path}",
                path=config.state_dir,
            )
        try:
            with state_lock(config.state_dir):
                ledger = Ledger(config.state_dir / "ledger.db")
                try:
                    return otherwise(ledger)
                finally:
                    ledger.close()
        except AlreadyOwned:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _ask_service(config: Config, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """None when no service listens."""
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
    if answer is not None and "error" in answer:
        raise ProcessingError(answer["error"], remedy=answer["remedy"])
    return answer
