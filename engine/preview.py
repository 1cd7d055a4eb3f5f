"""What a source would look like by every model, mode and denoise: a few frames of it, enlarged by each, timed.

The one entrance is `preview`; it gives the results one by one, as they are made, so that no more than one is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from engine.calibrate import encoding_seconds
from engine.color import plane_enlarger
from engine.display import Bgr, picture_bgr, to_bgr
from engine.errors import UsageError
from engine.image import Picture, read
from engine.interlace import check_interlacing
from engine.measure import edges
from engine.models import load_model
from engine.modes import endings
from engine.parse_settings import NETWORKS
from engine.picture import enlarge_picture
from engine.plan import Plan, container_for, episode_format, plan
from engine.preview_frames import telling_frames
from engine.probe import probe_episode
from engine.progress import Progress, ProgressEvent
from engine.settings import Denoise, Interpolation, Mode, Settings, Size
from engine.source import Source

_In = TypeVar("_In")
_Out = TypeVar("_Out")

LARGEST_CUT = 1 << 20
"""Pixels of a picture that are enlarged for its preview; of a larger one, its richest part."""
_BASELINE = "srcnn"


@dataclass(frozen=True)
class Variant:
    """One way to enlarge. `settings` are the profile's with this model, mode and last denoise."""

    model: str
    """Its name, as tags and lists tell it."""
    mode: Mode
    denoise: Denoise
    settings: Settings

    @property
    def name(self) -> str:
        """In a few words, such as `msrcnn, double-enhance, strong denoise`."""
        words = [self.model, self.mode.value]
        if self.denoise is not Denoise.NONE:
            words.append(f"{self.denoise} denoise")
        elif endings(self.mode)[0] is not Denoise.NONE:
            words.append("no last denoise")
        return ", ".join(words)


@dataclass(frozen=True)
class Shown:
    """A frame of the source that is previewed. `at_s` is None for a picture."""

    bgr: Bgr
    at_s: float | None


@dataclass(frozen=True)
class Made:
    """One frame by one variant, as numbers into the lists of both."""

    frame: int
    variant: int
    bgr: Bgr


@dataclass
class Preview:
    """A preview on its way: `frames` and `variants` from the beginning, the times once `results` are exhausted."""

    planned: Plan
    frames: list[Shown]
    variants: list[Variant]
    results: Iterator[Made]
    devices: dict[int, str] = field(default_factory=dict)
    """Where each variant ran: `cpu` or `gpu`."""
    encode_s: float = 0.0
    """Seconds that encoding a frame of an episode takes."""
    sample_aspect: float = 1.0
    """Width of a pixel over its height."""
    part: float = 1.0
    """Of the picture, what is previewed."""
    times: dict[int, list[float]] = field(default_factory=dict)
    """Seconds that each frame took, by the number of the variant; the first run of each is left out."""

    def frame_s(self, variant: int) -> float | None:
        """Seconds that a whole frame takes, without its encoding."""
        times = self.times.get(variant)
        return min(times) / self.part if times else None  # what else the machine does only makes it longer

    def whole_s(self, variant: int) -> float | None:
        """Seconds for the whole source, encoding included; an episode without reuse, which only makes it faster."""
        frame_s = self.frame_s(variant)
        if frame_s is None or self.planned.frames is None:
            return None
        both = frame_s + self.encode_s if self.devices[variant] == "cpu" else max(frame_s, self.encode_s)
        return self.planned.frames * both


def variants_of(
    base: Settings,
    *,
    models: Sequence[str] | None = None,
    modes: Sequence[Mode] | None = None,
    denoises: Sequence[Denoise] | None = None,
) -> list[Variant]:
    """Every combination that makes sense. None: bicubic and `networks_with_weights`; every mode that keeps the purpose
    of `base` (its size); every last denoise that a mode has.

    Without a network the modes would only denoise: there, `enlarge` alone. Raises `UsageError` when none is left.
    """
    chosen_modes = list(modes or ([Mode.ENHANCE] if base.mode is Mode.ENHANCE else set(Mode) - {Mode.ENHANCE}))
    found = []
    for model in models or [Interpolation.BICUBIC.value, *networks_with_weights(base)]:
        plain = model in {interpolation.value for interpolation in Interpolation}
        for mode in sorted(chosen_modes, key=list(Mode).index):
            if plain and mode not in (Mode.ENLARGE, Mode.ENHANCE):
                continue
            default, allowed = endings(mode)
            for denoise in sorted(allowed, key=lambda ending: (ending is not default, list(Denoise).index(ending))):
                if (denoises is not None and denoise not in denoises) or (plain and denoise is not Denoise.NONE):
                    continue
                settings = _settings(base, model, mode, denoise, plain=plain)
                found.append(Variant(settings.model_name, mode, denoise, settings))
    if not found:
        raise UsageError("no combination of these makes sense", remedy="choose other modes or denoises")
    return found


def _settings(base: Settings, model: str, mode: Mode, denoise: Denoise, *, plain: bool) -> Settings:
    scale, target = base.scale, base.target
    if mode is Mode.ENHANCE:
        scale, target = Fraction(1), None
    elif base.mode is Mode.ENHANCE:
        scale, target = Fraction(2), None
    weights = None if plain else base.weights
    chroma = None if plain else base.chroma
    changed = replace(base, model=model, mode=mode, denoise=denoise, scale=scale, target=target, weights=weights)
    model = changed.model if weights else changed.chosen_model
    return replace(changed, model=model, restore=base.restore and not plain, chroma=chroma)


