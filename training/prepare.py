"""`prepare`: a folder of pictures → HDF5 patches `data` (what the network sees) and `label` (what it should say).

Both are float32 (n, 1, size, size) luma in 0..1, as the authors store them. Patches are drawn where something happens:
flat backgrounds teach nothing. Pictures that belong together (pages of one episode, sprites of one figure) fall on one
side of the split, told by folder and by the letters and digits that the name begins with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engine.errors import InputError, MissingInputError
from engine.settings import Interpolation
from training import degrade

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_GROUP = re.compile(r"[A-Za-z]+\d*")


@dataclass(frozen=True)
class PatchSettings:
    """The knobs of `prepare`."""

    scale: int = 2
    upsampling: Interpolation = Interpolation.BICUBIC
    patch_size: int = 64
    patches_per_picture: int = 40
    validation_share: float = 0.05
    seed: int = 0


def pictures_below(folder: Path) -> list[Path]:
    """Every picture file below `folder`, sorted. Raises `MissingInputError` when there is none."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not found:
        raise MissingInputError(
            "no pictures in this folder",
            remedy=f"give a folder with {', '.join(sorted(EXTENSIONS))}",
            path=folder,
        )
    return found


def split_by_group(files: Iterable[Path], *, share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation files: whole groups go to validation until about `share` of the files is there."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for file in files:
        match = _GROUP.match(file.stem)
        groups.setdefault((file.parent, match.group() if match else file.stem), []).append(file)
    names = sorted(groups)
    total = sum(map(len, groups.values()))
    validation: list[Path] = []
    for index in np.random.default_rng(seed).permutation(len(names)):
        members = groups[names[index]]
        if len(validation) + len(members) <= share * total:
            validation += members
    held_out = set(validation)
    return [f for name in names for f in groups[name] if f not in held_out], sorted(validation)


def busy_corners(
    image: NDArray[np.uint8], *, patch_size: int, count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(top, left) of `count` patches, drawn with probability in proportion to their mean gradient, even offsets."""
    height, width = image.shape
    if min(height, width) < patch_size:
        return []
    gradient = np.abs(cv2.Laplacian(image, cv2.CV_32F))
    energy = cv2.boxFilter(gradient, -1, (patch_size, patch_size), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    energy = energy[: height - patch_size + 1 : 2, : width - patch_size + 1 : 2]
    weight = np.minimum(energy, np.percentile(energy, 90)).astype(np.float64).ravel() + 1e-3
    weight[energy.ravel() < 0.5] *= 0.05
    chosen = rng.choice(weight.size, size=min(count, weight.size), replace=False, p=weight / weight.sum())
    return [(2 * int(i // energy.shape[1]), 2 * int(i % energy.shape[1])) for i in chosen]


def prepare(images: Path, out: Path, settings: PatchSettings) -> dict[str, int]:
    """Write `out` (HDF5 groups `train` and `validation`) from the pictures below `images`; returns patch counts.

    Unreadable and too small pictures are listed on the bar and skipped. Written as `.part` and renamed when complete.
    """
    training, validation = split_by_group(pictures_below(images), share=settings.validation_share, seed=settings.seed)
    part = out.with_name(f".{out.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    counts = {}
    with h5py.File(part, "w") as file:
        for name, files in (("train", training), ("validation", validation)):
            counts[name] = _write_group(file.create_group(name), files, settings)
        file.attrs["scale"] = settings.scale
        file.attrs["upsampling"] = settings.upsampling.value
    if not counts["train"] or not counts["validation"]:
        part.unlink()
        raise InputError(
            f"too few pictures: {counts['train']} training and {counts['validation']} validation patches",
            remedy="add pictures, or raise the validation share, or use smaller patches",
            path=images,
        )
    part.replace(out)
    return counts


def _write_group(group: h5py.Group, files: list[Path], settings: PatchSettings) -> int:
    size = settings.patch_size
    shape = {"shape": (0, 1, size, size), "maxshape": (None, 1, size, size), "chunks": (16, 1, size, size)}
    data = group.create_dataset("data", dtype="f4", compression="lzf", **shape)
    label = group.create_dataset("label", dtype="f4", compression="lzf", **shape)
    rng = np.random.default_rng(settings.seed)
    for file in (bar := tqdm(files, desc=str(group.name).strip("/"), unit="picture")):
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            bar.write(f"skipped, cannot be decoded: {file}")
            continue
        target = degrade.crop_to_multiple(np.asarray(picture, np.uint8), settings.scale)
        seen = degrade.luma(
            degrade.enlarge(degrade.reduce(target, settings.scale), settings.scale, settings.upsampling)
        )
        wanted = degrade.luma(target)
        corners = busy_corners(wanted, patch_size=size, count=settings.patches_per_picture, rng=rng)
        if not corners:
            bar.write(f"skipped, smaller than a patch: {file}")
            continue
        for dataset, image in ((data, seen), (label, wanted)):
            patches = np.stack([image[y : y + size, x : x + size] for y, x in corners])
            dataset.resize(dataset.shape[0] + len(corners), axis=0)
            dataset[-len(corners) :] = patches[:, None].astype(np.float32) / 255
    return int(data.shape[0])
