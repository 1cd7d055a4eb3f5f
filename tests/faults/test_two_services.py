"""The service started twice on one state folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import Seen
from tests.service_runner import ServiceRunner


def test_the_second_refuses_and_says_why(tmp_path: Path, seen: Seen) -> None:
    with ServiceRunner(tmp_path).start() as service:
        second = subprocess.run(
            [sys.executable, "-m", "daemon.cli", "run", "--config", str(service.config)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert second.returncode == 75
        assert service.process is not None
        assert f"another Kakudai (process {service.process.pid}) works with this state folder" in second.stderr
        assert service.status()["service"]["runs"]
    seen("the second exited 75 and named the first's process")
