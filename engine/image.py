"""Still files in and out, through libvips: depth, alpha, ICC profile, EXIF and XMP as they were.

BMP alone goes through OpenCV (libvips has no reader of its own for it); it carries none of these but alpha.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

from engine import __version__
from engine.errors import InputError, NothingToDo, OutputError
from engine.files import storing
from engine.settings import ImageFormat, Limits, Size
from engine.source import Source

SOFTWARE = f"Kakudai {__version__}"
"""Written as the Software tag of every picture made here, so that it is recognised and not enlarged again."""

EXTENSIONS = {
    ".png": ImageFormat.PNG,
    ".jpg": ImageFormat.JPEG,
    ".jpeg": ImageFormat.JPEG,
    ".webp": ImageFormat.WEBP,
    ".tif": ImageFormat.TIFF,
    ".tiff": ImageFormat.TIFF,
    ".bmp": ImageFormat.BMP,
}

# libvips remembers what it read by file name, and every source here is named /proc/self/fd/N: without this the
# second picture would come out as the first.
pyvips.cache_set_max(0)

_CARRIED = ("icc-profile-data", "exif-data", "xmp-data")
_SOFTWARE_FIELDS = ("exif-ifd0-Software", "png-comment-0-Software", "image-description")
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
        return _picture(_read_bmp(source), header, lossless, {})
    metadata = {name: image.get(name) for name in _CARRIED if image.get_typeof(name)}
    metadata |= {"xres": image.xres, "yres": image.yres}
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
    data = _encode_bmp(colour, alpha) if format_ is ImageFormat.BMP else _encode(picture, colour, alpha, format_)
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
        header = Header(_bmp_size(source), format_, 8)
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
    names = image.get_fields()
    software = " ".join(str(image.get(name)) for name in _SOFTWARE_FIELDS if name in names)
    if "Kakudai" in software and not ours:
        raise NothingToDo("was made by Kakudai and is not enlarged again", remedy="give the original", path=source.path)
    pages = image.get("n-pages") if "n-pages" in names else 1
    if pages > 1 or (format_ is ImageFormat.PNG and b"acTL" in source.head(1 << 16)):
        raise InputError(
            "has several pages or is animated; only still pictures are enlarged",
            remedy="split it into single pictures (a folder of them with `sequence: true`), or make a video of it",
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
    if format_ is ImageFormat.PNG:
        image.set_type(pyvips.GValue.gstr_type, "png-comment-0-Software", SOFTWARE)
    elif format_ is ImageFormat.TIFF:
        image.set_type(pyvips.GValue.gstr_type, "image-description", SOFTWARE)
    else:
        image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Software", f"{SOFTWARE} ")
    savers: dict[ImageFormat, Callable[[], bytes]] = {
        ImageFormat.PNG: lambda: image.pngsave_buffer(compression=6),
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


def _bmp_size(source: Source) -> Size:
    head = source.head(26)
    if len(head) < 26:
        raise _damaged(source, "the header is cut short")
    if int.from_bytes(head[14:18], "little") == 12:
        return Size(int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little"))
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
    return Size(width, abs(height))


def _read_bmp(source: Source) -> NDArray[Any]:
    if int.from_bytes(source.head(6)[2:6], "little") > source.size:
        raise _damaged(source, "the file is shorter than its header says")
    pixels = cv2.imdecode(np.frombuffer(source.head(source.size), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise _damaged(source, "cannot be decoded")
    if pixels.ndim == 3:
        pixels[..., :3] = pixels[..., 2::-1].copy()
    return np.asarray(pixels)


def _encode_bmp(colour: NDArray[Any], alpha: NDArray[Any] | None) -> bytes:
    if alpha is not None:
        bgr = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR) if colour.ndim == 2 else colour
        colour = np.dstack([bgr, alpha])
    return bytes(cv2.imencode(".bmp", colour)[1])


def _damaged(source: Source, error: object) -> InputError:
    return InputError(
        f"is damaged or incomplete: {_first_line(error)}",
        remedy="copy or download it again",
        path=source.path,
    )


def _first_line(error: object) -> str:
    text = str(getattr(error, "detail", error)).strip() or str(error)
    return text.splitlines()[0]
