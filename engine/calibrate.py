"""A quick measure of what a job will take, on a few frames of the source itself, by the same code as the job's."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from engine import denoise
from engine.color import PlaneEnlarger, plane_enlarger
from engine.encode import Encoder, Video
from engine.episode import episode_encoder
from engine.errors import ProcessingError
from engine.estimate import Rate
from engine.ffmpeg import MATROSKA, command, fenced, file_url, source_input
from engine.image import Picture, read, write
from engine.models import Model, load_model
from engine.modes import Pass, recipe
from engine.picture import enlarge_picture, output_format
from engine.plan import Plan, container_for, episode_format
from engine.planes import Plane, PlaneFormat, Planes
from engine.probe import EpisodeInfo, probe_episode
from engine.process import run
from engine.settings import Interpolation, Mode, Settings, Size
from engine.source import Source

_SAMPLE_BYTES = 128 << 20
_SAMPLE_FRAMES = 24
_NETWORK_S = 5.0
"""Seconds of enlarging that are enough for a measure."""
_ENCODED_FRAMES = 6
"""Frames from the network that are enough to judge the encoder by."""
_KEY_FRAME_S = 4
"""Seconds from key frame to key frame, as scene changes make them: the sample has one more than its share."""
_CROP_PIXELS = 1 << 18


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A measured rate, and how it was measured."""

    rate: Rate
    frames: int
    device: str
    denoise_share: float = 0.0
    """Of the time for an episode, what its denoising takes."""


def calibrate(source: Source, planned: Plan, settings: Settings) -> Calibration:
    """Measure on `source`, which `planned` is of (or the first frame of a sequence). Takes seconds.

    Raises any `KakudaiError`: what fails here would fail in the job.
    """
    if planned.kind == "episode":
        return _calibrate_episode(source, planned, settings)
    return _calibrate_picture(source, planned, settings)


def _calibrate_episode(source: Source, planned: Plan, settings: Settings) -> Calibration:
    info = probe_episode(source, limits=settings.limits, settings=settings)
    container = container_for(info, settings)
    leaving = episode_format(info, settings, container)
    frames = _sample(source, info, settings)
    size = planned.output_size
    started = time.monotonic()
    model = load_model(settings, Fraction(size.height, info.size.height))
    enlarge = plane_enlarger(
        info.format, source_size=info.size, output=leaving, output_size=size, settings=settings, model=model
    )
    enlarge(frames[0])  # loads and compiles
    startup_s = time.monotonic() - started
    began = time.monotonic()
    enlarged: list[Planes] = []
    while len(enlarged) < len(frames) and (not enlarged or time.monotonic() - began < _NETWORK_S):
        enlarged.append(enlarge(frames[len(enlarged)]))
    count = len(enlarged)
    network_s = (time.monotonic() - began) / count
    resize = _resizer(info, leaving, planned, settings)
    video = Video(size, leaving, info.sample_aspect, info.colors, info.frame_rate)
    if count < min(_ENCODED_FRAMES, len(frames)):  # a slow network: other frames stand in, a little smoother
        enlarged = [resize(frame) for frame in frames]
    encode_s, frame_bytes = _encode(enlarged, video, source, planned, settings)
    # on a CPU network and encoder share the cores; beside a GPU they run at the same time
    frame_s = network_s + encode_s if model.device == "cpu" else max(network_s, encode_s)
    rate = Rate(size.pixels / frame_s, frame_bytes / size.pixels, startup_s)
    denoise_s = _denoise_s(resize(frames[0])[0], leaving.depth, settings)
    return Calibration(rate, count, model.device, min(1.0, denoise_s / frame_s))


def encoding_seconds(source: Source, planned: Plan, settings: Settings) -> float:
    """What encoding a frame of the episode takes, judged by frames that are only resized."""
    info = probe_episode(source, limits=settings.limits, settings=settings)
    leaving = episode_format(info, settings, container_for(info, settings))
    resize = _resizer(info, leaving, planned, settings)
    video = Video(planned.output_size, leaving, info.sample_aspect, info.colors, info.frame_rate)
    frames = [resize(frame) for frame in _sample(source, info, settings)]
    return _encode(frames, video, source, planned, settings)[0]


def _resizer(info: EpisodeInfo, leaving: PlaneFormat, planned: Plan, settings: Settings) -> PlaneEnlarger:
    """Bicubic, without a network."""
    return plane_enlarger(
        info.format,
        source_size=info.size,
        output=leaving,
        output_size=planned.output_size,
        settings=dataclasses.replace(settings, mode=Mode.ENLARGE, denoise=None),
        model=Model(Interpolation.BICUBIC, None, None, "cpu"),
    )


