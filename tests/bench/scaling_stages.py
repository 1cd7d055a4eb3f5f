"""What each stage costs in CPU seconds, whatever else the machine does meanwhile."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from daemon.job import Found, Identity
from daemon.ledger import Ledger
from engine.decode import Decoder
from engine.encode import Encoder, video_of
from engine.encoders import output_format
from engine.planes import Planes
from engine.probe import probe_episode
from engine.resample import resize
from engine.segment_check import count_decoded, count_packets
from engine.segment_records import SegmentRecord
from engine.settings import EncoderSettings, Interpolation, Limits, Size
from engine.source import open_source
from engine.timeline import Timeline
from tests.service_runner import eventually
from training.sample import write_episode

SOURCE, OUTPUT = Size(1920, 1080), Size(3840, 2160)
FRAMES = 48
ENCODED_FRAMES = 24
ROWS = 300


class Costs:
    """CPU seconds by stage, of this process and of those that it waited for."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str, *, each: float = 1.0) -> Iterator[None]:
        before = _cpu_s()
        yield
        self.seconds[stage] = (_cpu_s() - before) / each


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure_stages() -> dict[str, Any]:
    """CPU seconds for a frame (decode, encode, …), a gigabyte (hash, mux) and a row of the ledger; bytes of a frame."""
    costs = Costs()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "episode.mkv"
        write_episode(path, size=SOURCE, frames=FRAMES)
        found: dict[str, Any] = {"source_bytes_per_frame": round(path.stat().st_size / FRAMES)}
        with open_source(path) as source:
            info = probe_episode(source, limits=Limits())
            with costs("decode for the proof", each=FRAMES), Timeline(source, info, limits=Limits()) as timeline:
                eventually(lambda: timeline.ended)
            with costs("decode to planes", each=FRAMES), Decoder(source, info, limits=Limits(), hashed=True) as decoder:
                frames = [planes for planes, _ in decoder.with_facts()][:ENCODED_FRAMES]
        encoder = EncoderSettings("x265", (("preset", "medium"), ("crf", "16")))
        format_ = output_format(info.format, encoder)
        video = video_of(info, OUTPUT, format_)
        large = [_large(planes, format_.shapes(OUTPUT)) for planes in frames]
        segment = folder / "segment.mkv"
        with (
            costs("encode", each=len(large)),
            Encoder(segment, video=video, settings=encoder, silence_s=120, subject=path) as encoding,
        ):
            for planes in large:
                encoding.write(planes)
            encoding.finish()
        found["output_bytes_per_frame"] = round(segment.stat().st_size / len(large))
        with costs("decode to check", each=len(large)):
            count_decoded(segment, limits=Limits())
        with costs("count packets, a segment"):
            count_packets(segment, limits=Limits())
        with costs("hash, a gigabyte", each=0.25):
            hashlib.sha256(bytes(1 << 28)).hexdigest()
        with costs("mux, a gigabyte", each=_mux(segment, folder) / 1e9):
            _mux(segment, folder)
        found["ledger_row_s"] = round(_row_s(folder), 6)
    return found | {"cpu_s": {stage: round(seconds, 6) for stage, seconds in costs.seconds.items()}}


def _large(planes: Planes, shapes: tuple[tuple[int, int], ...]) -> Planes:
    """Twice the size, by bicubic, at the same depth (the sample has ten bits, as the output): something to encode."""
    made = []
    for plane, (height, width) in zip(planes, shapes, strict=True):
        large = resize(plane.astype(np.float32), Size(width, height), Interpolation.BICUBIC)
        made.append(large.clip(0, 1023).astype(plane.dtype))
    return tuple(made)


def _mux(segment: Path, folder: Path) -> int:
    """Join copies of a segment to some 100 MB; how many bytes."""
    copies = max(2, 100_000_000 // segment.stat().st_size)
    joined = [str(segment), *(word for _ in range(copies - 1) for word in ("+", str(segment)))]
    subprocess.run(["mkvmerge", "-q", "-o", str(folder / "joined.mkv"), *joined], check=True)
    return (folder / "joined.mkv").stat().st_size


def _row_s(folder: Path) -> float:
    """Seconds to commit a segment's row durably: the disk's, not the processor's."""
    ledger = Ledger(folder / "ledger.db")
    ledger.queue([Found(folder, folder / "episode.mkv", "file", Identity(1, 1, 1, 1))])
    (job,) = ledger.jobs("queued")
    ledger.start(job, profile="default")
    began = time.monotonic()
    for index in range(ROWS):
        ledger.segments.keep(job, SegmentRecord("key", index, index, 1, 1, "0" * 64))
    seconds = (time.monotonic() - began) / ROWS
    ledger.close()
    return seconds
