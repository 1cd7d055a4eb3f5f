"""Drawn scenes: the same for a seed, whole at any size, held where an animator would hold."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from engine.settings import Size
from training.scene import draw_cel, draw_frame, draw_frames, draw_picture, drawing_at

SMALL = Size(96, 54)
FRAMES = 48


def test_a_seed_names_one_picture() -> None:
    first, again = draw_picture(SMALL, seed=5), draw_picture(SMALL, seed=5)
    assert first.dtype == np.uint8
    assert first.shape == (54, 96, 3)
    assert np.array_equal(first, again)


def test_seeds_give_different_pictures() -> None:
    pictures = {draw_picture(SMALL, seed=seed).tobytes() for seed in range(8)}
    assert len(pictures) == 8


@pytest.mark.parametrize(
    "size", [Size(1, 1), Size(1, 40), Size(3, 5), Size(33, 17), Size(61, 97), Size(120, 24)], ids=str
)
def test_any_size_is_covered_by_paint(size: Size) -> None:
    """The last layer reaches every corner: nothing is left as bare, black cel."""
    picture = draw_picture(size, seed=2)
    assert picture.shape == (size.height, size.width, 3)
    assert picture.max(axis=-1).min() > 8


def test_lines_keep_their_weight_at_another_size() -> None:
    """Twice the size reduced by area is nearly the picture drawn small: one scene, not one per size."""
    large = draw_picture(Size(384, 216), seed=4)
    reduced = cv2.resize(large, (192, 108), interpolation=cv2.INTER_AREA).astype(float)
    error = np.mean((reduced - draw_picture(Size(192, 108), seed=4)) ** 2)
    assert 10 * np.log10(255**2 / error) > 30


def test_the_cel_is_the_character_alone() -> None:
    cel = draw_cel(SMALL)
    picture = draw_picture(SMALL)
    assert cel.shape == (54, 96, 4)
    solid, clear = cel[..., 3] == 255, cel[..., 3] == 0
    assert solid.mean() > 0.05
    assert clear.mean() > 0.3
    assert np.abs(cel[solid][:, :3].astype(int) - picture[solid]).max() <= 1


def test_frames_between_drawings_are_equal_byte_for_byte() -> None:
    frames = [frame.tobytes() for frame in draw_frames(SMALL, frames=FRAMES)]
    drawings = [drawing_at(i, frames=FRAMES) for i in range(FRAMES)]
    for i in range(1, FRAMES):
        assert (frames[i] == frames[i - 1]) == (drawings[i] == drawings[i - 1]), f"frame {i}"
    held = [i for i in range(1, FRAMES) if frames[i] == frames[i - 1]]
    assert {1, 2, 4, 5, 7, 8} <= set(held)
    assert 3 not in held
    assert 6 not in held


def test_a_frame_does_not_depend_on_what_was_drawn_before() -> None:
    """Frames come from caches; a frame drawn first of all equals the same frame drawn in order."""
    in_order = list(draw_frames(SMALL, frames=FRAMES))
    for index in (40, 3, 30, 0):
        assert np.array_equal(draw_frame(index, SMALL, frames=FRAMES), in_order[index])


def test_the_animation_has_what_an_episode_has() -> None:
    drawings = [drawing_at(i, frames=144) for i in range(144)]
    assert len({d.pose.mouth for d in drawings}) == 4
    assert {d.pose.lids for d in drawings} == {0, 1, 2}
    assert sum(a.shot != b.shot for a, b in pairwise(drawings)) == 1
    pans = [d.pan for d in drawings if d.shot == 1]
    assert pans[0] == 0
    assert pans[-1] == 1
    assert pans == sorted(pans)
    assert drawings[-1] == drawings[-10]


def test_the_cut_is_hard() -> None:
    frames = list(draw_frames(SMALL, frames=FRAMES))
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    cut = next(i for i in range(FRAMES) if drawing_at(i, frames=FRAMES).shot == 1)
    assert int(np.argmax(changes)) == cut - 1
    assert sorted(changes)[-1] > 2 * sorted(changes)[-2]


def test_deep_frames_hold_more_levels_than_eight_bit() -> None:
    size = Size(64, 128)
    deep = draw_frame(0, size, frames=4, deep=True)
    shallow = draw_frame(0, size, frames=4)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - shallow).max() <= 0.51
    assert len(np.unique(deep[..., 2])) > 2 * len(np.unique(shallow[..., 2]))


def test_a_frame_from_the_cache_cannot_be_written_to() -> None:
    frame = draw_frame(0, SMALL, frames=4)
    with pytest.raises(ValueError, match="read-only"):
        frame[0, 0] = 0
