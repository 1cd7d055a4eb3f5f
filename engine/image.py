"""Still files in and out, through libvips: depth, alpha, ICC profile, EXIF, XMP, IPTC and text as they were.

BMP alone goes through OpenCV (`engine.bmp`); it carries none of these but alpha.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from engine import __version__, bmp, png_chunks, tiff_tags
from engine.errors import InputError, NothingToDo, OutputError
from engine.files import storing
from engine.settings import ImageFormat, Limits, Size
from engine.source import Source

SOFTWARE = f"Kakudai {__version__}"
"""Written as the Software tag of every picture made here, so that it is recognised and not enlarged again."""

# libvips remembers what it read by file name, and every source here is named /proc/self/fd/N: without this the
# second picture would come out as the first.
pyvips.cache_set_max(0)

_CARRIED = ("icc-profile-data", "exif-data", "xmp-data", "iptc-data")
_CHUNKS = "png-chunks"
_DESCRIPTION = "image-description"
_DEPTHS = {"uchar": 8, "ushort": 16}


@dataclass(frozen=True)
class Picture:
    """A decoded still. `colour`: (height, width) grey or (height, width, 3) BGR; `alpha`: (height, width) or None.

    Both uint8 or uint16, full range. `metadata` holds blobs and figures that travel with it unchanged.
    """

    colour: NDArray[Any]
    alpha: NDArray[Any] | None
    format: ImageFormat
    lossless: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return Size(self.colour.shape[1], self.colour.shape[0])


@dataclass(frozen=True)
class Header:
    """What can be known of a still without decoding it. `size` is with the EXIF orientation applied."""

    size: Size
    format: ImageFormat
    depth: int


def format_of(head: bytes) -> ImageFormat | None:
    """The format by its first bytes (12 or more), or None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageFormat.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return ImageFormat.TIFF
    if head.startswith(b"BM"):
        return ImageFormat.BMP
    return None


def read_header(source: Source, *, limits: Limits) -> Header:
    """Look at a still without decoding it. Raises `InputError` for anything refused, `NothingToDo` for our own work."""
    return _open(source, limits)[1]


def read(source: Source, *, limits: Limits, ours: bool = False) -> Picture:
    """Decode a still, upright; what Kakudai made too where `ours` is set.

    Raises as `read_header`, and `InputError` when the data is truncated or damaged.
    """
    image, header = _open(source, limits, ours=ours)
    lossless = not (header.format is ImageFormat.JPEG or b"VP8 " in source.head(64)[12:])
    if image is None:
        try:
            return _picture(bmp.read(source), header, lossless, {})
        except ValueError as error:
            raise _damaged(source, error) from error
    metadata = {name: image.get(name) for name in _CARRIED if image.get_typeof(name)}
    if header.format is ImageFormat.TIFF:
        metadata.pop("iptc-data", None)  # libvips 8.18 gives a quarter of it
    metadata |= {"xres": image.xres, "yres": image.yres}
    if header.format is ImageFormat.PNG:
        metadata[_CHUNKS] = png_chunks.carried_chunks(source)
    metadata[_DESCRIPTION] = _text(image, _DESCRIPTION)
    try:
        pixels = image.autorot().numpy()
    except pyvips.Error as error:
        raise _damaged(source, error) from error
    _check_end(source, header.format)
    return _picture(pixels, header, lossless, metadata)


def _check_end(source: Source, format_: ImageFormat) -> None:
    """Decoders of JPEG and WebP take zeros for picture data, without a word. PNG has checksums; BMP may be black."""
    if format_ is ImageFormat.JPEG:
        zeros = source.last_bytes(2) != b"\xff\xd9" and not any(source.tail(16))
    else:
        zeros = format_ is ImageFormat.WEBP and source.ends_in_zeros()
    if zeros:
        raise _damaged(source, "it ends in zeros where picture data should be")


