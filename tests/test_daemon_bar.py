"""The progress bar: time left on a terminal, nothing elsewhere, a stage that counts something else begins anew."""

from __future__ import annotations

import io

import pytest

from daemon.bar import above_bars, bar
from engine.progress import ProgressEvent


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is_and_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    with bar("a.mkv", quiet=False) as progress:
        progress(ProgressEvent("look", 5, 10, "places"))
        for done in range(1, 5):
            progress(ProgressEvent("enlarge", done, 8, "frames"))
        above_bars("a line\n")
    shown = terminal.getvalue()
    assert "a.mkv: look" in shown
    assert "4/8 [" in shown
    assert "<" in shown.rpartition("4/8 [")[2]  # elapsed<left
    assert capsys.readouterr().out == "a line\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_elsewhere_there_is_none(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with bar("a.mkv", quiet=quiet) as progress:
        progress(ProgressEvent("enlarge", 5, None, "frames"))
        progress(ProgressEvent("encode", 1, 2, "frames"))
    assert capsys.readouterr().err == ""
