"""A folder of numbered frames is one job: all of them, in order, of one size, none missing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import InputError, KakudaiError, MissingInputError
from engine.progress import ProgressEvent
from engine.sequence import enlarge_sequence, plan_sequence
from engine.settings import Settings, Size

BICUBIC = Settings(model="bicubic")


def frames(folder: Path, numbers: list[str], size: tuple[int, int] = (12, 16)) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"cut{number}.png"), np.full((*size, 3), int(number) % 25 * 10, np.uint8))
    return folder


def test_every_frame_comes_out_under_its_number(tmp_path: Path) -> None:
    folder = frames(tmp_path / "cut", ["008", "009", "010", "011"])
    (folder / "notes.txt").write_text("not a frame")
    planned = plan_sequence(folder, BICUBIC)
    assert (planned.output_name, planned.frames, planned.output_size) == ("cut [24p]", 4, Size(32, 24))
    events: list[ProgressEvent] = []
    out = tmp_path / "out"
    report = enlarge_sequence(folder, out, BICUBIC, planned=planned, work_dir=tmp_path, progress=events.append)
    assert report.frames == 4
    assert sorted(path.name for path in out.iterdir()) == [f"cut{n}.png" for n in ("008", "009", "010", "011")]
    tenth = np.asarray(cv2.imread(str(out / "cut010.png")))
    assert tenth.shape == (24, 32, 3)
    assert (tenth == 100).all()
    assert (events[-1].done, events[-1].total) == (4, 4)


@pytest.mark.parametrize(
    ("numbers", "error", "reason"),
    [
        ([], MissingInputError, "no numbered pictures"),
        (["001", "003"], InputError, "frame 2 is missing"),
        (["1", "9" * 60], InputError, "frame 2 is missing"),  # at once, and in little memory
        (["001", "01"], InputError, "frame 1 is there twice"),
    ],
)
def test_an_incomplete_folder_is_refused(
    tmp_path: Path, numbers: list[str], error: type[KakudaiError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        plan_sequence(frames(tmp_path / "cut", numbers), BICUBIC)


def test_two_series_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = frames(tmp_path / "cut", ["001", "002"])
    (folder / "cut002.png").rename(folder / "pan002.png")
    with pytest.raises(InputError, match="several series"):
        plan_sequence(folder, BICUBIC)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = frames(tmp_path / "cut", ["001", "002"])
    frames(folder, ["003"], size=(10, 10))
    planned = plan_sequence(folder, BICUBIC)
    with pytest.raises(InputError, match="the first frame is 16x12"):
        enlarge_sequence(folder, tmp_path / "out", BICUBIC, planned=planned, work_dir=tmp_path, progress=lambda _: None)
