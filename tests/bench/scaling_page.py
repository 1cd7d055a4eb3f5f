"""docs/scaling.md from docs/scaling.json: every figure on the page is reckoned here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.scaling_speed import CASES, Case

MOST_DEARER = 0.05
"""By how much a frame may be dearer on a cluster: the aim."""
EPISODE_FRAMES = 34_000
"""23 min 40 s at 24000/1001."""
SEGMENT_FRAMES = 240
EPISODES = 10_000
SERVICE_CORES, WORKER_CORES = 16, 16
LINK_BYTES = 1.25e9
"""Ten gigabit a second."""
READS_OF_A_SOURCE, READS_OF_A_RESULT = 3, 3
"""How often the service hashes them: facts, key and sending; taking in, check and the finished file."""
AT_ONCE = 16
"""`cluster.episodes`: an episode goes to twice the workers divided by this."""


@dataclass(frozen=True)
class Need:
    """What a frame takes of something, and how much of it there is a second."""

    what: str
    reckoned: str
    each: float
    there: float
    unit: str

    @property
    def most_frames(self) -> float:
        """Frames a second at which it is used up."""
        return self.there / self.each


def line(frames: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds for each frame, and for an episode beside its frames: the line through both lengths."""
    each = (seconds[1] - seconds[0]) / (frames[1] - frames[0])
    return each, seconds[0] - each * frames[0]


def dearer(found: Mapping[str, Any], kind: str) -> tuple[float, float]:
    """How much more a frame takes on a cluster than here, as a part of it; and seconds that an episode takes more.

    `kind`: `wall` (by the clock) or `cpu` (of all processors).
    """
    here, there = (line(found["frames"], [_seconds(run, kind) for run in found[name]]) for name in ("here", "cluster"))
    return there[0] / here[0] - 1, there[1] - here[1]


def _seconds(run: Mapping[str, float], kind: str) -> float:
    return run["wall_s"] if kind == "wall" else sum(spent for name, spent in run.items() if name != "wall_s")


