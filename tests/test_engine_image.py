"""Stills in and out: depth, alpha, profile, EXIF and orientation as they were; refusals with a reason."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray

from engine import __version__, image, job
from engine.errors import InputError, KakudaiError, MissingInputError, NothingToDo, OutputError
from engine.settings import PICTURE_EXTENSIONS, ImageFormat, Limits, Settings
from engine.source import open_source

BICUBIC = Settings(model="bicubic")


def drawn(height: int = 24, width: int = 32, *, bands: int = 3, depth: int = 8) -> NDArray[Any]:
    """A soft gradient with a hard bar, (height, width, bands)."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    channels = np.stack([x, y, 1 - x, np.clip(2 * x, 0, 1)][:bands], axis=2)
    channels[:, width // 2 : width // 2 + 3, : min(bands, 3)] = 0
    kind = np.uint8 if depth == 8 else np.uint16
    return (channels * np.iinfo(kind).max).round().astype(kind)


def saved(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    kinds = {(1, 1): "b-w", (2, 1): "b-w", (3, 1): "srgb", (4, 1): "srgb"}
    kinds |= {(1, 2): "grey16", (2, 2): "grey16", (3, 2): "rgb16", (4, 2): "rgb16"}
    picture = pyvips.Image.new_from_array(pixels, interpretation=kinds[pixels.shape[2], pixels.itemsize])
    picture.write_to_file(str(path), **options)
    return path


def read(path: Path) -> image.Picture:
    with open_source(path) as source:
        return image.read(source, limits=Limits())


def upscaled(path: Path, settings: Settings = BICUBIC) -> Path:
    """Enlarge through the engine's entrance; returns the output."""
    with open_source(path) as source:
        planned = job.plan(source, settings)
        out = path.parent / f"out-{planned.output_name}"
        job.enlarge(source, out, settings, planned=planned, work_dir=path.parent, progress=lambda _: None)
    return out


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tiff", ".tif", ".bmp", ".jpeg"])
def test_every_format_comes_back_twice_as_large_in_its_own_format(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    if extension == ".bmp":
        cv2.imwrite(str(path), drawn()[..., ::-1])
    else:
        saved(path, drawn())
    out = upscaled(path)
    assert out.name == f"out-a [48p]{extension}"
    found = read_again(out)
    wanted = cv2.resize(read(path).colour, (64, 48), interpolation=cv2.INTER_CUBIC)
    tolerance = 12 if extension in (".jpg", ".jpeg", ".webp") else 0
    assert np.abs(found.colour.astype(int) - wanted).max() <= tolerance
    assert found.format is PICTURE_EXTENSIONS[extension]


def read_again(path: Path) -> image.Picture:
    """Read our own output, which the engine refuses by its tag."""
    pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    alpha = pixels[..., 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    colour = pixels[..., :3] if pixels.ndim == 3 else pixels
    format_ = image.format_of(path.read_bytes()[:16])
    assert format_ is not None
    return image.Picture(colour, alpha, format_)


def test_two_sources_one_after_the_other_are_not_confused(tmp_path: Path) -> None:
    """libvips caches by name, and all sources are /proc/self/fd/N."""
    one, other = saved(tmp_path / "1.png", drawn()), saved(tmp_path / "2.png", 255 - drawn())
    assert (read(one).colour != read(other).colour).any()


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_16_bit_stays_16_bit(tmp_path: Path, extension: str, bands: int) -> None:
    out = upscaled(saved(tmp_path / f"deep{extension}", drawn(bands=bands, depth=16)))
    found = pyvips.Image.new_from_file(str(out))
    assert (found.format, found.bands, found.width) == ("ushort", bands, 64)
    levels = np.unique(found.numpy().reshape(48, 64, bands)[..., 0])
    assert (levels % 257 != 0).any(), "levels between the 8-bit ones must survive"


def test_grey_stays_grey(tmp_path: Path) -> None:
    found = pyvips.Image.new_from_file(str(upscaled(saved(tmp_path / "grey.png", drawn(bands=1)))))
    assert (found.bands, found.interpretation) == (1, "b-w")


def test_profile_and_exif_are_carried_and_orientation_is_applied(tmp_path: Path) -> None:
    picture = pyvips.Image.new_from_array(drawn(), interpretation="srgb").copy(xres=3.0, yres=3.0)
    picture = picture.copy()
    picture.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "An artist ")
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)
    path = tmp_path / "turned.jpg"
    picture.write_to_file(str(path), profile="p3")
    out = upscaled(path)
    assert out.name == "out-turned [64p].jpg"
    found, source = pyvips.Image.new_from_file(str(out)), pyvips.Image.new_from_file(str(path))
    assert (found.width, found.height) == (48, 64)
    assert found.get("icc-profile-data") == source.get("icc-profile-data")
    assert str(found.get("exif-ifd0-Artist")).startswith("An artist")
    assert found.get("orientation") == 1
    assert found.xres == pytest.approx(3.0, rel=0.05)


def test_text_and_the_meaning_of_colours_are_carried(tmp_path: Path) -> None:
    """Chunks of a PNG that libvips keeps for itself."""
    kept = [
        _chunk(b"gAMA", struct.pack(">I", 55556)),
        _chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        _chunk(b"cICP", bytes([1, 13, 0, 1])),
        _chunk(b"tEXt", b"parameters\0what it was made with"),
        _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1000)),
        _chunk(b"iTXt", "Title\0\0\0ja\0\0拡大".encode()),
    ]
    kept.append(_chunk(b"tEXt", "Créateur\0né".encode("latin-1")))  # which is what the standard wants
    broken = _chunk(b"tEXt", b"Author\0somebody")[:-1] + b"?"
    data = saved(tmp_path / "a.png", drawn()).read_bytes()
    chunks = b"".join([*kept, _chunk(b"tEXt", b"Software\0another"), broken])
    (tmp_path / "a.png").write_bytes(data[:33] + chunks + data[33:])
    out = upscaled(tmp_path / "a.png").read_bytes()
    assert all(out.count(chunk) == 1 for chunk in kept)
    assert b"another" not in out
    assert b"somebody" not in out
    (tmp_path / "again.png").write_bytes(out)
    with pytest.raises(NothingToDo):
        read(tmp_path / "again.png")


