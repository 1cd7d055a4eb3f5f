"""Which names in a watched folder are sources, and which are somebody's temporary files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pathspec import GitIgnoreSpec

from engine.settings import EPISODE_EXTENSIONS, PICTURE_EXTENSIONS

BOOKKEEPING = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
        *("@recycle", "@recently-snapshot"),  # QNAP
        *("$recycle.bin", "system volume information"),  # Windows
        *("lost+found", "~snapshot"),  # ext4, NetApp
    }
)
"""Folders, in lower case, in which file servers keep thumbnails of pictures, deleted files and old states."""


def source_kind(name: str) -> Literal["picture", "episode"] | None:
    """What a file of this name is taken for; None when it is none of ours.

    Hidden names are temporary (rsync's `.name.mkv.Xa3bQ1`, our own parts), as are those that end in `~` or start with
    `~$`. Downloads in progress (.part, .crdownload, .!qB, .aria2, .tmp) have other extensions.
    """
    if is_left_alone(name) or name.endswith("~") or name.startswith("~$"):
        return None
    dot = name.rfind(".")
    extension = name[dot:].lower() if dot > 0 else ""
    if extension in PICTURE_EXTENSIONS:
        return "picture"
    if extension in EPISODE_EXTENSIONS:
        return "episode"
    return None


def is_left_alone(name: str) -> bool:
    """Whether a file or folder of this name is somebody's bookkeeping: hidden, or a NAS's thumbnails and waste."""
    return name.startswith(".") or name.lower() in BOOKKEEPING


def ignore_patterns(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    """Patterns as in a .gitignore. Raises ValueError for what is none."""
    return GitIgnoreSpec.from_lines(patterns)


def is_ignored(relative: str, patterns: tuple[str, ...], *, is_directory: bool = False) -> bool:
    """Whether one of `patterns` matches `relative`, the path below the watched folder, or a folder above it.

    The last that matches decides, as in git; nothing in an ignored folder is looked at. Upper and lower case differ.
    """
    return bool(patterns) and _compiled(patterns).match_file(f"{relative}/" if is_directory else relative)


_compiled = lru_cache(maxsize=1000)(ignore_patterns)


def sources_below(folder: Path, *, leave_out: Path) -> Iterator[Path]:
    """Every picture and episode below `folder`, sorted; not in `leave_out`."""
    for entry in sorted(folder.iterdir()):
        if is_left_alone(entry.name) or entry.is_symlink() or entry.absolute() == leave_out:
            continue
        if entry.is_dir():
            yield from sources_below(entry, leave_out=leave_out)
        elif source_kind(entry.name) is not None:
            yield entry
