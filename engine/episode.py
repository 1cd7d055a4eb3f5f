"""An episode, enlarged: the recipe. Frames are decoded once, enlarged in order, encoded in segments, joined, proven."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import __version__
from engine.completeness import Damage, prove_complete
from engine.elsewhere import Elsewhere, EpisodeOrder, make_elsewhere
from engine.encode import Video, video_of
from engine.encoders import ENCODERS, check_available, check_size
from engine.episode_frames import enlarge_frames
from engine.errors import ProcessingError
from engine.finished import write_episode
from engine.frames_out import write_frames
from engine.glimpse import Glimpse
from engine.interlace import check_interlacing
from engine.mux import check_matroska
from engine.mux_mp4 import check_mp4
from engine.naming import upscale_tag
from engine.pipeline import EnlargePlanes
from engine.planes import PlaneFormat
from engine.probe import EpisodeInfo
from engine.process import tool_version
from engine.progress import Progress, ProgressEvent
from engine.report import episode_facts, facts_of
from engine.segment_records import SegmentRecords
from engine.segments import PIPELINE_VERSION, SegmentStore, segment_length
from engine.settings import Container, Damaged, EncoderSettings, Limits, Settings, Size
from engine.side_data import lost_with_frames
from engine.source import Source, open_source
from engine.trial import check_carried
from engine.verify import verify_episode

_LOSSLESS = EncoderSettings("ffv1")


@dataclass(frozen=True)
class EpisodeReport:
    """What was done. `details` is JSON-ready."""

    frames: int
    details: dict[str, object]


def enlarge_episode(
    source: Source,
    part: Path,
    *,
    info: EpisodeInfo,
    output_size: Size,
    output_format: PlaneFormat,
    enlarge: EnlargePlanes | None,
    settings: Settings,
    container: Container,
    weights_sha256: str | None,
    work_dir: Path,
    progress: Progress,
    records: SegmentRecords | None = None,
    elsewhere: Elsewhere | None = None,
    glimpse: Glimpse | None = None,
) -> EpisodeReport:
    """Enlarge an episode into `part` (a folder for `Container.PNG`), which must not exist.

    `part` is complete, proven against the source and flushed when this returns. Segments that an earlier attempt left
    in `work_dir` are verified and reused; their frames are decoded again, so that decoding stays one exact pass.
    `records`: where segments are written down (None: in notes beside them). `elsewhere`: who makes them, in place of
    `enlarge` and this machine's encoder. `glimpse` sees some of the frames, where they are made here.
    Raises `InputError` (damaged, incomplete, or not fit for the container), `ProcessingError`, `EnvironmentFault`.
    """
    limits, clock = settings.limits, _Clock()
    encoder = episode_encoder(settings, container)
    video = video_of(info, output_size, output_format)
    check_deliverable(
        source,
        info,
        output_size=output_size,
        output_format=output_format,
        container=container,
        encoder=encoder,
        limits=limits,
    )
    damage = Damage(accept=settings.damaged is Damaged.ACCEPT)
    with clock("scan"):
        packets = prove_complete(source, info, limits=limits, damage=damage)
    with clock("look for fields"):
        fields = check_interlacing(source, info, deinterlace=settings.deinterlace, limits=limits)
    lost: list[str] = []
    with clock("look for captions"), damage.expected():
        lost = lost_with_frames(source, info, limits)
    with clock("verify segments"):
        content = source.sha256()
        key = _segment_key(content, settings, encoder, video, weights_sha256)
        frames_each = segment_length(info.frame_rate)
        store = SegmentStore(
            work_dir / "segments",
            key=key,
            frames_each=frames_each,
            records=records,
            largest_bytes=limits.max_work_bytes,
        )
    reused = len(store.indexes())

    gains: dict[str, object] = {}
    with clock("enlarge"):
        if elsewhere is not None:
            made = make_elsewhere(
                source,
                info,
                packets,
                elsewhere=elsewhere,
                order=EpisodeOrder(content, settings, output_size, container, fields, weights_sha256),
                store=store,
                damage=damage,
                progress=progress,
            )
            timing, segments, stages, gains = made.timing, made.segments, made.stages, made.details
        else:
            assert enlarge is not None
            timing, segments, stages = enlarge_frames(
                source,
                info,
                packets,
                enlarge=enlarge,
                store=store,
                video=video,
                encoder=encoder,
                fields=fields,
                damage=damage,
                limits=limits,
                progress=progress,
                glimpse=glimpse,
            )
    frames = len(timing.timestamps)
    progress(ProgressEvent("mux", 0, 1, "files"))
    tag = upscale_tag(settings, source=info.size, output=output_size)
    differences: list[str] = []
    with clock("mux"):
        if container is Container.PNG:
            write_frames(
                segments,
                video=video,
                timing=timing,
                folder=part,
                source_lines=info.size.height,
                rotation=info.rotation,
                limits=limits,
            )
            warnings: list[str] = []
        else:
            warnings = write_episode(
                source,
                info,
                packets,
                segments,
                part=part,
                timing=timing,
                video=video,
                container=container,
                encoder=encoder,
                work_dir=work_dir,
                tag=tag,
                ass_layout=settings.ass_layout,
                damaged=bool(damage.found),
                limits=limits,
            )
    if container is not Container.PNG:
        progress(ProgressEvent("verify", 0, 1, "files"))
        with clock("verify"), open_source(part) as result:
            differences = verify_episode(
                result,
                source=source,
                info=info,
                packets=packets,
                video=video,
                timing=timing,
                damaged=bool(damage.found),
                limits=limits,
            )
    streams: dict[str, Any] = {"after": None}
    with clock("report"):
        streams["before"] = facts_of(source, info, packets, damaged=bool(damage.found), limits=limits)
        if container is not Container.PNG:
            with open_source(part) as result:
                streams["after"] = episode_facts(result, limits=limits, video_stream=info.video_number)
    if source.changed():
        raise ProcessingError(
            "the source was changed while it was being enlarged", remedy="it is taken up again", path=source.path
        )
    details: dict[str, object] = {
        "tag": tag,
        "encoder": encoder.name,
        "encoder_options": {**ENCODERS[encoder.name].defaults, **dict(encoder.options)},
        "pixel_format": video.format.pix_fmt,
        "first_pts": timing.timestamps[0],
        "last_pts": timing.timestamps[-1],
        "time_base": str(timing.time_base),
        "leading_pictures_dropped": packets.shown_before(timing.timestamps[0]),
        "damage": damage.found,
        "deinterlaced_as": fields,
        "segments": len(segments),
        "segments_reused": reused,
        "video_bytes": sum(segment.bytes for segment in segments),
        "streams": streams,
        "warnings": [*warnings, *lost],
        "differences": differences,
        "ffmpeg": tool_version("ffmpeg"),
        "seconds": clock.seconds,
        "stages": stages.shares,
        "stage_seconds": {stage: round(busy, 3) for stage, busy in stages.seconds.items()},
        "bottleneck": stages.bottleneck,
        **gains,
    }
    return EpisodeReport(frames, details)


def episode_encoder(settings: Settings, container: Container) -> EncoderSettings:
    """The encoder of the segments: the profile's, lossless on the way to numbered frames."""
    return _LOSSLESS if container is Container.PNG else settings.encoder


def check_deliverable(
    source: Source,
    info: EpisodeInfo,
    *,
    output_size: Size,
    output_format: PlaneFormat,
    container: Container,
    encoder: EncoderSettings,
    limits: Limits,
) -> None:
    """Refuse, before anything is spent, what the container or the encoder cannot carry. Raises `KakudaiError`."""
    check_size(output_size, output_format, encoder)
    if ENCODERS[encoder.name].device is not None:
        check_available(encoder.name)
    if container is Container.MP4:
        check_mp4(info, source, encoder, limits)
    elif container is Container.MKV:
        check_matroska(info, source)
    check_carried(info, source, container, limits)


def _segment_key(
    content: str, settings: Settings, encoder: EncoderSettings, video: Video, weights_sha256: str | None
) -> str:
    """SHA-256 over everything that decides the bytes of a segment, beside its place in the episode."""
    deciding: list[Any] = [PIPELINE_VERSION, __version__, tool_version("ffmpeg"), content, weights_sha256]
    deciding += [settings.fingerprint(), encoder.name, sorted(encoder.options), str(video)]
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()


class _Clock:
    """Seconds spent in each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = round(time.monotonic() - started, 3)
