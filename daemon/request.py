"""What passes between the service and the process of one job: JSON, one object a line.

service → process   the request; once it has told its plan, where to put the result; after each segment, its number
process → service   {"event": "beat" | "planned" | "progress" | "segment" | "cluster" | "warning" | "done" | "changed" |
                    "failed", …}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.cluster.settings import Cluster
from daemon.config_schema import PROFILE
from daemon.job import Identity, JobKind
from engine.settings import Device, Limits, Settings


@dataclass(frozen=True)
class Request:
    """One job, as its process needs it."""

    source: Path
    kind: JobKind
    identity: Identity
    settings: Settings
    rates: Mapping[str, float] = field(default_factory=dict)
    """Measured bytes for each output pixel, by kind, for the plan's estimate of disk."""
    nice: int = 0
    """The niceness that the process is to have at least."""
    cluster: Cluster | None = None
    """Where the segments of an episode are to be made; None: by the process itself."""
    set_aside: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Nodes of the cluster that earlier jobs found unfit: why, and until when (seconds since 1970)."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "source": str(self.source),
                "kind": self.kind,
                "identity": dataclasses.asdict(self.identity),
                "settings": settings_to_plain(self.settings),
                "rates": dict(self.rates),
                "nice": self.nice,
                "cluster": self.cluster.to_plain() if self.cluster else None,
                "set_aside": dict(self.set_aside),
            }
        )

    @classmethod
    def from_json(cls, line: str) -> Request:
        """From `to_json`."""
        plain = json.loads(line)
        return cls(
            Path(plain["source"]),
            plain["kind"],
            Identity(**plain["identity"]),
            settings_from_plain(plain["settings"]),
            plain["rates"],
            plain["nice"],
            Cluster.from_plain(plain["cluster"]) if plain["cluster"] else None,
            {node: (reason, until) for node, (reason, until) in plain["set_aside"].items()},
        )


def settings_to_plain(settings: Settings) -> dict[str, Any]:
    """`settings` as JSON and YAML hold them."""
    plain: dict[str, Any] = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in ("encoder", "limits")
    }
    for name, value in plain.items():
        if value is not None and not isinstance(value, bool):
            plain[name] = str(value)
    plain["encoder"] = {"name": settings.encoder.name, **dict(settings.encoder.options)}
    plain["limits"] = dataclasses.asdict(settings.limits)
    return plain


def settings_from_plain(plain: Mapping[str, Any]) -> Settings:
    """From `settings_to_plain`."""
    read = {key.name: key.parser(Path()) for key in PROFILE} | {"weights": Path}
    given: dict[str, Any] = {name: None if plain[name] is None else parse(plain[name]) for name, parse in read.items()}
    return Settings(**given, device=Device(plain["device"]), limits=Limits(**plain["limits"]))
