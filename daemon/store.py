"""One SQLite file and its only connection: opened safely, written in transactions, faults told apart.

WAL with `synchronous=FULL`, opened exclusively: SQLite before 3.51.3 can lose a WAL that two connections checkpoint.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.ledger_schema import NewerLedgerError, migrate, refuse_newer
from engine.errors import EnvironmentFault, ToolError, UsageError

_BUSY_S = 5.0
_STEPS_BETWEEN_LOOKS = 10_000
"""Of SQLite's virtual machine: about a millisecond."""
_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class DamagedLedgerError(ToolError):
    """What the file holds is no ledger any more."""


class Store:
    """The connection. Raises `EnvironmentFault` (disk full, file locked), `ToolError` (too new),
    `DamagedLedgerError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._faults():
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            try:
                refuse_newer(self._connection)  # before a byte of it is changed
                for pragma in _PRAGMAS:
                    self._connection.execute(f"PRAGMA {pragma}").fetchall()
                _check(self._connection)
                migrate(self._connection)
            except NewerLedgerError as error:
                self._connection.close()
                raise ToolError(
                    f"the ledger was written by a newer Kakudai ({error})",
                    remedy="install that version again, or start with an empty state_dir",
                    path=path,
                ) from error
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Checkpoint and close."""
        self._connection.close()

    def rows(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._faults():
            return self._connection.execute(statement, values).fetchall()

    @property
    def changes(self) -> int:
        """Rows written since the file was opened."""
        return self._connection.total_changes

    def execute(self, statement: str, values: tuple[object, ...]) -> int:
        """Run one statement; returns how many rows it touched."""
        with self._faults():
            return self._connection.execute(statement, values).rowcount

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Give up a query of the block that takes more of the processor. Raises `UsageError`: it asks for too much."""
        deadline = time.thread_time() + seconds
        self._connection.set_progress_handler(lambda: time.thread_time() > deadline, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)

    @contextmanager
    def transaction(self) -> Iterator[Callable[[str, tuple[object, ...]], int]]:
        """All or nothing; yields `execute`. Do not nest."""
        with self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.execute
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise UsageError(
                    "this takes too long to look up", remedy="ask for less: one state, no search"
                ) from error
            raise EnvironmentFault(
                f"the ledger cannot be used for now: {error}",
                remedy=f"free space on, or repair, the disk of {self.path.parent}; no work is lost",
                path=self.path,
            ) from error
        except sqlite3.DatabaseError as error:
            raise DamagedLedgerError(
                f"the ledger is damaged: {error}",
                remedy="start the service: it sets the file aside and makes a new one from the folders and reports; "
                "and check the disk",
                path=self.path,
            ) from error


def _check(connection: sqlite3.Connection) -> None:
    (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise sqlite3.DatabaseError(told)