def networks_with_weights(base: Settings) -> list[str]:
    """The networks to show: that of the profile's own weights, else those that weights are shipped for.

    The paper's baseline, which nobody needs to look at beside m-SRCNN, is there only where `base` asks for it.
    """
    from engine import weights

    if base.weights is not None:
        return [base.model]
    there = {
        card.network
        for card in weights.shipped().values()
        if base.upsampling in (None, card.upsampling) and card.restore == base.restore
    }
    return [name for name in NETWORKS if name in there and (name != _BASELINE or name == base.model)]


def preview(source: Source, variants: Sequence[Variant], *, count: int, progress: Progress) -> Preview:
    """Choose frames of `source` now; enlarge them as the results are asked for.

    `count`: how many frames of an episode. `progress` counts frames times variants. Raises any `KakudaiError` that the
    job itself would meet: refusals before the first result.
    """
    planned = plan(source, variants[0].settings)
    if planned.kind == "episode":
        return _of_episode(source, planned, list(variants), count, progress)
    return _of_picture(source, planned, list(variants), progress)


def _of_episode(source: Source, planned: Plan, variants: list[Variant], count: int, progress: Progress) -> Preview:
    base = variants[0].settings
    info = probe_episode(source, limits=base.limits, settings=base)
    order = check_interlacing(source, info, deinterlace=base.deinterlace, limits=base.limits)
    frames = telling_frames(source, info, count=count, limits=base.limits, deinterlaced_as=order, progress=progress)

    def results() -> Iterator[Made]:
        done = 0
        for number, variant in enumerate(variants):
            size = plan(source, variant.settings).output_size
            leaving = episode_format(info, variant.settings, container_for(info, variant.settings))
            model = load_model(variant.settings, Fraction(size.height, info.size.height))
            enlarge = plane_enlarger(
                info.format,
                source_size=info.size,
                output=leaving,
                output_size=size,
                settings=variant.settings,
                model=model,
            )
            under_way.devices[number] = model.device
            for at, planes in _timed(under_way, number, [frame.planes for frame in frames], enlarge):
                done += 1
                progress(ProgressEvent("enlarge", done, len(variants) * len(frames), "frames"))
                yield Made(at, number, to_bgr(planes, leaving, matrix=info.colors.matrix, lines=info.size.height))

    under_way = Preview(planned, [Shown(frame.bgr, frame.at_s) for frame in frames], variants, results())
    under_way.sample_aspect = float(info.sample_aspect)
    under_way.encode_s = encoding_seconds(source, planned, base)
    return under_way


def _of_picture(source: Source, planned: Plan, variants: list[Variant], progress: Progress) -> Preview:
    whole = read(source, limits=variants[0].settings.limits)
    part = richest_part(whole)

    def results() -> Iterator[Made]:
        for number, variant in enumerate(variants):
            factor = Fraction(plan(source, variant.settings).output_size.height, whole.size.height)
            size = Size(*(max(1, round(side * factor)) for side in (part.size.width, part.size.height)))
            model = load_model(variant.settings, factor)
            enlarge = partial(enlarge_picture, output_size=size, settings=variant.settings, model=model)
            under_way.devices[number] = model.device
            for at, enlarged in _timed(under_way, number, [part], enlarge):
                progress(ProgressEvent("enlarge", number + 1, len(variants), "variants"))
                yield Made(at, number, picture_bgr(enlarged.colour, enlarged.alpha))

    under_way = Preview(planned, [Shown(picture_bgr(part.colour, part.alpha), None)], variants, results())
    under_way.part = part.size.pixels / whole.size.pixels
    return under_way


def _timed(
    under_way: Preview, variant: int, frames: Sequence[_In], make: Callable[[_In], _Out]
) -> Iterator[tuple[int, _Out]]:
    """Each frame by `make`; the first run, which may load and compile, is made again where there is no other."""
    times = under_way.times.setdefault(variant, [])
    for number, frame in enumerate(frames):
        made = make(frame) if number == 0 else None
        if made is None or len(frames) == 1:
            started = time.monotonic()
            made = make(frame)
            times.append(time.monotonic() - started)
        yield number, made


def richest_part(picture: Picture) -> Picture:
    """The window of at most `LARGEST_CUT` pixels with the most edges, in the picture's own proportions."""
    height, width = picture.colour.shape[:2]
    keep = min(1.0, (LARGEST_CUT / (height * width)) ** 0.5)
    rows, columns = max(1, int(height * keep)), max(1, int(width * keep))
    if (rows, columns) == (height, width):
        return picture
    density = edges(picture_bgr(picture.colour, picture.alpha)).astype(np.float32)
    sums = cv2.boxFilter(density, -1, (columns, rows), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    inside = sums[: height - rows + 1, : width - columns + 1]
    top, left = (int(at) for at in np.unravel_index(int(inside.argmax()), inside.shape))
    cut = (slice(top, top + rows), slice(left, left + columns))
    alpha = None if picture.alpha is None else picture.alpha[cut]
    return replace(picture, colour=np.ascontiguousarray(picture.colour[cut]), alpha=alpha)
