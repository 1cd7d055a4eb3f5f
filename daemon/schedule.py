"""`hours`: the times of day at which work is done, in local time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.parse_settings import SettingError

_MINUTES_A_DAY = 24 * 60
_SPAN = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*[-–]\s*(?:([01]?\d|2[0-3]):([0-5]\d)|(24):(00))")


@dataclass(frozen=True)
class Span:
    """From `start` to `end`, in minutes after midnight; over midnight where the end comes first."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"

    def holds(self, minute: int) -> bool:
        """Whether a minute of the day lies in it: the first does, the last does not."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def next_start(self, moment: datetime) -> datetime:
        """When it begins next after `moment`."""
        hour, minute = divmod(self.start, 60)
        today = moment.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return today if today > moment else today + timedelta(days=1)


def parse_hours(value: object) -> tuple[Span, ...]:
    """`"22:00-08:00"`, or a list of such. Raises `SettingError`."""
    given = value if isinstance(value, list) else [value]
    spans = []
    for text in given:
        match = _SPAN.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise SettingError(f'"{text}" is no span of hours; write for example "22:00-08:00"')
        numbers = [int(word) for word in match.groups() if word is not None]
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if start == end or (start, end) == (0, _MINUTES_A_DAY):
            raise SettingError(f'"{text}" is the whole day; drop hours to work all the time')
        spans.append(Span(start, end))
    return tuple(spans)


def opens_at(hours: Sequence[Span], now: float) -> float | None:
    """When work goes on again, in seconds since 1970; None where it may go on at `now`, and where `hours` is empty."""
    moment = datetime.fromtimestamp(now)
    minute = moment.hour * 60 + moment.minute
    if not hours or any(span.holds(minute) for span in hours):
        return None
    return min(span.next_start(moment) for span in hours).timestamp()
