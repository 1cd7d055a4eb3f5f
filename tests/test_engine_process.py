"""Child processes end, say why, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, ProcessingError, ToolError
from engine.process import KEPT_LINES, Child, run, tool_version
from engine.programs import printable
from tests.media import left_behind

HERE = Path("episode.mkv")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(ToolError, match="no-such-program") as caught:
        run(["no-such-program"], silence_s=5, subject=HERE)
    assert "apt install" in caught.value.remedy


def test_a_silent_child_is_stopped_with_all_it_started() -> None:
    started = time.monotonic()
    with pytest.raises(ProcessingError, match="no sign of life") as caught:
        run(["sh", "-c", "sleep 1000 & echo $! >&2; sleep 1000"], silence_s=1, subject=HERE)
    assert time.monotonic() - started < 10
    until_gone(int(str(caught.value).split()[-1]))
    assert left_behind() == []


def test_a_stopped_child_counts_as_silent() -> None:
    with Child(["cat"], silence_s=1, subject=HERE, feed=True) as child:
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ProcessingError, match="no sign of life"):
            child.read(child.stdout_fd, 1)
        with pytest.raises(ProcessingError):
            child.finish()
    assert left_behind() == []


def test_a_child_that_reads_nothing_is_stopped() -> None:
    with (
        Child(["sleep", "1000"], silence_s=1, subject=HERE, feed=True) as child,
        pytest.raises(ProcessingError, match="no sign of life"),
    ):
        child.write(memoryview(bytes(1 << 20)))
    assert left_behind() == []


def test_last_lines_are_kept_escaped_and_in_the_error() -> None:
    script = "for i in $(seq 100); do echo line $i >&2; done; printf '\\033[31mred\\n' >&2; exit 3"
    with (
        Child(["sh", "-c", script], silence_s=5, subject=HERE) as child,
        pytest.raises(ProcessingError, match="ended with status 3") as caught,
    ):
        child.finish()
    words = str(caught.value)
    assert "\x1b" not in words
    assert "\\x1b[31mred" in words
    assert "line 100" in words
    assert "line 76" not in words
    assert f"line {102 - KEPT_LINES}" in words


def test_errors_of_other_decoders_do_not_count() -> None:
    script = "echo '[aac @ 0x1] [error] skipped' >&2; echo '[hevc @ 0x1] [error] lost' >&2"
    with Child(["sh", "-c", script], silence_s=5, subject=HERE, unheard=["aac"]) as child:
        child.finish()
    assert (child.error_lines, child.first_error) == (1, "[hevc @ 0x1] [error] lost")


def test_a_full_disk_in_a_childs_words_is_a_fault_of_the_machine_for_a_writer_only() -> None:
    argv = ["sh", "-c", "echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1"]
    for writes, expected in ((True, EnvironmentFault), (False, ProcessingError)):
        with Child(argv, silence_s=5, subject=HERE, writes=writes) as child, pytest.raises(expected):
            child.finish()


def test_a_child_that_says_too_much_is_stopped() -> None:
    with pytest.raises(ProcessingError, match="more than 100000 bytes"):
        run(["yes"], silence_s=5, subject=HERE, max_bytes=100_000)
    assert left_behind() == []


def test_children_die_with_a_killed_parent() -> None:
    script = (
        "import sys; from pathlib import Path; from engine.process import Child\n"
        "child = Child(['sleep', '1000'], silence_s=5, subject=Path('x'))\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":  # setpriv has done its work then
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.kill()
    until_gone(pid)


def test_messages_are_not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("FFREPORT", "file=report.log")
    said, _ = run(["env"], silence_s=5, subject=HERE)
    assert b"LC_ALL=C.UTF-8\n" in said
    assert b"FFREPORT" not in said


def test_printable_keeps_letters_and_escapes_controls() -> None:
    assert printable("拡大 é\n\x1b\u202e") == "拡大 é\\n\\x1b\\u202e"


def test_tool_version_is_the_first_line() -> None:
    assert tool_version("ffmpeg").startswith("ffmpeg version ")