def test_descriptions_and_captions_are_carried(tmp_path: Path) -> None:
    picture = pyvips.Image.new_from_array(drawn(), interpretation="srgb").copy()
    picture.set_type(pyvips.GValue.gstr_type, "image-description", "頁 1")
    picture.set_type(pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0")
    for path in (tmp_path / "a.tiff", tmp_path / "a.jpg"):
        picture.write_to_file(str(path))
    jpeg = [pyvips.Image.new_from_file(str(each)) for each in (tmp_path / "a.jpg", upscaled(tmp_path / "a.jpg"))]
    assert jpeg[0].get("iptc-data") == jpeg[1].get("iptc-data")
    tiff = pyvips.Image.new_from_file(str(upscaled(tmp_path / "a.tiff")))
    assert tiff.get("image-description") == f"頁 1 (Kakudai {__version__})"


@pytest.mark.parametrize("extension", [".png", ".webp", ".tiff"])
def test_alpha_is_enlarged_beside_the_picture_without_a_halo(tmp_path: Path, extension: str) -> None:
    pixels = np.zeros((20, 20, 4), np.uint8)  # what is transparent is black, the disc is white
    cv2.circle(pixels, (10, 10), 6, (255, 255, 255, 255), -1)
    options = {"lossless": True, "exact": True} if extension == ".webp" else {}
    out = upscaled(saved(tmp_path / f"disc{extension}", pixels, **options))
    found = pyvips.Image.new_from_file(str(out)).numpy()
    visible = found[..., 3] > 0
    assert visible.any()
    assert not visible.all()
    assert found[visible][:, :3].min() >= 254


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tiff"])
def test_our_own_pictures_are_recognised(tmp_path: Path, extension: str) -> None:
    out = upscaled(saved(tmp_path / f"a{extension}", drawn()))
    with pytest.raises(NothingToDo, match="made by Kakudai"):
        read(out)


def test_the_format_can_be_chosen_and_16_bit_is_then_rounded(tmp_path: Path) -> None:
    out = upscaled(saved(tmp_path / "deep.png", drawn(depth=16)), replace(BICUBIC, image_format=ImageFormat.JPEG))
    assert out.suffix == ".jpg"
    assert pyvips.Image.new_from_file(str(out)).format == "uchar"


def test_alpha_is_never_dropped_silently(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="transparency"):
        upscaled(saved(tmp_path / "a.png", drawn(bands=4)), replace(BICUBIC, image_format=ImageFormat.JPEG))


def _text(path: Path) -> None:
    path.write_text("this is not a picture")


def _truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    saved(path, noise)
    path.write_bytes(path.read_bytes()[:-1500])


def _cmyk(path: Path) -> None:
    pyvips.Image.new_from_array(drawn(bands=4), interpretation="cmyk").write_to_file(str(path))


def _ycbcr(path: Path) -> None:
    """The tag PhotometricInterpretation (262), a SHORT, says 6 and not 2."""
    data = saved(path, drawn()).read_bytes()
    entry = struct.pack("<HHIH", 262, 3, 1, 2)
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, struct.pack("<HHIH", 262, 3, 1, 6)))