def write(picture: Picture, path: Path, format_: ImageFormat) -> None:
    """Write `picture` as a new file, fsynced. Raises `OutputError`, `EnvironmentFault` (disk full, read-only).

    Depth and alpha that the format cannot hold: 16 bit is reduced by rounding (asked for by choosing the format),
    alpha is refused.
    """
    if picture.alpha is not None and format_ is ImageFormat.JPEG:
        raise OutputError(
            "the picture has transparency, which JPEG cannot hold",
            remedy="choose png, webp or tiff",
            path=path,
        )
    colour, alpha = picture.colour, picture.alpha
    if colour.dtype == np.uint16 and format_ not in (ImageFormat.PNG, ImageFormat.TIFF):
        colour, alpha = _eight_bit(colour), None if alpha is None else _eight_bit(alpha)
    data = bmp.encode(colour, alpha) if format_ is ImageFormat.BMP else _encode(picture, colour, alpha, format_)
    with storing(path), path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _open(source: Source, limits: Limits, *, ours: bool = False) -> tuple[pyvips.Image | None, Header]:
    """The lazily opened image (None for BMP) and its header, every refusal made."""
    format_ = format_of(source.head(16))
    if format_ is None:
        raise InputError(
            "is not a picture, whatever its name says (PNG, JPEG, WebP, TIFF and BMP are)",
            remedy="look at what it really is (`file`), and give it that extension",
            path=source.path,
        )
    if format_ is ImageFormat.BMP:
        try:
            header = Header(bmp.size_of(source), format_, 8)
        except ValueError as error:
            raise _damaged(source, error) from error
        _within(header.size, limits, source)
        return None, header
    loaders: dict[ImageFormat, Callable[..., pyvips.Image]] = {
        ImageFormat.PNG: pyvips.Image.pngload,
        ImageFormat.JPEG: pyvips.Image.jpegload,
        ImageFormat.WEBP: pyvips.Image.webpload,
        ImageFormat.TIFF: pyvips.Image.tiffload,
    }
    try:
        image = loaders[format_](source.readable, fail_on="error")
    except pyvips.Error as error:
        raise _damaged(source, error) from error
    size = Size(image.width, image.height)
    if image.get_typeof("orientation") and image.get("orientation") >= 5:
        size = Size(image.height, image.width)
    _refuse(image, source, format_, ours=ours)
    _within(size, limits, source)
    return image, Header(size, format_, _DEPTHS[image.format])


def _refuse(image: pyvips.Image, source: Source, format_: ImageFormat, *, ours: bool) -> None:
    software = _text(image, "exif-ifd0-Software") + _text(image, _DESCRIPTION)
    if format_ is ImageFormat.PNG:
        software += png_chunks.software(source)
    if "Kakudai" in software and not ours:
        raise NothingToDo("was made by Kakudai and is not enlarged again", remedy="give the original", path=source.path)
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1 or (format_ is ImageFormat.PNG and png_chunks.is_animated(source)):
        raise InputError(
            "has several pages or is animated; only still pictures are enlarged",
            remedy="split it into single pictures (a folder of them with `sequence: true`), or make a video of it",
            path=source.path,
        )
    if format_ is ImageFormat.PNG and (transfer := png_chunks.hdr_transfer(source)):
        raise InputError(
            f"is HDR ({transfer}), which the network was not trained for",
            remedy="give an SDR version, or tone-map it first",
            path=source.path,
        )
    if format_ is ImageFormat.TIFF and tiff_tags.is_plain_ycbcr(source):
        raise InputError(
            "is in YCbCr without JPEG's compression, which would be taken for RGB",
            remedy="convert it to RGB",
            path=source.path,
        )
    if image.interpretation == "cmyk":
        raise InputError(
            "is in CMYK, which has no luma to enlarge",
            remedy="convert it to RGB with its ICC profile",
            path=source.path,
        )
    if image.format not in _DEPTHS or image.interpretation not in (
        "srgb",
        "rgb16",
        "b-w",
        "grey16",
        "rgb",
        "multiband",
    ):
        raise InputError(
            f"has samples of a kind that is not supported ({image.format}, {image.interpretation})",
            remedy="convert it to 8 or 16 bit RGB or grey",
            path=source.path,
        )


