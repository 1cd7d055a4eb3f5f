"""Segments made one by one, out of order, each decoded from a key frame: bit for bit what one pass makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine import job, segments
from engine.elsewhere import Crew, CrewGoneError, EpisodeOrder, MadeSegment, SegmentOrder
from engine.errors import InputError, ProcessingError
from engine.segment_check import count_decoded
from engine.segment_maker import SegmentMaker
from engine.settings import Container, Damaged, Deinterlace, Device, Settings
from engine.source import Source, open_source
from tests import media
from tests.test_engine_interlace import KINDS, clip
from tests.test_engine_open_gop import cut

SETTINGS = Settings(model="bicubic", encoder=media.FAST, device=Device.CPU)


class Workshop:
    """A crew in this process, of two threads with one network, that makes the latest orders first."""

    def __init__(self, maker: SegmentMaker) -> None:
        self._maker = maker
        self._orders: list[tuple[SegmentOrder, Path]] = []
        self.made: list[MadeSegment] = []

    def submit(self, order: SegmentOrder, target: Path) -> None:
        self._orders.append((order, target))

    def finished(self, *, wait_s: float) -> list[MadeSegment]:
        if not self._orders:
            return []
        both = [self._orders.pop() for _ in self._orders[-2:]]
        with ThreadPoolExecutor(2) as threads:
            made = list(threads.map(lambda order: self._maker.make(*order), both))
        self.made += made
        return made

    def facts(self) -> dict[str, object]:
        return {}


def workshop(path: Path, crews: list[Workshop]) -> Callable[[EpisodeOrder, Source], object]:
    """An `Elsewhere` that opens the source under another name, as a node does."""

    @contextmanager
    def gather(order: EpisodeOrder, source: Source) -> Iterator[Crew]:
        copy = path.with_name("sent.source")
        copy.write_bytes(path.read_bytes())
        with open_source(copy) as sent:
            crews.append(Workshop(SegmentMaker(sent, order)))
            yield crews[-1]

    return gather


def both_ways(path: Path, folder: Path, settings: Settings) -> tuple[Path, Path, list[Workshop]]:
    """The episode enlarged in one pass, and by a workshop."""
    crews: list[Workshop] = []
    parts = folder / "here", folder / "there"
    for part, elsewhere in zip(parts, (None, workshop(path, crews)), strict=True):
        work = folder / f"{part.name}.work"
        work.mkdir()
        with open_source(path) as source:
            planned = job.plan(source, settings)
            report = job.enlarge(
                source,
                part,
                settings,
                planned=planned,
                work_dir=work,
                progress=lambda event: None,
                elsewhere=elsewhere,  # type: ignore[arg-type]
            )
            assert report.details["segments"] > 2  # type: ignore[operator]
    return *parts, crews


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Fraction | None]:
    """Where each decode of a segment began."""
    found: list[Fraction | None] = []
    make = SegmentMaker._make

    def noted(self: SegmentMaker, order: SegmentOrder, target: Path, start_s: Fraction | None) -> MadeSegment:
        found.append(start_s)
        return make(self, order, target, start_s)

    monkeypatch.setattr(SegmentMaker, "_make", noted)
    return found


def variable(folder: Path) -> Path:
    return media.fansub(folder / "a.mkv", timestamps=[40.0 * n + 7 * (n % 3) for n in range(36)])


def cut_open(folder: Path) -> Path:
    return cut(folder, "h264")


def mp4(folder: Path) -> Path:
    return media.mp4(folder / "a.mp4")


@pytest.mark.parametrize(
    "made", [variable, pytest.param(cut_open, marks=pytest.mark.slow), pytest.param(mp4, marks=pytest.mark.slow)]
)
def test_segments_in_any_order_are_those_of_one_pass(
    tmp_path: Path, made: Callable[[Path], Path], begun: list[Fraction | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", Fraction(1, 2))
    here, there, crews = both_ways(made(tmp_path), tmp_path, SETTINGS)
    assert media.frame_hashes(here) == media.frame_hashes(there)
    assert media.packets(here) == media.packets(there)
    assert media.stream_hashes(here, "v") == media.stream_hashes(there, "v")  # the encoded bits as well
    assert sum(start is not None for start in begun) == len(crews[0].made) - 1  # all but the first, and none twice


def test_where_a_key_frame_is_no_beginning_the_frames_are_decoded_from_the_first(
    tmp_path: Path, begun: list[Fraction | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradual refresh: x264 marks recovery points as key frames, from which a decoder gives other frames at first."""
    monkeypatch.setattr(segments, "SEGMENT_S", Fraction(1, 2))
    refresh = ("-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=10:bframes=0:rc-lookahead=0", "-crf", "30")
    path = media.video(tmp_path / "a.mkv", frames=48, size="192x128", codec=refresh)
    here, there, crews = both_ways(path, tmp_path, SETTINGS)
    assert media.stream_hashes(here, "v") == media.stream_hashes(there, "v")
    assert len(begun) > len(crews[0].made)  # some began twice


