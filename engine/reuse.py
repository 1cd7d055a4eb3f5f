"""Exact reuse: the network runs only where its input changed, and the output is byte for byte what it would be anyway.

Animation is drawn on twos and threes, and its backgrounds hold. An output pixel is a function of the input within the
network's radius, so what has not changed there is taken from the frame before, and what is seen again (mouth flaps)
from a bounded cache. This needs a backend that computes the same bits for a pixel whatever the shape of the region
around it; `FrameReuse` tries that once and, where it does not hold, reuses whole planes only.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.blocks import changed, in_blocks, spread
from engine.cores import cores, share_out
from engine.flat import Places, flat_blocks
from engine.regions import Region, bands, cover

if TYPE_CHECKING:
    from engine.upscaler import Upscaler

Luma = NDArray[np.float32]

BLOCK: Literal[8] = 8
OWN_SCALE_BLOCK: Literal[4] = 4
"""Changes are looked for in blocks of this many pixels a side, in smaller ones where the network enlarges by itself."""
DEFAULT_CACHE_BYTES = 256 << 20
_SMALLEST_WINDOW = 24
"""Pixels a side. Below 15 TensorFlow takes another path on the CPU, with other bits (seen at widths of 1 to 3)."""
_LOOSE = 2
"""How many times as large as what is touched the regions of `cover` may be before others are tried."""
_BANDS = (2, 4, 8)
"""Blocks that the bands are high which are tried then."""
_START_PIXELS = {False: 600, True: 2400}
"""What a region costs beside its pixels, in pixels; True: of a network that enlarges by itself, which has many layers
with little work each."""
_WORTH_SPLITTING = {False: 0.85, True: 0.95}
"""Above this share of the plane's work, the plane is computed as a whole; True: where parts of it can be computed,
which costs no more than their share."""
_LARGEST_PIECE = 384
"""Pixels a side: larger regions are cut, so that there is work for every core."""


@dataclass
class _Slot:
    """The latest plane that went through the network at one place of a recipe, and what came out."""

    seen: Luma
    made: Luma


@dataclass
class _Look:
    """What of a plane has to be computed, since it is not that of the plane before."""

    before: Luma
    now: Luma
    touched: NDArray[np.bool_]
    """By block."""
    flat: list[Places]
    """Groups of blocks of which one stands for all."""
    regions: list[Region] | None
    """What holds all other touched blocks; None: the whole plane."""


@dataclass
class _Part:
    """A region to renew: the window that its bits depend on, and the result when it is there."""

    region: Region
    inner: Region
    """The region within the window."""
    seen: Luma
    touched: NDArray[np.bool_]
    """Which blocks of it are needed. What is in the others means nothing."""
    key: bytes
    made: Luma | None


@dataclass
class _Cache:
    """Results by their input, the longest unused dropped first."""

    limit_bytes: int
    results: OrderedDict[bytes, Luma] = field(default_factory=OrderedDict)
    held_bytes: int = 0

    def get(self, key: bytes) -> Luma | None:
        if key in self.results:
            self.results.move_to_end(key)
        return self.results.get(key)

    def put(self, key: bytes, result: Luma) -> None:
        if result.nbytes > self.limit_bytes:
            return
        self.results[key] = result
        self.held_bytes += result.nbytes
        while self.held_bytes > self.limit_bytes:
            self.held_bytes -= self.results.popitem(last=False)[1].nbytes


class FrameReuse:
    """Stands in for an `Upscaler` on the frames of one video, in order. A region of the input makes the same region of
    the output, `scale` times as large.

    A recipe may use the network several times a frame: `begin_frame` starts the count, and each use is compared with
    the same use in the frame before.
    """

    def __init__(self, upscaler: Upscaler, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.upscaler = upscaler
        self._margin, self._grain = upscaler.margin, upscaler.grain
        self.scale = upscaler.scale
        self._block = BLOCK if self.scale == 1 else OWN_SCALE_BLOCK
        self._slots: list[_Slot] = []
        self._next_slot = 0
        self._cache = _Cache(cache_bytes)
        self._latest: Luma | None = None
        self._foreseen: dict[int, _Look] = {}
        """By the identity of the plane, which they keep alive."""
        self.computed_pixels = 0
        self.asked_pixels = 0

    @functools.cached_property
    def _by_region(self) -> bool:
        return self.upscaler.network.same_bits_in_any_region and _bits_are_independent_of_shape(self.upscaler)

    @property
    def reused_share(self) -> float:
        """The part of all pixels asked for that the network did not have to compute, 0..1."""
        return 1 - self.computed_pixels / self.asked_pixels if self.asked_pixels else 0.0

    def begin_frame(self, *, held: bool = False) -> None:
        """The next call belongs to a new frame. `held`: it is the frame before once more, and nobody will call."""
        self._next_slot = 0
        if held:
            self.asked_pixels += sum(slot.seen.size for slot in self._slots)

    def count(self, pixels: int, *, held: bool) -> None:
        """Of a frame that somebody else computed, or had already."""
        self.asked_pixels += pixels
        self.computed_pixels += 0 if held else pixels

    def __call__(self, luma: Luma) -> Luma:
        """As `Upscaler`, to the bit. The result is valid until the same use in the next frame, and read-only."""
        index, self._next_slot = self._next_slot, self._next_slot + 1
        self.asked_pixels += luma.size
        if index == len(self._slots) or self._slots[index].seen.shape != luma.shape:
            slot = _Slot(luma, self._compute(luma, _whole(luma)).copy())  # the cache keeps its own
            self._slots[index:] = [slot]
        else:
            slot = self._slots[index]
            self._renew(slot, luma)
        view = slot.made.view()
        view.flags.writeable = False
        return view

    def foresee(self, luma: Luma) -> None:
        """Look already, in the thread before, for what the first use in the next frame will have to compute.

        Called in the order of the frames, with the very planes that the uses come with; nothing depends on it but time.
        """
        before, self._latest = self._latest, luma
        if before is not None and before.shape == luma.shape:
            self._foreseen[id(luma)] = self._look(before, luma)

    def _looked(self, before: Luma, now: Luma) -> _Look:
        """What was foreseen for these planes, else what is seen now."""
        look = self._foreseen.pop(id(now), None)
        return look if look is not None and look.before is before else self._look(before, now)

    def _look(self, before: Luma, now: Luma) -> _Look:
        differ = changed(before, now, self._block)
        if not differ.any():
            return _Look(before, now, differ, [], [])
        if not self._by_region or min(now.shape) < _SMALLEST_WINDOW:
            return _Look(before, now, differ, [], None)
        reach = -(-self._margin // self._block)
        touched = cv2.dilate(differ.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
        flat = list(flat_blocks(now, touched, block=self._block, reach=reach))
        for alike in flat:
            touched[alike] = False
        return _Look(before, now, touched, flat, self._regions(touched, now))

    def _renew(self, slot: _Slot, now: Luma) -> None:
        """Bring `slot` up to date."""
        look = self._looked(slot.seen, now)
        slot.seen = now
        for alike in look.flat:
            self._fill(slot, now, alike)
        if self.upscaler.by_parts and look.regions is not None:
            self._in_parts(slot, now, look.regions, look.touched)
            return
        for region in [_whole(now)] if look.regions is None else look.regions:
            slot.made[region.scaled(self.scale, slot.made.shape).slices] = self._compute(now, region)

    def _in_parts(self, slot: _Slot, now: Luma, regions: list[Region], touched: NDArray[np.bool_]) -> None:
        """The touched blocks of the regions; each core has a piece of its own at a time."""
        pieces = [piece for region in regions for piece in region.pieces(_LARGEST_PIECE)]
        masks = [touched[piece.divided(self._block).slices] for piece in pieces]
        parts = [self._part(now, piece, mask) for piece, mask in zip(pieces, masks, strict=True) if mask.any()]
        new = [part for part in parts if part.made is None]
        share_out(sorted(new, key=lambda part: -part.region.pixels), self._make, threads=cores())
        for part in parts:
            assert part.made is not None
            wanted = spread(part.touched, self._block * self.scale, part.made.shape)
            np.copyto(slot.made[part.region.scaled(self.scale, slot.made.shape).slices], part.made, where=wanted)
        for part in new:
            assert part.made is not None
            self._cache.put(part.key, part.made)
            self.computed_pixels += min(part.region.pixels, int(part.touched.sum()) * self._block**2)

    def _make(self, parts: Iterator[_Part]) -> None:
        for part in parts:
            wanted = spread(part.touched, self._block // self._grain, part.inner.divided(self._grain).shape)
            part.made = self.upscaler.part(part.seen, part.inner, wanted=wanted)

    def _part(self, luma: Luma, region: Region, touched: NDArray[np.bool_] | None = None) -> _Part:
        window = self._window(region, luma.shape)
        seen = np.ascontiguousarray(luma[window.slices])
        inner = region.relative_to(window)
        # zero padding makes a difference at the image's border, which shows as a smaller margin
        place = np.array([*seen.shape, inner.top, inner.left, inner.height, inner.width])
        if touched is None:
            touched = np.ones(region.divided(self._block).shape, np.bool_)
        hashing = hashlib.sha256(place.data)  # processors have instructions for it
        hashing.update(np.packbits(touched).data)
        hashing.update(seen.data)
        key = hashing.digest()
        return _Part(region, inner, seen, touched, key, self._cache.get(key))

    def _fill(self, slot: _Slot, now: Luma, alike: Places) -> None:
        """One block for many that see the same: in flat areas."""
        block = self._compute(
            now, Region(int(alike[0][0]) * self._block, int(alike[1][0]) * self._block, self._block, self._block)
        )
        in_blocks(slot.made, self._block * self.scale)[alike] = block

    def _regions(self, touched: NDArray[np.bool_], now: Luma) -> list[Region] | None:
        """Regions that hold every touched block; None where the whole costs no more."""
        start, needed = _START_PIXELS[self.scale > 1], int(touched.sum()) * self._block**2

        def scaled(regions: list[Region]) -> tuple[int, list[Region]]:
            found = [region.scaled(self._block, now.shape) for region in regions]
            return sum(self._window(region, now.shape).pixels + start for region in found), found

        best = scaled(cover(touched, margin=self._margin / self._block, start=start / self._block**2))
        if best[0] > _LOOSE * needed:
            others = (scaled(bands(touched, height=height)) for height in _BANDS)
            best = min(best, *others, key=lambda found: found[0])
        work, regions = best
        if self.upscaler.by_parts:  # most of the work is done for what is touched alone
            work = (work + needed) // 2
        return regions if work < _WORTH_SPLITTING[self.upscaler.by_parts] * now.size else None

    def _window(self, region: Region, shape: tuple[int, ...]) -> Region:
        return _window(region, shape, margin=self._margin, grain=self._grain)

    def _compute(self, luma: Luma, region: Region) -> Luma:
        part = self._part(luma, region)
        if part.made is None:
            enlarged = self.upscaler(part.seen)
            part.made = np.ascontiguousarray(enlarged[part.inner.scaled(self.scale, enlarged.shape).slices])
            self._cache.put(part.key, part.made)
            self.computed_pixels += region.pixels
        return part.made


def _window(region: Region, shape: tuple[int, ...], *, margin: int, grain: int) -> Region:
    """What the network has to see for the bits of `region`, which lies at multiples of the grain."""
    return region.grown(margin, shape).at_least(_SMALLEST_WINDOW, shape, grain=grain)


def _whole(luma: Luma) -> Region:
    return Region(0, 0, luma.shape[0], luma.shape[1])


def _bits_are_independent_of_shape(upscaler: Upscaler) -> bool:
    """Whether regions of several shapes give the very bits of a larger one, tried on noise."""
    margin, grain = upscaler.margin, upscaler.grain
    length = (6 * margin + 40) // grain * grain
    noise = np.random.default_rng(0).random((length, length + 9), dtype=np.float32)
    large = upscaler(noise)
    for top, left, height, width in ((0, 0, 32, 52), (4, 8, 40, 36), (8, 4, 8, length - 4), (length - 8, 12, 8, 8)):
        region = Region(top, left, height, width)
        window = _window(region, noise.shape, margin=margin, grain=grain)
        small = upscaler(np.ascontiguousarray(noise[window.slices]))
        inner = small[region.relative_to(window).scaled(upscaler.scale, small.shape).slices]
        if inner.tobytes() != large[region.scaled(upscaler.scale, large.shape).slices].tobytes():
            return False
    return True
