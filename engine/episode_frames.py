"""The frames of an episode: decoded, enlarged and encoded side by side, so that no step waits for another's turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.completeness import Damage, check_all_decoded
from engine.decode import Decoder
from engine.encode import Video
from engine.glimpse import Glimpse
from engine.mux import Timing, timing_of
from engine.open_gop import opening_complaints
from engine.packets import PacketScan
from engine.pipeline import EnlargePlanes, Pipeline, Step, restart, reused_share_of, steps_of
from engine.planes import Planes
from engine.probe import EpisodeInfo
from engine.progress import Progress, ProgressEvent
from engine.segments import Segment, SegmentStore, SegmentWriter
from engine.settings import EncoderSettings, Limits
from engine.source import Source
from engine.stages import Stages


def enlarge_frames(
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    *,
    enlarge: EnlargePlanes,
    store: SegmentStore,
    video: Video,
    encoder: EncoderSettings,
    fields: str | None,
    damage: Damage,
    limits: Limits,
    progress: Progress,
    glimpse: Glimpse | None = None,
) -> tuple[Timing, list[Segment], Stages]:
    """Decode, enlarge and encode every frame that no finished segment holds, all side by side.

    All timestamps, all segments, and how busy each stage was.
    """
    stages = Stages()
    there = store.indexes()
    done, expected = 0, len(packets.timestamps)
    with (
        Decoder(
            source,
            info,
            limits=limits,
            excused=opening_complaints(source, info, packets, limits),
            deinterlaced_as=fields,
            accept_damage=damage.accept,
            stages=stages,
        ) as decoder,
        SegmentWriter(
            store, video=video, settings=encoder, silence_s=limits.silence_s, subject=source.path, stages=stages
        ) as writer,
    ):

        def wanted() -> Iterator[Planes | None]:
            """Every frame, None for those that finished segments hold."""
            for number, planes in enumerate(decoder):
                if number // store.frames_each in there:
                    yield None
                else:
                    writer.reserve()
                    if number % store.frames_each == 0:
                        restart(enlarge)
                    if glimpse is not None:
                        glimpse.before(number, planes)
                    yield planes

        def stop() -> None:
            decoder.stop()
            writer.stop()

        with Pipeline(wanted(), list(map(_unless_none, steps_of(enlarge))), stages=stages, stop=stop) as pipeline:
            for number, planes in enumerate(pipeline):
                if planes is not None:
                    writer.put(number // store.frames_each, planes)
                    if glimpse is not None:
                        glimpse.after(number, planes)
                done = number + 1
                progress(
                    ProgressEvent(
                        "enlarge",
                        done,
                        max(done, expected),
                        "frames",
                        stages=stages.shares,
                        bottleneck=stages.bottleneck,
                        reused_share=reused_share_of(enlarge),
                    )
                )
            writer.finish()
        stages.end()
    damage.found += decoder.damage
    check_all_decoded(source, packets, decoder.timestamps, damage)
    return timing_of(info, packets, decoder.timestamps), store.all(frames=done), stages


def _unless_none(step: Step) -> Step:
    return replace(step, run=lambda frame: None if frame is None else step.run(frame))
