"""The process of one preview: `python -P -m daemon.preview_process EVENTS_FD SERVICE_PID`, started by `daemon.child`.

It lives and dies as the process of a job does. The second line of stdin tells where the page goes; `made` is its end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from daemon.job_process import Channel, Stopped, serve
from daemon.preview import FRAMES, quick_extent, write_preview
from daemon.request import Request
from daemon.settling import frame_entries
from engine.errors import MissingInputError
from engine.preview import variants_of


def _work(request: Request, channel: Channel) -> None:
    answer = sys.stdin.readline()
    if not answer:
        raise Stopped
    modes, denoises = quick_extent(request.settings)
    variants = variants_of(request.settings, modes=modes, denoises=denoises)
    page = Path(json.loads(answer)["page"])
    source = _source_of(request)
    write_preview(source, page, variants, count=FRAMES, force=True, progress=channel.progress, links_above=False)
    channel.send("made")


def _source_of(request: Request) -> Path:
    """The file itself; of a folder of frames, the one in the middle."""
    if request.kind != "sequence":
        return request.source
    frames = frame_entries(os.fspath(request.source))
    if not frames:
        raise MissingInputError("there are no frames any more", remedy="put them back", path=request.source)
    return Path(frames[len(frames) // 2].path)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], _work))
