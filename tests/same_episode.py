"""Is an episode what it was, but for its picture? Asked of ffprobe and ffmpeg, not of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.probe import OF_THE_MUXER
from tests import media

CHANGED_STREAM = {
    *("width", "height", "coded_width", "coded_height", "level", "extradata_size", "extradata_hash", "has_b_frames"),
    *("refs", "profile", "avg_frame_rate", "r_frame_rate", "bit_rate", "pix_fmt", "codec_name", "codec_long_name"),
    *("codec_tag", "codec_tag_string", "bits_per_raw_sample", "id", "is_avc", "nal_length_size", "film_grain"),
    *("closed_captions", "duration", "duration_ts", "nb_frames", "field_order", "chroma_location"),
}
"""What may differ between the old video stream and the new one."""


def tags(of: dict[str, Any]) -> dict[str, str]:
    """Tags that tell of the episode: without statistics, and what the muxer writes of itself."""
    found: dict[str, str] = of.get("tags", {})
    own = {"BPS", "NUMBER_OF_BYTES", "ENCODER", "KAKUDAI", "DURATION", "comment", *OF_THE_MUXER}
    return {name: value for name, value in found.items() if name not in own and not name.startswith("_STATISTICS")}


def compare(before: Path, after: Path) -> None:
    """Same streams in the same order with the same tags, dispositions, chapters, attachments, packets and times."""
    old, new = media.probe(before), media.probe(after)
    assert len(old["streams"]) == len(new["streams"])
    for one, two in zip(old["streams"], new["streams"], strict=True):
        assert one["codec_type"] == two["codec_type"]
        assert one["disposition"] == two["disposition"]
        assert tags(one) == tags(two)
        if one["codec_type"] == "video":
            one.setdefault("color_range", "tv")  # decoders of HEVC and AV1 say limited where nothing is said
            two.setdefault("color_range", "tv")
            assert {k: v for k, v in one.items() if k not in CHANGED_STREAM | {"tags"}} == {
                k: v for k, v in two.items() if k not in CHANGED_STREAM | {"tags"}
            }
        elif one["codec_type"] == "attachment":
            assert one["extradata_hash"] == two["extradata_hash"]
        else:
            assert one["codec_name"] == two["codec_name"]
            if one["codec_name"] != "mov_text":  # ffmpeg adds a bit rate box to it
                assert one.get("extradata_hash") == two.get("extradata_hash")
    assert tags(old["format"]) == tags(new["format"])
    assert [(c["start_time"], c["tags"]) for c in old["chapters"]] == [
        (c["start_time"], c["tags"]) for c in new["chapters"]
    ]
    shown = media.packets(before), media.packets(after)
    for index, stream in enumerate(old["streams"]):
        assert [pts for pts, _ in shown[0].get(index, [])] == [pts for pts, _ in shown[1].get(index, [])]
        if stream["codec_type"] == "video":
            assert shown[0][index][-1] == shown[1][index][-1]  # the last frame's duration too
    assert media.stream_hashes(before, "a") == media.stream_hashes(after, "a")
    assert media.stream_hashes(before, "s") == media.stream_hashes(after, "s")