@pytest.mark.slow
def test_deinterlaced_segments_are_those_of_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", Fraction(1, 2))
    path = clip(tmp_path / "a.mkv", KINDS["top first"][0], frames=48)
    settings = dataclasses.replace(SETTINGS, deinterlace=Deinterlace.BWDIF)
    here, there, _ = both_ways(path, tmp_path, settings)
    assert media.stream_hashes(here, "v") == media.stream_hashes(there, "v")


@pytest.mark.slow
def test_a_damaged_episode_that_is_accepted_is_the_same_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", Fraction(1, 2))
    path = media.video(tmp_path / "a.mkv", frames=60, more=("-g", "12"))
    content = bytearray(path.read_bytes())
    for offset in range(len(content) // 2, len(content) // 2 + 300):
        content[offset] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(InputError):
        both_ways(path, tmp_path, SETTINGS)
    (tmp_path / "b").mkdir()
    here, there, _ = both_ways(path, tmp_path / "b", dataclasses.replace(SETTINGS, damaged=Damaged.ACCEPT))
    assert media.frame_hashes(here) == media.frame_hashes(there)


@pytest.mark.slow
def test_the_network_and_its_reuse_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_S", Fraction(1, 2))
    settings = dataclasses.replace(SETTINGS, model="msrcnn", container=Container.MKV)
    here, there, crews = both_ways(media.fansub(tmp_path / "a.mkv"), tmp_path, settings)
    assert media.stream_hashes(here, "v") == media.stream_hashes(there, "v")
    assert all(made.asked_pixels for made in crews[0].made)


def test_a_segment_is_whole_when_each_of_its_frames_can_be_decoded(tmp_path: Path) -> None:
    whole = media.video(tmp_path / "a.mkv", frames=30)
    assert count_decoded(whole, limits=SETTINGS.limits) == 30
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    spoilt = tmp_path / "b.mkv"
    spoilt.write_bytes(content)
    with pytest.raises(ProcessingError, match="cannot be decoded"):
        count_decoded(spoilt, limits=SETTINGS.limits)


class Spoiler(Workshop):
    """Makes one thing and says another."""

    def finished(self, *, wait_s: float) -> list[MadeSegment]:
        made = super().finished(wait_s=wait_s)
        return [dataclasses.replace(each, **self.lies) for each in made]

    lies: dict[str, Any] = {}  # noqa: RUF012


@pytest.mark.parametrize("lies", [{"frames": 5}, {"sha256": "0" * 64}, {"bytes": 7}])
def test_what_comes_back_is_not_believed(tmp_path: Path, lies: dict[str, Any]) -> None:
    path = media.video(tmp_path / "a.mkv", frames=30, rate="1")

    @contextmanager
    def gather(order: EpisodeOrder, source: Source) -> Iterator[Crew]:
        crew = Spoiler(SegmentMaker(source, order))
        crew.lies = lies
        yield crew

    with open_source(path) as source, pytest.raises(ProcessingError, match="made elsewhere"):
        job.enlarge(
            source,
            tmp_path / "part",
            SETTINGS,
            planned=job.plan(source, SETTINGS),
            work_dir=tmp_path,
            progress=lambda event: None,
            elsewhere=gather,
        )


def test_when_the_crew_is_gone_the_rest_is_made_here(tmp_path: Path) -> None:
    path = media.video(tmp_path / "a.mkv", frames=30, rate="1")

    @contextmanager
    def gather(order: EpisodeOrder, source: Source) -> Iterator[Crew]:
        class Leaving(Workshop):
            def finished(self, *, wait_s: float) -> list[MadeSegment]:
                if self.made:
                    raise CrewGoneError("all have left", remedy="")
                return super().finished(wait_s=wait_s)

        yield Leaving(SegmentMaker(source, order))

    with open_source(path) as source:
        report = job.enlarge(
            source,
            tmp_path / "part",
            SETTINGS,
            planned=job.plan(source, SETTINGS),
            work_dir=tmp_path,
            progress=lambda event: None,
            elsewhere=gather,
        )
    assert report.details["segments_reused"] in (1, 2)  # what was made before they left, one or both at once
    assert report.frames == 30
