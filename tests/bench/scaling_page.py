"""docs/scaling.md from docs/scaling.json: every figure on the page is reckoned here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LENGTHS = (40, 120)
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


def line(seconds: list[float]) -> tuple[float, float]:
    """Seconds for each frame, and for an episode beside its frames: the line through both lengths."""
    each = (seconds[1] - seconds[0]) / (LENGTHS[1] - LENGTHS[0])
    return each, seconds[0] - each * LENGTHS[0]


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
    return "\n".join([*_head(figures), *_speed(figures["speed"]), *_far(figures["stages"])]) + "\n"


def _head(figures: Mapping[str, Any]) -> list[str]:
    machine = figures["machine"]
    return [
        "# Several machines: what it costs, and how far it goes",
        "",
        "Made by `python -m tests.bench.scaling page` from [scaling.json](scaling.json), measured by the same command",
        f"(`stages`, `speed`) on {machine['processor']}, {machine['date']}, Ray {machine['ray']}.",
        "",
    ]


def _speed(speed: Mapping[str, list[dict[str, float]]]) -> list[str]:
    whole = {name: [sum(spent.values()) for spent in both] for name, both in speed.items()}
    each = {name: line(seconds)[0] for name, seconds in whole.items()}
    beside = {name: line(seconds)[1] for name, seconds in whole.items()}
    rows = [("here", "here"), ("one worker", "a cluster of one worker"), ("two workers", "a cluster of two workers")]
    longer = speed["two workers"][1]
    busiest = max(spent for name, spent in longer.items() if name.startswith("node"))
    alone = speed["one worker"][1]["node a"]
    own = line([spent["service"] for spent in speed["one worker"]])[0]
    dearer = each["one worker"] / each["here"] - 1
    more = each["one worker"] - each["here"] - own
    return [
        "## Measured: here, and with one and two Ray nodes",
        "",
        f"m-SRCNN, 160x96 to 320x192, `reuse: off`, x265 fast, clips of {LENGTHS[0]} and {LENGTHS[1]} frames with",
        "one key frame, in segments of ten: the worst case. Each segment starts its programs for ten small frames, and",
        "decodes from the beginning of the clip; real ones have 240 frames and a key frame near. The workers are warm,",
        "and each clip begins with a new connection to Ray. CPU seconds of all processes: the service's part, Ray's",
        "own, the workers and what they start. (Not time on the wall: the machine was busy.) The line through both",
        "lengths tells what a frame costs, and what an episode beside.",
        "",
        "| | shorter clip | longer clip | a frame | an episode beside |",
        "|---|---|---|---|---|",
        *[
            f"| {told} | {whole[name][0]:.1f} s | {whole[name][1]:.1f} s | {_ms(each[name])} | {beside[name]:.1f} s |"
            for name, told in rows
        ],
        "",
        f"A frame on the cluster costs {dearer:+.0%} beside here, in this worst case. Of it {_ms(own)} are the",
        f"service's, which decodes for the proof and checks, {_ms(more)} more the worker's. The aim of at most 5 % is",
        "for real segments; it has not been measured on them yet.",
        f"An episode costs {beside['one worker'] - beside['here']:.1f} s more, mostly the connection to Ray.",
        "",
        f"With a second node the longer clip took {longer['node a']:.1f} s of one and {longer['node b']:.1f} s of the",
        f"other, {alone:.1f} s where there was only one: by the busier one, {alone / busiest:.2f} times the speed.",
        "",
    ]


def _far(stages: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Reckoned: a hundred GPUs, ten thousand episodes",
        "",
        "1080p to 2160p, x265 medium crf 16, a drawn episode. CPU time of each stage, measured, for a frame unless it",
        "says otherwise:",
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
