"""What the frames of a video carry beside their picture, inside its own bit stream: lost when they are encoded anew."""

from __future__ import annotations

from engine.ffmpeg import ffprobe_json
from engine.probe import EpisodeInfo
from engine.settings import Limits
from engine.source import Source

_FRAMES = 24
"""Those looked at. Captions are sent with every frame, be there words or none."""
_LOST = {
    "ATSC A53 Part 4 Closed Captions": "the closed captions inside its video are not carried over; ccextractor makes "
    "subtitles of them",
    "Stereo 3D": "its frames are marked as two views in one (stereo 3D), which the header does not say: set it with "
    "mkvpropedit --edit track:v1 --set stereo-mode=…",
}
"""By ffmpeg's names."""


def lost_with_frames(source: Source, info: EpisodeInfo, limits: Limits) -> list[str]:
    """What the first frames carry and the new ones will not, one warning each. Raises `InputError`, `ToolError`."""
    entries = ["-select_streams", str(info.video_index), "-read_intervals", f"%+#{_FRAMES}"]
    entries += ["-show_entries", "frame=pts:frame_side_data=side_data_type"]
    frames = ffprobe_json(source.fd, entries=entries, limits=limits, subject=source.path).get("frames", [])
    kinds = {str(item.get("side_data_type")) for frame in frames for item in frame.get("side_data_list", [])}
    if info.spatial:
        kinds.discard("Stereo 3D")
    return [words for kind, words in _LOST.items() if kind in kinds]