def needs(stages: Mapping[str, Any], *, gpus: int) -> list[Need]:
    """What is used up as the frames a second grow, on the service's machine and between the machines."""
    cpu, source, result = stages["cpu_s"], stages["source_bytes_per_frame"], stages["output_bytes_per_frame"]
    hashing = (READS_OF_A_SOURCE * source + READS_OF_A_RESULT * result) / 1e9 * cpu["hash, a gigabyte"]
    joining = result / 1e9 * cpu["mux, a gigabyte"]
    counting = cpu["count packets, a segment"] / SEGMENT_FRAMES
    service = cpu["decode for the proof"] + hashing + joining + counting
    copies = min(gpus, -(-2 * gpus // AT_ONCE))
    row = stages["ledger_row_s"] / SEGMENT_FRAMES
    return [
        Need(
            "processor of the service",
            f"{_ms(cpu['decode for the proof'])} decoding for the proof + {_ms(hashing)} hashing + {_ms(joining)} "
            f"muxing + {_ms(counting)} counting packets; {SERVICE_CORES} cores",
            service,
            SERVICE_CORES,
            "CPU s",
        ),
        Need(
            "network, to the service", f"{result:,} bytes of a finished frame; 10 Gbit/s", result, LINK_BYTES, "bytes"
        ),
        Need(
            "network, from the service",
            f"{source:,} bytes of a source frame to {copies} nodes (fewer: nodes also copy from each other); 10 Gbit/s",
            source * copies,
            LINK_BYTES,
            "bytes",
        ),
        Need("ledger", f"{_ms(stages['ledger_row_s'])} for a row each {SEGMENT_FRAMES} frames", row, 1.0, "s"),
    ]


def worker_need(stages: Mapping[str, Any]) -> float:
    """CPU seconds that a frame takes beside the network on the worker's machine."""
    cpu = stages["cpu_s"]
    return float(cpu["decode to planes"] + cpu["encode"] + cpu["decode to check"])


def page(figures: Mapping[str, Any]) -> str:
    """The whole page."""
    return (
        "\n".join(
            [*_head(figures), *_overhead(figures["overhead"]), *_speed(figures["speed"]), *_far(figures["stages"])]
        )
        + "\n"
    )


def _head(figures: Mapping[str, Any]) -> list[str]:
    machine = figures["machine"]
    return [
        "# Several machines: what it costs, and how far it goes",
        "",
        "Made by `python -m tests.bench.scaling page` from [scaling.json](scaling.json), measured by the same command",
        f"(`stages`, `overhead`, `speed`) on {machine['processor']}, {machine['date']}, Ray {machine['ray']}.",
        "",
    ]


def _overhead(overhead: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        "## Measured: what a cluster costs",
        "",
        "A clip enlarged twofold here, and by a cluster of one worker that has the same two processors: an",
        "animation on twos, 24 frames a second, as x264 leaves it (crf 18, a key frame each 250), in segments of",
        "240; x265 medium crf 16, `reuse: exact`. Networks are loaded and workers have joined before. What a",
        "frame takes is the line through a short clip and a long one; what an episode takes beside it, mostly the",
        "connection to Ray, comes once.",
        f"Only “{CASES['worst'].told}” is otherwise:",
        "what costs most beside the work, ten small frames to a segment, with the one key frame at the beginning.",
        "",
        "| | from | here, by the clock | on the cluster | here, CPU | on the cluster | more for an episode |",
        "|---|---|---|---|---|---|---|",
        *[_overhead_row(CASES[name], found) for name, found in overhead.items()],
        "",
        *_aim(overhead),
        "",
        "Where the CPU time of a frame goes on the cluster. The service decodes for the proof, and holds what comes",
        "back to its hash. The worker does what is done here, hashes each frame that it decodes, decodes what lies",
        "between the key frame and its segment, and decodes what it has encoded. Ray's own processes take what they",
        "take, by the clock.",
        "",
        "| | service | worker | Ray | all of it here |",
        "|---|---|---|---|---|",
        *[_parts_row(CASES[name], found) for name, found in overhead.items()],
        "",
    ]


def _aim(overhead: Mapping[str, Mapping[str, Any]]) -> list[str]:
    told = {
        kept: [CASES[name].told for name, found in overhead.items() if (dearer(found, "cpu")[0] <= MOST_DEARER) is kept]
        for kept in (True, False)
    }
    return [
        f"The aim is at most {MOST_DEARER:.0%} of CPU time a frame. It is kept by: {'; '.join(told[True]) or 'none'}.",
        f"It is not kept by: {'; '.join(told[False]) or 'none'}.",
    ]


def _overhead_row(case: Case, found: Mapping[str, Any]) -> str:
    (wall, wall_s), (cpu, cpu_s) = dearer(found, "wall"), dearer(found, "cpu")
    here = {kind: line(found["frames"], [_seconds(run, kind) for run in found["here"]])[0] for kind in ("wall", "cpu")}
    return (
        f"| {case.told} | {case.size} | {_ms(here['wall'])} | {wall:+.1%} | {_ms(here['cpu'])} | {cpu:+.1%} | "
        f"{wall_s:+.1f} s, CPU {cpu_s:+.1f} s |"
    )


def _parts_row(case: Case, found: Mapping[str, Any]) -> str:
    frames = found["frames"]
    parts = [line(frames, [run[who] for run in found["cluster"]])[0] for who in ("service", "workers", "Ray")]
    here = line(frames, [_seconds(run, "cpu") for run in found["here"]])[0]
    return f"| {case.told} | " + " | ".join(map(_ms, [*parts, here])) + " |"


def _speed(speed: Mapping[str, Any]) -> list[str]:
    case = CASES["speed"]
    one, two = ([run["wall_s"] for run in speed[name]] for name in ("one worker", "two workers"))
    return [
        "## Measured: one worker and two",
        "",
        f"{speed['frames'][1]} frames by {case.told} from {case.size}, in segments of 240, as above; each worker on a",
        "node and a processor of its own. The service has no third one: what it does is taken from theirs.",
        "",
        "| | the clip, by the clock | a frame |",
        "|---|---|---|",
        f"| one worker | {one[1]:.1f} s | {_ms(line(speed['frames'], one)[0])} |",
        f"| two workers | {two[1]:.1f} s | {_ms(line(speed['frames'], two)[0])} |",
        "",
        f"With the second one it goes {one[1] / two[1]:.2f} times as fast.",
        "",
    ]


def _far(stages: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Reckoned: a hundred GPUs, ten thousand episodes",
        "",
        "1080p to 2160p, x265 medium crf 16, a drawn episode. CPU time of each stage, for a frame unless it says",
        "otherwise:",
        "",
        "| stage | |",
        "|---|---|",
        *[f"| {stage} | {_ms(seconds)} |" for stage, seconds in stages["cpu_s"].items()],
        f"| a row of the ledger, durable (wall) | {_ms(stages['ledger_row_s'])} |",
        "",
        f"Assumed: a service with {SERVICE_CORES} such cores and 10 Gbit/s, workers with {WORKER_CORES} cores a GPU,",
        f"episodes of {EPISODE_FRAMES:,} frames, `cluster.episodes: {AT_ONCE}`, so that an episode goes to an eighth",
        "of the workers. What a frame takes of each, and at how many frames a second it is used up, with 100 GPUs:",
        "",
        "| | reckoned | a frame | used up at |",
        "|---|---|---|---|",
    ]
    found = needs(stages, gpus=100)
    lines += [f"| {need.what} | {need.reckoned} | {_each(need)} | {need.most_frames:,.0f} frames/s |" for need in found]
    encoding = worker_need(stages)
    worker = WORKER_CORES / encoding
    lines += [
        "",
        f"On a worker decode, encode and check take {_ms(encoding)} a frame: {WORKER_CORES} cores carry",
        f"{worker:.1f} frames/s, however fast the GPU beside them is. A faster one waits for x265; a faster preset,",
        "more cores, or NVENC change that.",
        "",
        "| GPU alone, frames/s | a worker | 100 workers | used up first | frames/s reached | 10,000 episodes in |",
        "|---|---|---|---|---|---|",
    ]
    for gpu in (5, 30, 100):
        each = min(gpu, worker)
        wanted = 100 * each
        first = min(found, key=lambda need: need.most_frames)
        reached = min(wanted, first.most_frames)
        told = "the workers themselves" if wanted <= first.most_frames else first.what
        days = EPISODES * EPISODE_FRAMES / reached / 86_400
        lines.append(f"| {gpu} | {each:.1f} | {wanted:,.0f} | {told} | {reached:,.0f} | {days:,.0f} days |")
    first = min(found, key=lambda need: need.most_frames)
    lines += [
        "",
        f"Beside the workers, the first thing to be used up is the {first.what}, at {first.most_frames:,.0f} frames/s",
        f"({first.most_frames / worker:,.0f} workers bound by x265, {first.most_frames / 30:,.0f} of 30 frames/s).",
        "Beyond that, run a second service with folders of its own on another machine: services share nothing but Ray.",
    ]
    return lines


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


def _each(need: Need) -> str:
    return _ms(need.each) if need.unit.endswith("s") and need.unit != "bytes" else f"{need.each:,.0f} {need.unit}"
