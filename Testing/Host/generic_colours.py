"""The colour table that Slicer gives to new label maps. The wheel has none, and MRML warns about its absence."""

from __future__ import annotations

import colorsys
from pathlib import Path

_GOLDEN_RATIO = 0.618034


def write_generic_colours(folder: Path, count: int = 255) -> Path:
    """Write ``GenericColors.txt`` with ``count`` well separated colours (our own, not those of Slicer)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Color table file GenericColors.txt", "0 Background 0 0 0 0"]
    for value in range(1, count + 1):
        red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN_RATIO % 1, 0.6, 0.9)
        lines.append(f"{value} {value} {round(red * 255)} {round(green * 255)} {round(blue * 255)} 255")
    path = folder / "GenericColors.txt"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
