"""`kakudai status --watch`: page after page, a silent service is shown, Ctrl-C ends it, the terminal is as it was."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.status_watch import watch
from engine.errors import EnvironmentFault, MissingInputError
from tests.service_runner import ServiceRunner


def _answers() -> Iterator[dict[str, Any] | Exception]:
    yield {"answer": 1}
    yield EnvironmentFault("the service does not answer", remedy="look into its journal")
    yield {"answer": 2}


def test_json_is_one_line_each_and_a_silent_service_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    answers = _answers()

    def ask() -> dict[str, Any]:
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert watch(ask, every_s=0, as_json=True) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("answer") for line in lines] == [1, None, 2]
    assert lines[1]["remedy"] == "look into its journal"


def test_what_prevents_the_first_page_is_raised() -> None:
    def ask() -> dict[str, Any]:
        raise MissingInputError("no service", remedy="start one")

    with pytest.raises(MissingInputError):
        watch(ask, every_s=0, as_json=True)


def test_on_a_terminal_each_page_covers_the_last(tmp_path: Path) -> None:
    with ServiceRunner(tmp_path) as service:
        service.start()
        ours, theirs = pty.openpty()
        argv = [sys.executable, "-m", "daemon.cli", "status", "--watch", "0.1", "--config", str(service.config)]
        process = subprocess.Popen(argv, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        shown = b""
        while shown.count(b"Kakudai is running") < 3:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        while b"\x1b[?1049l" not in shown:
            shown += os.read(ours, 4096)
        assert process.wait(timeout=60) == 0
        os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.count(b"\x1b[H") >= 3