def _sample(source: Source, info: EpisodeInfo, settings: Settings) -> list[Planes]:
    """Frames from the middle of the episode; from its beginning where there are none."""
    each = info.format.frame_bytes(info.size)
    count = max(2, min(_SAMPLE_FRAMES, _SAMPLE_BYTES // each))
    for start_s in dict.fromkeys((float(info.duration_s or 0) / 2, 0.0)):
        stream = source_input(source, settings.limits, ss=start_s)[str(info.video_index)]
        argv = command(stream.output("pipe:1", f="rawvideo", fps_mode="passthrough", vframes=count))
        said, _ = run(
            argv,
            silence_s=settings.limits.silence_s,
            subject=source.path,
            pass_fds=(source.fd,),
            max_bytes=each * (count + 1),
        )
        whole = len(said) // each
        if whole:
            view = memoryview(said)
            return [info.format.split(view[each * i : each * (i + 1)], info.size) for i in range(whole)]
    raise ProcessingError("no frame could be decoded", remedy="the file is damaged; copy it again", path=source.path)


def _denoise_s(luma: Plane, depth: int, settings: Settings) -> float:
    """Seconds of one frame's denoise passes."""
    strengths = {Pass.DENOISE: denoise.STANDARD, Pass.FINAL_DENOISE: denoise.FINAL}
    started = time.monotonic()
    for step in recipe(settings.mode, settings.denoise):
        if step in strengths:
            luma = denoise.denoise_plane(luma, strengths[step], depth=depth)
    return time.monotonic() - started


def _encode(
    frames: Sequence[Planes], video: Video, source: Source, planned: Plan, settings: Settings
) -> tuple[float, float]:
    """Seconds and bytes for each frame, key frames at their usual share."""
    assert planned.container is not None
    with tempfile.TemporaryDirectory(prefix="kakudai-plan-") as folder:
        target = Path(folder) / "sample.mkv"
        started = time.monotonic()
        with Encoder(
            target,
            video=video,
            settings=episode_encoder(settings, planned.container),
            silence_s=settings.limits.silence_s,
            subject=source.path,
        ) as encoder:
            for frame in frames:
                encoder.write(frame)
            encoder.finish()
        seconds = (time.monotonic() - started) / len(frames)
        wide = dataclasses.replace(settings.limits, max_pixels=max(settings.limits.max_pixels, video.size.pixels))
        options = [word for name, value in fenced(wide, formats=MATROSKA).items() for word in (f"-{name}", value)]
        argv = ["ffprobe", "-loglevel", "error", *options, "-show_entries", "packet=size,flags", "-of", "csv=p=0"]
        said, _ = run([*argv, file_url(target)], silence_s=settings.limits.silence_s, subject=target)
    rows = [line.split(",") for line in said.decode().splitlines() if line]
    key = [int(row[0]) for row in rows if "K" in row[1]]
    other = [int(row[0]) for row in rows if "K" not in row[1]]
    if not other:  # every frame is a key frame
        return seconds, sum(key) / max(1, len(key))
    share = 1 / max(1.0, min(float(video.frame_rate) * _KEY_FRAME_S, planned.frames or math.inf))
    return seconds, share * sum(key) / max(1, len(key)) + (1 - share) * sum(other) / len(other)


def _calibrate_picture(source: Source, planned: Plan, settings: Settings) -> Calibration:
    picture = read(source, limits=settings.limits)
    crop = _middle(picture)
    factor = Fraction(planned.output_size.height, planned.source_size.height)
    size = Size(max(1, round(crop.size.width * factor)), max(1, round(crop.size.height * factor)))
    started = time.monotonic()
    model = load_model(settings, factor)
    enlarge_picture(crop, size, settings, model)  # loads and compiles
    first_s = time.monotonic() - started
    with tempfile.TemporaryDirectory(prefix="kakudai-plan-") as folder:
        written = Path(folder) / "sample"
        started = time.monotonic()
        write(enlarge_picture(crop, size, settings, model), written, output_format(picture.format, settings))
        second_s = max(1e-6, time.monotonic() - started)
        bytes_each = written.stat().st_size / size.pixels
    return Calibration(Rate(size.pixels / second_s, bytes_each, max(0.0, first_s - second_s)), 1, model.device)


def _middle(picture: Picture) -> Picture:
    """The middle of a picture, of at most 512×512 pixels or so."""
    height, width = picture.colour.shape[:2]
    keep = min(1.0, (_CROP_PIXELS / (height * width)) ** 0.5)
    rows, columns = max(1, round(height * keep)), max(1, round(width * keep))
    top, left = (height - rows) // 2, (width - columns) // 2
    cut = (slice(top, top + rows), slice(left, left + columns))
    alpha = None if picture.alpha is None else picture.alpha[cut]
    return dataclasses.replace(picture, colour=picture.colour[cut], alpha=alpha)
