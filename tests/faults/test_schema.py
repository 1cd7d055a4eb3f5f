"""A ledger of the first version, its migration killed at every fdatasync and pwrite64; and one from the future."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from daemon.ledger_schema import MIGRATIONS
from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner

_INSERT = (
    "INSERT INTO jobs (folder, source, kind, inode, device, size, mtime_ns, state, position, created, changed) "
    "VALUES (x'2f61', x'2f612f62', 'file', 1, 1, 1, 1, 'failed', 1, 0, 0)"
)
_OPEN = "import sys, pathlib; from daemon.ledger import Ledger; Ledger(pathlib.Path(sys.argv[1])).close()"


def _old(path: Path) -> None:
    connection = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(_INSERT)
    connection.commit()
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(which("strace") is None, reason="strace is not installed")
def test_an_older_one_is_migrated_also_under_kill(tmp_path: Path, seen: Seen) -> None:
    kills = 0
    for call in ("fdatasync", "pwrite64"):
        for step in range(1, 200):
            path = tmp_path / f"{call}{step}.db"
            _old(path)
            killer = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
            killer += ["-e", f"inject={call}:signal=KILL:when={step}", sys.executable, "-c", _OPEN, str(path)]
            died = subprocess.run(killer, check=False, capture_output=True).returncode != 0
            connection = sqlite3.connect(path)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            connection.close()
            assert ("segments" in tables) == (version >= 2)
            subprocess.run([sys.executable, "-c", _OPEN, str(path)], check=True)
            connection = sqlite3.connect(path)
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert connection.execute("SELECT state FROM jobs").fetchall() == [("failed",)]
            connection.close()
            if not died:
                break
            kills += 1
    assert kills >= 4
    seen("each step whole or not at all, finished at the next start", kills=kills, lost=0)


def test_a_newer_one_is_refused_untouched(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path) as service:
        (tmp_path / "state").mkdir()
        connection = sqlite3.connect(tmp_path / "state" / "ledger.db")
        connection.execute("PRAGMA user_version = 1000")
        connection.close()
        before = (tmp_path / "state" / "ledger.db").read_bytes()
        process = service.launch().process
        assert process is not None
        assert process.wait(timeout=60) == 69
        assert "newer Kakudai" in service.log()
        assert (tmp_path / "state" / "ledger.db").read_bytes() == before
    seen("a newer ledger: refused, exit 69, not a byte changed")
