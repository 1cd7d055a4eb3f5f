"""A file cut at an open GOP: its first frames in the order of decoding lean on frames that were cut away.

Decoders drop those leading pictures, as players do. The H.264 decoder complains of the missing references while it
does, in words that elsewhere mean damage; here they are counted, so that exactly these, and no more, can be excused.
"""

from __future__ import annotations

import re
from collections import Counter

from engine.ffmpeg import command, source_input
from engine.packets import PacketScan
from engine.probe import EpisodeInfo
from engine.process import run
from engine.settings import Limits
from engine.source import Source

_MISSING_REFERENCE = re.compile(
    r"mmco: unref short failure|co located POCs unavailable|reference picture missing during reorder"
    r"|Missing reference picture, default is -?\d+|number of reference frames \(.*\) exceeds max \(.*"
    r"|Could not find ref with POC -?\d+"
)


def opening_complaints(source: Source, info: EpisodeInfo, packets: PacketScan, limits: Limits) -> Counter[str]:
    """What ffmpeg says of missing references while it decodes up to the second key frame, and how often.

    Empty where the file does not begin with an open GOP: then any complaint means damage.
    """
    if packets.leading == 0:
        return Counter()
    stream = source_input(source, limits, copyts=None, threads=1)[str(info.video_index)]
    argv = command(
        stream.output("pipe:1", f="null", fps_mode="passthrough", **{"frames:v": max(1, packets.opening_frames)}),
        leading=["-progress", "pipe:1"],  # a sign of life
    )
    _, child = run(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(source.fd,))
    return Counter({words: count for words, count in child.complaints.items() if _MISSING_REFERENCE.fullmatch(words)})
