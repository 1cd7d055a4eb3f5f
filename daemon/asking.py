"""Questions to the service; while none runs, the command opens the ledger itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from daemon.config_model import Config
from daemon.control import ask
from daemon.folder_files import FolderFiles
from daemon.knocks import Knocks
from daemon.ledger import Ledger
from daemon.lock import AlreadyOwned, state_lock
from daemon.orders import Orders
from daemon.places import SILENT_REMEDY, silent_folders
from daemon.rates import KnownRate
from daemon.status import snapshot
from engine.errors import EnvironmentFault, MissingInputError, ProcessingError
from engine.estimate import Rate

_PATIENCE_S = 10.0
"""Seconds that a service which holds the lock has to open its control socket."""


def status_of(config: Config) -> dict[str, Any]:
    """The state of the service, whether it runs or not."""
    return order(config, {"do": "status"})


def page_address(config: Config) -> str:
    """The status page's address, with the token that lets a browser steer. Raises `MissingInputError`."""
    answer = _ask_service(config, {"do": "web"})
    if answer is None:
        raise MissingInputError(
            "no service runs, so there is no page", remedy=f"start it: kakudai run --config {config.path}"
        )
    found = _done(answer)
    if found["address"] is None:
        raise MissingInputError(
            found["reason"] or "the status page is turned off (web: false)",
            remedy=found["remedy"] or "take that line out of the configuration, then reload the service",
            path=config.path,
        )
    entrance = f"/enter?token={found['token']}"
    if found["address"].startswith("unix:"):
        path = found["address"].removeprefix("unix:")
        return f"http://localhost:8640{entrance}\n  through the socket: ssh -L 8640:{path} HOST"
    return f"{found['address']}{entrance}"


def rates_of(config: Config) -> dict[tuple[str, str], KnownRate]:
    """What earlier jobs took, by fingerprint and kind. Raises `MissingInputError` where no service ever worked."""
    return {
        (str(fingerprint), str(kind)): KnownRate(Rate(float(speed), float(weight)), int(jobs))
        for fingerprint, kind, speed, weight, jobs in order(config, {"do": "rates"})["rates"]
    }


def order(config: Config, request: Mapping[str, Any]) -> dict[str, Any]:
    """What `daemon.orders` answers: the service's own, or, when none listens, of the ledger under its lock.

    A service that starts meanwhile is waited for. Raises `MissingInputError`, `ProcessingError` (refused),
    `EnvironmentFault`.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        answer = _ask_service(config, request)
        if answer is not None:
            return _done(answer)
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
                    orders = Orders(ledger, snapshot=partial(_state_without_service, config, ledger))
                    return _done(orders.answer(request))
                finally:
                    ledger.close()
        except AlreadyOwned:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _state_without_service(config: Config, ledger: Ledger) -> dict[str, Any]:
    files = FolderFiles()
    files.silent = silent = silent_folders(config, Knocks())
    waiting = {folder: (reason, SILENT_REMEDY) for folder, reason in silent.items()}
    return snapshot(config, ledger, waiting=waiting, service_runs=False, files=files)


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
    return answer


def _done(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise ProcessingError(answer["error"], remedy=answer["remedy"])
    return dict(answer)
