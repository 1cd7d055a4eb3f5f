"""Lettering for signs, stroke by stroke, so that it is drawn like the rest and needs no font."""

from __future__ import annotations

import numpy as np

from training.scene_canvas import Canvas, Color, Place, points, smooth

_STROKES: dict[str, str] = {
    # Points in percent of a box, "x,y x,y"; strokes apart by "|". A stroke in () is bent smoothly.
    "A": "0,100 50,0 100,100|20,65 80,65",
    "B": "0,0 0,100|0,0 60,2 78,24 60,47 0,49|60,48 92,73 66,98 0,100",
    "C": "(95,16 60,0 18,14 0,50 18,86 60,100 95,84)",
    "D": "0,0 0,100 50,100 90,72 90,28 50,0 0,0",
    "E": "90,0 0,0 0,100 90,100|0,49 75,49",
    "F": "90,0 0,0 0,100|0,49 75,49",
    "H": "0,0 0,100|95,0 95,100|0,49 95,49",
    "I": "50,0 50,100",
    "K": "0,0 0,100|90,0 0,58|28,42 95,100",
    "L": "0,0 0,100 85,100",
    "M": "0,100 0,0 50,62 100,0 100,100",
    "N": "0,100 0,0 95,100 95,0",
    "O": "(50,0 12,15 0,50 12,85 50,100 88,85 100,50 88,15 50,0)",
    "R": "0,100 0,0 62,3 82,26 62,50 0,52|45,52 92,100",
    "S": "(88,14 50,0 10,18 18,42 80,58 90,82 50,100 5,86)",
    "T": "0,0 100,0|50,0 50,100",
    "U": "0,0 0,70 22,97 50,100 78,97 95,70 95,0",
    "イ": "(82,4 48,36 4,58)|52,34 52,100",
    "カ": "6,30 90,30 84,84 68,96 54,86|(44,2 42,45 8,98)",
    "ク": "(40,2 30,27 4,50)|37,18 88,18|(88,18 74,62 24,99)",
    "コ": "10,12 88,12 88,92|8,92 88,92",
    "ソ": "10,10 27,42|(90,6 76,58 28,98)",
    "ダ": "(38,6 28,30 4,52)|35,22 82,22|(82,22 70,64 20,100)|32,44 64,64|86,0 93,13|99,-5 106,8",
    "チ": "84,2 14,15|2,42 98,42|(52,12 50,52 20,98)",
    "テ": "20,6 80,6|2,38 98,38|(53,38 46,74 14,98)",
    "ト": "30,0 30,100|32,34 86,60",
    "ホ": "5,26 95,26|50,0 50,97 36,90|28,46 8,80|72,46 92,80",
    "マ": "4,10 96,10 55,62|30,46 70,98",
    "メ": "(86,4 62,56 6,96)|20,28 86,80",
    "ラ": "20,8 80,8|8,36 90,36|(90,36 78,72 28,99)",
    "ル": "(30,8 28,60 2,97)|60,3 60,92 98,55",
    "ン": "10,14 40,32|(96,24 62,74 8,95)",
    "大": "4,35 96,35|(50,2 46,48 4,98)|(50,38 68,74 97,98)",
    "拡": "2,25 40,25|21,0 21,96 10,87|2,67 42,52|72,0 72,17|46,18 102,18|(49,18 49,62 38,98)"
    "|72,36 57,86 96,80|84,62 102,97",
}

WORDS = ("拡大", "カクダイ", "ソラ", "ホテル", "マチ", "KAKUDAI", "CAFE", "HOTEL", "BOOKS", "MUSIC", "TEA", "RAMEN")


def paint_text(canvas: Canvas, text: str, place: Place, color: Color, weight: float, *, vertical: bool) -> None:
    """Write `text` from the place's origin; its scale is the height of a letter, `weight` the pen in letter heights."""
    for i, letter in enumerate(text):
        latin = letter.isascii()
        step = (0.0, i * 1.22) if vertical else (i * (0.92 if latin else 1.15), 0.0)
        for stroke in _STROKES[letter].split("|"):
            pairs = [pair.split(",") for pair in stroke.strip("()").split()]
            line = points(*((float(x) / 100, float(y) / 100) for x, y in pairs)) * (0.62 if latin else 0.95, 1.0)
            if stroke.startswith("("):
                line = smooth(line, steps=6)
            taper = (0.0, 0.0) if latin else (0.0, 0.25)
            canvas.ink(place(line + np.array(step)), weight * place.scale, color, taper=taper)
            for end in (line[0], line[-1]) if latin else (line[0],):
                dot = place(points(tuple(end + np.array(step))))[0]
                angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
                circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * weight * place.scale * 0.5
                canvas.fill(circle + dot, color)


def text_extent(text: str, *, vertical: bool) -> tuple[float, float]:
    """Width and height of `text` in letter heights."""
    letter = 0.62 if text[0].isascii() else 0.95
    if vertical:
        return letter, len(text) * 1.22 - 0.22
    return (len(text) - 1) * (0.92 if text[0].isascii() else 1.15) + letter, 1.0
