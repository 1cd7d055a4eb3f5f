"""The ledger's tables, and how an older ledger becomes the present one: each step one transaction."""

from __future__ import annotations

import sqlite3

STATES = ("queued", "running", "verifying", "delivered", "failed", "incomplete", "skipped")

_FIRST = (
    # Paths are BLOBs: names need not be UTF-8. Times are seconds since 1970, for people; only the pruning of
    # history rests on them.
    f"""
    CREATE TABLE jobs (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        folder        BLOB    NOT NULL,
        source        BLOB    NOT NULL,
        kind          TEXT    NOT NULL CHECK (kind IN ('file', 'sequence')),
        inode         INTEGER NOT NULL,
        device        INTEGER NOT NULL,
        size          INTEGER NOT NULL,
        mtime_ns      INTEGER NOT NULL,
        superseded    INTEGER NOT NULL DEFAULT 0,
        state         TEXT    NOT NULL CHECK (state IN {STATES}),
        position      INTEGER NOT NULL,
        failures      INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        profile       TEXT,
        sha256        TEXT,
        fingerprint   TEXT,
        wanted        BLOB,
        part          BLOB,
        part_inode    INTEGER,
        part_size     INTEGER,
        part_sha256   TEXT,
        output        BLOB,
        original      TEXT    CHECK (original IN ('pending', 'kept', 'moved', 'deleted')),
        error         TEXT,
        reason        TEXT,
        remedy        TEXT,
        report        TEXT,
        created       REAL    NOT NULL,
        changed       REAL    NOT NULL
    )
    """,
    # A file is queued once: the same path, inode, size and time of change is the same file.
    """
    CREATE UNIQUE INDEX jobs_by_identity ON jobs (source, inode, size, mtime_ns) WHERE superseded = 0
    """,
    "CREATE INDEX jobs_by_state ON jobs (state, position)",
    "CREATE INDEX jobs_by_change ON jobs (state, changed)",
    "CREATE INDEX jobs_by_content ON jobs (sha256, fingerprint)",
    "CREATE INDEX jobs_with_original_pending ON jobs (id) WHERE original = 'pending'",
    "CREATE INDEX jobs_with_part ON jobs (id) WHERE part IS NOT NULL",
    """
    CREATE TABLE attempts (
        job     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        number  INTEGER NOT NULL,
        started REAL    NOT NULL,
        ended   REAL,
        outcome TEXT CHECK (outcome IN (
            'delivered', 'failed', 'skipped', 'changed', 'paused', 'stopped', 'interrupted')),
        reason  TEXT,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
    # Folders that were there once: when one is missing later, a mount is lost, and none is created instead.
    "CREATE TABLE places (path BLOB PRIMARY KEY) WITHOUT ROWID",
)

_SECOND = (
    # `key` is the SHA-256 over all that decides a segment's bytes beside its place, `first_frame` and `frames`.
    """
    CREATE TABLE segments (
        job         INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        number      INTEGER NOT NULL,
        key         TEXT    NOT NULL,
        first_frame INTEGER NOT NULL,
        frames      INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        sha256      TEXT    NOT NULL,
        finished    REAL    NOT NULL,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
    # What jobs with these settings took: sums in which older jobs count less and less. `pixels` and `seconds` are of
    # the enlarging alone, `bytes` of what was encoded.
    """
    CREATE TABLE rates (
        fingerprint TEXT    NOT NULL,
        kind        TEXT    NOT NULL,
        pixels      REAL    NOT NULL,
        seconds     REAL    NOT NULL,
        bytes       REAL    NOT NULL,
        jobs        INTEGER NOT NULL,
        changed     REAL    NOT NULL,
        PRIMARY KEY (fingerprint, kind)
    ) WITHOUT ROWID
    """,
)

_THIRD = (
    # Of the queued, the highest comes first; within one priority, the order of the queue.
    "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX jobs_by_state",
    "CREATE INDEX jobs_by_state ON jobs (state, priority DESC, position)",
    "CREATE INDEX jobs_in_queue ON jobs (folder, priority DESC, position) WHERE state = 'queued'",
    # While the row is there, all work is paused because somebody asked for it.
    """
    CREATE TABLE pause (
        id     INTEGER PRIMARY KEY CHECK (id = 1),
        reason TEXT    NOT NULL,
        since  REAL    NOT NULL
    )
    """,
)

_COUNT = "INSERT INTO counts VALUES ({row}.folder, {row}.state, {by}) ON CONFLICT DO UPDATE SET jobs = jobs + {by}"
_FOURTH = (
    # How many jobs of a folder are in a state, kept by the database itself: who looks every second must not count.
    """
    CREATE TABLE counts (
        folder BLOB    NOT NULL,
        state  TEXT    NOT NULL,
        jobs   INTEGER NOT NULL,
        PRIMARY KEY (folder, state)
    ) WITHOUT ROWID
    """,
    "INSERT INTO counts SELECT folder, state, count(*) FROM jobs GROUP BY folder, state",
    f"CREATE TRIGGER job_comes AFTER INSERT ON jobs BEGIN {_COUNT.format(row='NEW', by=1)}; END",
    f"CREATE TRIGGER job_goes AFTER DELETE ON jobs BEGIN {_COUNT.format(row='OLD', by=-1)}; END",
    "CREATE TRIGGER job_moves AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state BEGIN "
    f"{_COUNT.format(row='OLD', by=-1)}; {_COUNT.format(row='NEW', by=1)}; END",
)

_FIFTH = (
    # How often an incomplete file was looked at, since it was queued or queued again by hand.
    "ALTER TABLE jobs ADD COLUMN looks INTEGER NOT NULL DEFAULT 0",
    "UPDATE jobs SET looks = max(0, -failures + "
    "(SELECT count(*) FROM attempts WHERE job = jobs.id AND outcome = 'failed')) "
    "WHERE state IN ('queued', 'running', 'incomplete')",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""Statements that lead from version N to N + 1. Never edit one that was released: append."""


def refuse_newer(connection: sqlite3.Connection) -> int:
    """The ledger's version. Raises `NewerLedgerError` when a newer Kakudai wrote it; nothing is changed then."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise NewerLedgerError(found)
    return found


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the ledger to the present version and return the version it had. Raises as `refuse_newer`."""
    found = refuse_newer(connection)
    for version in range(found, len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return found


class NewerLedgerError(Exception):
    """The ledger's version is newer than this program knows."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version}, this Kakudai knows {len(MIGRATIONS)}")
        self.version = version