def _text(image: pyvips.Image, name: str) -> str:
    """What the header says under a name of libvips; "" where it does not."""
    return str(image.get(name)) if image.get_typeof(name) else ""


def _within(size: Size, limits: Limits, source: Source) -> None:
    if size.pixels > limits.max_pixels:
        raise InputError(
            f"has {size} pixels, more than limits.max_pixels ({limits.max_pixels})",
            remedy="raise limits.max_pixels if the file is meant",
            path=source.path,
        )


def _picture(pixels: NDArray[Any], header: Header, lossless: bool, metadata: dict[str, Any]) -> Picture:
    """Split interleaved RGB(A) or grey(A) into BGR or grey, and alpha."""
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    pixels = pixels.reshape(*pixels.shape[:2], bands)
    alpha = np.ascontiguousarray(pixels[..., -1]) if bands in (2, 4) else None
    colour = pixels[..., 0] if bands < 3 else pixels[..., 2::-1]
    return Picture(np.ascontiguousarray(colour), alpha, header.format, lossless, metadata)


def _encode(picture: Picture, colour: NDArray[Any], alpha: NDArray[Any] | None, format_: ImageFormat) -> bytes:
    pixels = colour[..., None] if colour.ndim == 2 else colour[..., ::-1]
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[..., None]], axis=2)
    kinds = {(2, 8): "b-w", (3, 8): "srgb", (2, 16): "grey16", (3, 16): "rgb16"}
    image = pyvips.Image.new_from_array(
        np.ascontiguousarray(pixels), interpretation=kinds[colour.ndim, 8 * colour.itemsize]
    )
    image = image.copy(xres=picture.metadata.get("xres", 1.0), yres=picture.metadata.get("yres", 1.0))
    for name in _CARRIED:
        if name in picture.metadata:
            image.set_type(pyvips.GValue.blob_type, name, picture.metadata[name])
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)  # applied while reading
    if format_ is ImageFormat.TIFF:
        before = picture.metadata.get(_DESCRIPTION)
        described = f"{before} ({SOFTWARE})" if before else SOFTWARE
        image.set_type(pyvips.GValue.gstr_type, _DESCRIPTION, described)
    elif format_ is not ImageFormat.PNG:
        image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Software", f"{SOFTWARE} ")
    savers: dict[ImageFormat, Callable[[], bytes]] = {
        ImageFormat.PNG: lambda: png_chunks.with_chunks(
            image.pngsave_buffer(compression=6), picture.metadata.get(_CHUNKS, b""), made_by=SOFTWARE
        ),
        ImageFormat.JPEG: lambda: image.jpegsave_buffer(Q=95, subsample_mode="off", optimize_coding=True),
        ImageFormat.WEBP: lambda: image.webpsave_buffer(
            lossless=picture.lossless, Q=95, smart_subsample=True, exact=True
        ),
        ImageFormat.TIFF: lambda: image.tiffsave_buffer(compression="deflate", predictor="horizontal"),
    }
    try:
        return savers[format_]()
    except pyvips.Error as error:
        raise OutputError(
            f"cannot be encoded as {format_}: {_first_line(error)}", remedy="choose another image format"
        ) from error


def _eight_bit(samples: NDArray[Any]) -> NDArray[Any]:
    return np.rint(samples / 257).astype(np.uint8)


def _damaged(source: Source, error: object) -> InputError:
    return InputError(
        f"is damaged or incomplete: {_first_line(error)}",
        remedy="copy or download it again",
        path=source.path,
    )


def _first_line(error: object) -> str:
    text = str(getattr(error, "detail", error)).strip() or str(error)
    return text.splitlines()[0]
