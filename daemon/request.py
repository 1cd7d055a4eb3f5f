"""What passes between the service and the process of one job: JSON, one object a line.

service → process   the request; once it has told its plan, where to put the result; after each segment, its number
process → service   {"event": "beat" | "planned" | "progress" | "segment" | "warning" | "done" | "changed" | "failed",
                    …}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from daemon.job import Identity, JobKind
from engine.settings import (
    Container,
    Damaged,
    Deinterlace,
    Denoise,
    Device,
    EncoderSettings,
    ImageFormat,
    Interpolation,
    Limits,
    Mode,
    Reuse,
    Rounding,
    Settings,
    Size,
    Unfit,
)


@dataclass(frozen=True)
class Request:
    """One job, as its process needs it."""

    source: Path
    kind: JobKind
    identity: Identity
    settings: Settings
    rates: Mapping[str, float] = field(default_factory=dict)
    """Measured bytes for each output pixel, by kind, for the plan's estimate of disk."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "source": str(self.source),
                "kind": self.kind,
                "identity": dataclasses.asdict(self.identity),
                "settings": settings_to_plain(self.settings),
                "rates": dict(self.rates),
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


def settings_from_plain(plain: dict[str, Any]) -> Settings:
    """From `settings_to_plain`."""
    encoder = dict(plain["encoder"])
    width, _, height = (plain["target"] or "").partition("x")
    return Settings(
        mode=Mode(plain["mode"]),
        scale=Fraction(plain["scale"]) if plain["scale"] else None,
        target=Size(int(width), int(height)) if width else None,
        model=plain["model"],
        restore=bool(plain["restore"]),
        weights=Path(plain["weights"]) if plain["weights"] else None,
        upsampling=Interpolation(plain["upsampling"]) if plain["upsampling"] else None,
        denoise=Denoise(plain["denoise"]) if plain["denoise"] else None,
        rounding=Rounding(plain["rounding"]),
        reuse=Reuse(plain["reuse"]),
        encoder=EncoderSettings(encoder.pop("name"), tuple(encoder.items())),
        container=Container(plain["container"]),
        unfit=Unfit(plain["unfit"]),
        damaged=Damaged(plain["damaged"]),
        deinterlace=Deinterlace(plain["deinterlace"]),
        video_stream=int(plain["video_stream"]) if plain["video_stream"] else None,
        ass_layout=bool(plain["ass_layout"]),
        image_format=ImageFormat(plain["image_format"]),
        name=plain["name"],
        tag=plain["tag"],
        device=Device(plain["device"]),
        limits=Limits(**plain["limits"]),
    )
