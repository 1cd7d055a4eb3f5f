"""Hours of work: over midnight, over the change of the clocks, and in the real service."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.schedule import Span, opens_at, parse_hours
from daemon.status import headline, render
from engine.parse_settings import SettingError
from tests.service_runner import CONFIG, ServiceRunner, write_picture

NIGHT = parse_hours("22:00-08:00")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        ("22:00-08:00", "2026-01-10 21:59:59", "2026-01-10 22:00:00"),
        ("22:00-08:00", "2026-01-10 22:00:00", None),
        ("22:00-08:00", "2026-01-10 00:30:00", None),
        ("22:00-08:00", "2026-01-10 08:00:00", "2026-01-10 22:00:00"),
        ("09:00-17:30", "2026-12-31 17:30:00", "2027-01-01 09:00:00"),
        (["6:00-7:00", "20:00-24:00"], "2026-01-10 12:00:00", "2026-01-10 20:00:00"),
        (["6:00-7:00", "20:00-24:00"], "2026-01-10 23:59:59", None),
        (["6:00-7:00", "20:00-24:00"], "2026-01-11 00:00:00", "2026-01-11 06:00:00"),
        ("22:00-08:00", "2026-03-29 12:00:00", "2026-03-29 22:00:00"),  # the clocks went forward that night
    ],
)
def test_when_work_goes_on(berlin: None, hours: object, now: str, opens: str | None) -> None:
    assert opens_at(parse_hours(hours), _at(now)) == (None if opens is None else _at(opens))


def test_a_night_over_the_change_of_the_clocks_is_nine_hours_long(berlin: None) -> None:
    assert opens_at(NIGHT, _at("2026-03-28 21:00:00")) == _at("2026-03-28 22:00:00")
    shut = _at("2026-03-28 22:00:00") + 9 * 3600
    assert opens_at(NIGHT, shut - 1) is None
    assert opens_at(NIGHT, shut) == _at("2026-03-29 22:00:00")


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] != span[1])))
def test_what_is_told_holds(spans: list[tuple[int, int]]) -> None:
    hours, now = [Span(*span) for span in spans], 1_780_000_000.0
    opens = opens_at(hours, now)
    if opens is not None:
        assert now < opens <= now + 25 * 3600
        assert opens_at(hours, opens) is None
        assert opens_at(hours, opens - 60) is not None


@pytest.mark.parametrize("value", ["22-8", "25:00-08:00", "08:00-08:00", "00:00-24:00", "24:00-08:00", 22, ["x"], [3]])
def test_what_is_no_span_is_told(value: object) -> None:
    with pytest.raises(SettingError):
        parse_hours(value)
    assert [str(span) for span in parse_hours(["6:05-24:00", "22:00 - 08:00"])] == ["06:05-24:00", "22:00-08:00"]


def test_outside_the_hours_work_waits_and_status_says_until_when(tmp_path: Path) -> None:
    later = [datetime.now() + timedelta(hours=hours) for hours in (2, 3)]
    hours = "-".join(moment.strftime("%H:%M") for moment in later)
    with ServiceRunner(tmp_path, CONFIG + f'hours: "{hours}"\n').start() as service:
        write_picture(service.inbox / "cel.png")
        status = service.wait_for(queued=1)
        assert (status["halt"]["by"], status["running"]) == ("hours", None)
        assert abs(status["halt"]["until"] - later[0].timestamp()) < 90
        assert f"it goes on at {later[0]:%H:%M}" in render(status)
        assert headline(status) == "paused, 1 queued"
        service.config.write_text(CONFIG)
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(delivered=1)
