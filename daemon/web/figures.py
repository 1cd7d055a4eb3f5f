"""For machines that watch: whether the service lives and is ready, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from daemon.ledger_schema import STATES
from daemon.web.visitors import may_look, refusal, site_of
from engine import __version__


async def healthz(_: Request) -> Response:
    """200 while the page's own thread answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """200 while the service's loop turns and its ledger can be used; 503 with the reason otherwise."""
    state = await site_of(request).status()
    if "error" in state:
        return PlainTextResponse(f"{state['error']}\n", status_code=503)
    return PlainTextResponse("ready\n")


async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    if not may_look(request):
        return refusal(request)
    site = site_of(request)
    state = await site.status()
    machine = await site.machine.look((await site.ask(do="folders"))["places"])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(state, machine))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(self, state: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        self._state, self._machine = state, machine

    def collect(self) -> Iterator[Metric]:
        """What is known now, and what was done since the service began."""
        yield InfoMetricFamily("kakudai", "The service", value={"version": __version__})
        yield _gauges("jobs", "Jobs by state", "state", {s: self._state["counts"].get(s, 0) for s in STATES})
        yield GaugeMetricFamily("kakudai_paused", "1 while work is paused by hand", self._state["halt"] is not None)
        yield GaugeMetricFamily("kakudai_folders_waiting", "Folders whose work waits", len(self._state["waiting"]))
        yield from self._running(self._state["running"] or {})
        yield from self._tally(self._state["tally"])
        yield from self._disks()

    def _running(self, running: Mapping[str, Any]) -> Iterator[Metric]:
        frames = running if running.get("unit") == "frames" else {}
        for name, key, words in (
            ("frames_done", "done", "Frames of the running job that are done"),
            ("frames_expected", "total", "Frames that the running job has"),
            ("frames_per_second", "per_second", "Speed of the running job"),
        ):
            yield GaugeMetricFamily(f"kakudai_running_{name}", words, frames.get(key) or 0)
        if running.get("reused_share") is not None:
            words = "Share of the pixels that the network did not compute again, 0 to 1"
            yield GaugeMetricFamily("kakudai_running_reused_ratio", words, running["reused_share"])
        words = "Share of the time that each stage of the running job was busy, 0 to 1"
        yield _gauges("running_stage_busy_ratio", words, "stage", running.get("stages") or {})

    def _tally(self, tally: Mapping[str, Any]) -> Iterator[Metric]:
        yield CounterMetricFamily("kakudai_frames", "Frames enlarged since the service began", tally["frames"])
        attempts = CounterMetricFamily("kakudai_attempts", "Ended attempts at jobs, by outcome", labels=["outcome"])
        for outcome, count in tally["outcomes"].items():
            attempts.add_metric([outcome], count)
        yield attempts
        stages = CounterMetricFamily(
            "kakudai_stage_seconds", "Busy seconds of finished jobs, by stage", labels=["stage"]
        )
        for stage, seconds in tally["stage_seconds"].items():
            stages.add_metric([stage], seconds)
        yield stages

    def _disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("kakudai_disk_free_bytes", "Bytes that may still be written", labels=["place", "path"])
        for disk in self._machine["disks"]:
            if disk["free_bytes"] is not None:
                free.add_metric([disk["place"], disk["path"]], disk["free_bytes"])
        yield free


def _gauges(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"kakudai_{name}", words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