def _big_ycbcr(path: Path) -> None:
    saved(path, drawn(), bigtiff=True)
    data = path.read_bytes()
    entry = struct.pack("<HHQH", 262, 3, 1, 2)
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, struct.pack("<HHQH", 262, 3, 1, 6)))


def _animated(path: Path) -> None:
    frames = pyvips.Image.new_from_array(np.concatenate([drawn(), 255 - drawn()]), interpretation="srgb").copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 24)
    path.write_bytes(frames.webpsave_buffer())


def _pages(path: Path) -> None:
    frames = pyvips.Image.new_from_array(np.concatenate([drawn(), 255 - drawn()]), interpretation="srgb").copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 24)
    path.write_bytes(frames.tiffsave_buffer())


def _float(path: Path) -> None:
    pyvips.Image.new_from_array(drawn().astype(np.float32)).write_to_file(str(path))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _animated_png(path: Path) -> None:
    saved(path, drawn())
    data = path.read_bytes()
    path.write_bytes(data[:33] + _chunk(b"acTL", struct.pack(">II", 2, 0)) + data[33:])


def _hdr_png(path: Path) -> None:
    data = saved(path, drawn()).read_bytes()
    path.write_bytes(data[:33] + _chunk(b"cICP", bytes([9, 16, 0, 1])) + data[33:])


def _huge_header(path: Path) -> None:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b""))


def _short_bmp(path: Path) -> None:
    cv2.imwrite(str(path), drawn())
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.png", _text, "is not a picture"),
        ("a.jpg", _truncated, "damaged or incomplete"),
        ("b.png", _truncated, "damaged or incomplete"),
        ("c.webp", _truncated, "damaged or incomplete"),
        ("c.tiff", _truncated, "damaged or incomplete"),
        ("a.tiff", _cmyk, "CMYK"),
        ("d.jpg", _cmyk, "CMYK"),
        ("e.tiff", _ycbcr, "YCbCr"),
        ("f.tif", _big_ycbcr, "YCbCr"),
        ("a.webp", _animated, "several pages or is animated"),
        ("b.tiff", _pages, "several pages or is animated"),
        ("c.png", _animated_png, "several pages or is animated"),
        ("d.tiff", _float, "not supported"),
        ("d.png", _huge_header, "max_pixels"),
        ("f.png", _hdr_png, "is HDR"),
        ("a.bmp", _short_bmp, "damaged or incomplete"),
        ("e.png", Path.touch, "empty"),
        ("notes.md", _text, "are not enlarged"),
    ],
)
def test_bad_pictures_are_refused_with_reason_and_remedy(
    tmp_path: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=reason) as caught:
        upscaled(path)
    assert caught.value.remedy
    assert caught.value.path == path


def test_links_folders_and_pipes_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(saved(tmp_path / "real.png", drawn()))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, reason in (("link.png", "symbolic link"), ("pipe.png", "regular"), ("folder.png", "regular")):
        with pytest.raises(InputError, match=reason):
            read(tmp_path / name)
    with pytest.raises(MissingInputError):
        read(tmp_path / "nothing.png")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (3, 5), (17, 33)])
def test_odd_sizes_come_out_exactly(tmp_path: Path, height: int, width: int) -> None:
    out = upscaled(saved(tmp_path / "odd.png", drawn(height, width, bands=4)))
    found = pyvips.Image.new_from_file(str(out))
    assert (found.width, found.height) == (2 * width, 2 * height)


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    picture = read(saved(tmp_path / "a.png", drawn()))
    with pytest.raises(KakudaiError) as caught:
        image.write(picture, Path("/dev/full"), ImageFormat.PNG)
    assert caught.value.remedy
