"""What makes the segmentation of a large image sooner and inexact: one record, all of it off by default. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcuts:
    """What is left out. Every field but its default makes a segmentation another one than the model's."""

    skip_air: bool = False
    """Tiles without body are background."""
    coarse_step_above: int | None = None
    """An image of more tiles than this is segmented with a larger step, as far as needed."""
    time_limit: float | None = None
    """Minutes per image, after which only what is not covered yet is computed, and without mirrored copies."""

    def in_words(self) -> str:
        """The options that were asked for; empty where the segmentation is exact."""
        given = {
            "--skip-air": self.skip_air or None,
            "--coarse-step-above": self.coarse_step_above,
            "--time-limit": self.time_limit,
        }
        return ", ".join(name if value is True else f"{name} {value:g}" for name, value in given.items() if value)


EXACT = Shortcuts()
