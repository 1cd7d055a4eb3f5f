"""What will come out of a source: cheap, from its headers alone, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine import encoders, image
from engine.episode import check_deliverable, episode_encoder
from engine.errors import InputError
from engine.estimate import other_bytes
from engine.mux_mp4 import mp4_problems
from engine.naming import output_name
from engine.picture import output_extension, output_format
from engine.planes import PlaneFormat
from engine.probe import EpisodeInfo, probe_episode
from engine.segments import segment_length
from engine.settings import EPISODE_EXTENSIONS, PICTURE_EXTENSIONS, SOURCE_EXTENSIONS, Container, Settings, Size, Unfit
from engine.sizing import output_size
from engine.source import Source

Kind = Literal["picture", "episode", "sequence"]


@dataclass(frozen=True)
class Plan:
    """What will come out of a source. `output_name` is a plain file name (a folder's for frames), never a path."""

    kind: Kind
    source_size: Size
    output_size: Size
    output_name: str
    output_is_folder: bool
    frames: int | None
    """Frames as far as headers tell; None when only decoding can tell."""
    container: Container | None = None
    """What an episode becomes."""
    other_bytes: int = 0
    """Bytes of an episode's other streams, which are carried over: about."""
    segment_frames: int | None = None
    """After so many frames of an episode, and again and again, what is done cannot be lost any more."""


def plan(source: Source, settings: Settings) -> Plan:
    """Read the headers of `source` and decide what comes out.

    Raises `InputError` (damaged or refused), `UsageError` (the encoder or container asked for cannot carry it),
    `NothingToDo` (large enough already, or made by Kakudai), `ToolError`.
    """
    extension = source.path.suffix.lower()
    if extension in PICTURE_EXTENSIONS:
        return _plan_picture(source, settings)
    if extension in EPISODE_EXTENSIONS:
        return _plan_episode(source, settings)
    raise InputError(
        f"files named {source.path.suffix or 'without an extension'} are not enlarged",
        remedy=f"give one of {', '.join(sorted(SOURCE_EXTENSIONS))}",
        path=source.path,
    )


def _plan_picture(source: Source, settings: Settings) -> Plan:
    header = image.read_header(source, limits=settings.limits)
    size = output_size(header.size, settings)
    extension = output_extension(source.path, output_format(header.format, settings))
    name = output_name(
        source.path.stem, extension, output=size, source=header.size, settings=settings, of_episode=False
    )
    return Plan("picture", header.size, size, name, output_is_folder=False, frames=1)


def _plan_episode(source: Source, settings: Settings) -> Plan:
    info = probe_episode(source, limits=settings.limits, settings=settings)
    shift_x, shift_y = info.format.chroma_shift or (0, 0)
    if info.rotation % 180 and settings.target is not None:  # a target is meant for the picture as it is shown
        settings = replace(settings, target=Size(settings.target.height, settings.target.width))
    size = output_size(info.size, settings, sample_aspect=info.sample_aspect, multiple=(1 << shift_x, 1 << shift_y))
    container = container_for(info, settings)
    check_deliverable(
        source,
        info,
        output_size=size,
        output_format=episode_format(info, settings, container),
        container=container,
        encoder=episode_encoder(settings, container),
        limits=settings.limits,
    )
    extension = "" if container is Container.PNG else f".{container.value}"
    name = output_name(source.path.stem, extension, output=size, source=info.size, settings=settings)
    return Plan(
        "episode",
        info.size,
        size,
        name,
        output_is_folder=container is Container.PNG,
        frames=info.frames,
        container=container,
        other_bytes=0 if container is Container.PNG else other_bytes(info, source.size),
        segment_frames=segment_length(info.frame_rate),
    )


def container_for(info: EpisodeInfo, settings: Settings) -> Container:
    """What an episode is delivered as."""
    asked = Container(info.container) if settings.container is Container.SAME else settings.container
    if asked is Container.MP4 and settings.unfit is Unfit.MKV:
        return Container.MKV if mp4_problems(info, settings.encoder) else asked
    return asked


def episode_format(info: EpisodeInfo, settings: Settings, container: Container) -> PlaneFormat:
    """The format of the enlarged planes."""
    if container is Container.PNG:
        return encoders.picture_format(info.format)
    return encoders.output_format(info.format, settings.encoder)
