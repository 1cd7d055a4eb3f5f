"""Scores of an earlier evaluation, so that a second one does only what is new: waifu2x takes minutes on a CPU."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from engine.errors import InputError
from engine.files import storing, write_durably
from engine.measure import Score
from training.degrade import Levels
from training.methods import Method


class Remembered:
    """A folder with one small file for each score. A key stands for everything that decides it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def key(self, method: Method, scale: int, reduced: Levels, original: Levels) -> str:
        digest = hashlib.sha256(f"{method.identity} {scale} {reduced.shape} {original.shape}".encode())
        digest.update(reduced.tobytes())
        digest.update(original.tobytes())
        return digest.hexdigest()

    def get(self, key: str) -> Score | None:
        """None when it was never put. Raises `InputError` for a file that is none of ours."""
        path = self._folder / f"{key}.json"
        try:
            return Score(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"not a remembered score ({error})", remedy="remove it", path=path) from error

    def put(self, key: str, score: Score) -> None:
        write_durably(self._folder / f"{key}.json", json.dumps(asdict(score)).encode())
