"""What an evaluation found: a row for each picture, scale, degradation and method, and tables of their means."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from statistics import fmean

from engine import measure
from engine.measure import Score


@dataclass(frozen=True)
class Row:
    """One picture, one scale, one degradation, one method."""

    picture: str
    scale: int
    degradation: str
    method: str
    score: Score


@dataclass(frozen=True)
class Work:
    """What a method costs at one scale; None where it is not known or was not measured."""

    multiply_adds: float | None = None
    """Per pixel of the result."""
    cpu_s: float | None = None
    """Processor seconds, over all cores, per million pixels of the result."""


@dataclass(frozen=True)
class Table:
    """Every row of an evaluation, and the work of each (method, scale)."""

    rows: tuple[Row, ...]
    work: Mapping[tuple[str, int], Work] = field(default_factory=dict)

    def means(self, scale: int, degradation: str | None = None) -> dict[str, Score]:
        """Mean scores of each method at one scale, in the order they were given; None: of the first degradation."""
        found: dict[str, list[Score]] = {}
        for row in self.rows:
            if row.scale == scale and row.degradation == (degradation or self.degradations[0]):
                found.setdefault(row.method, []).append(row.score)
        return {method: measure.mean(scores) for method, scores in found.items()}

    @property
    def degradations(self) -> list[str]:
        return list(dict.fromkeys(row.degradation for row in self.rows))

    def markdown(self) -> str:
        """For each scale a table of all figures, and where pictures were degraded in several ways, one of those."""
        parts = []
        for scale in dict.fromkeys(row.scale for row in self.rows):
            parts.append(self._figures(scale))
            if len(self.degradations) > 1:
                parts.append(self._by_degradation(scale))
        return "\n".join(parts)

    def csv(self) -> str:
        """One line for each row."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["picture", "scale", "degradation", "method", *(each.name for each in fields(Score))])
        for row in self.rows:
            figures = (f"{value:.4f}" for value in asdict(row.score).values())
            writer.writerow([row.picture, row.scale, row.degradation, row.method, *figures])
        return text.getvalue()

    def _figures(self, scale: int) -> str:
        pictures = len({row.picture for row in self.rows if row.scale == scale})
        timed = any(work.cpu_s is not None for work in self.work.values())
        head = ["method", "multiply-adds", *(["CPU s/MP"] if timed else [])]
        head += ["PSNR BGR", "SSIM BGR", "PSNR Y", "PSNR edges"]
        lines = []
        for name, s in self.means(scale).items():
            work = self.work.get((name, scale), Work())
            cells = [name, "" if work.multiply_adds is None else f"{work.multiply_adds:,.0f}"]
            cells += [] if not timed else ["" if work.cpu_s is None else f"{work.cpu_s:.2f}"]
            cells += [f"{s.psnr_bgr:.2f}", f"{s.ssim_bgr:.4f}", f"{s.psnr_luma:.2f}", f"{s.psnr_edges:.2f}"]
            lines.append(cells)
        return f"{scale}×, {pictures} pictures, {self.degradations[0]}\n\n" + _lines(head, lines)

    def _by_degradation(self, scale: int) -> str:
        columns = [self.means(scale, each) for each in self.degradations]
        lines = [
            [name, *(f"{value:.2f}" for value in [*figures, fmean(figures)])]
            for name in columns[0]
            if (figures := [column[name].psnr_bgr for column in columns if name in column])
            and len(figures) == len(columns)
        ]
        return f"{scale}×, PSNR BGR by how the picture was made smaller\n\n" + _lines(
            ["method", *self.degradations, "mean"], lines
        )


def _lines(head: list[str], lines: list[list[str]]) -> str:
    rows = [f"| {' | '.join(cells)} |\n" for cells in (head, *lines)]
    return "".join([rows[0], "|" + "---|" * len(head) + "\n", *rows[1:]])
