"""`--minutes`: what a training is given, and what fits into it. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UserInputError

FULL_SCHEDULE = 250_000
"""Steps of nnU-Net's default training."""
LARGEST_RESERVE = 0.15
"""Of the budget, for the validation at its end. Where that is not enough, not every case is validated."""
LEAST_STEPS = 20
"""Below this no network learns anything."""
TILE_SLOWNESS = 1.3
"""A tile has a place in a volume, and other programs come and go: the last case is to be validated, too."""
CASE_S = 0.15
"""Of reading a case, bringing it back to its image's grid, writing it and comparing it with its reference."""


@dataclass(frozen=True)
class TimeBudget:
    """How long everything may take."""

    minutes: float
    """As it was asked for."""
    ends: float
    """When the time is up, on this computer's monotonic clock."""


@dataclass(frozen=True)
class Pace:
    """How fast this computer is with this network."""

    step_s: float
    """A training step."""
    tile_s: float
    """One patch forward, as the validation does it."""


@dataclass(frozen=True)
class Fit:
    """What fits into a budget."""

    steps: float
    reserve_s: float
    """For the validation at the end."""


def fit_into(left_s: float, pace: Pace, validation_tiles: int, validation_cases: int = 0) -> Fit:
    """How many steps there is time for.

    Args:
        left_s: of the budget.
        validation_tiles: tiles of all validation cases, mirrored copies included.
        validation_cases: how many that are.
    """
    validation = validation_tiles * pace.tile_s * TILE_SLOWNESS + validation_cases * CASE_S
    reserve = min(validation, LARGEST_RESERVE * left_s)
    return Fit(max(left_s - reserve, 0.0) / pace.step_s, reserve)


def require_enough(minutes: float, left_s: float, fit: Fit, pace: Pace) -> None:
    """Refuse a budget in which nothing can be learned.

    Args:
        minutes: as they were asked for.
        left_s: what preparing has left of them.

    Raises:
        UserInputError: the sentence tells how much it takes.
    """
    if fit.steps < LEAST_STEPS:
        spent, reserve = max(60 * minutes - left_s, 0.0), fit.reserve_s
        needed = (spent + LEAST_STEPS * pace.step_s + reserve) / 60
        raise UserInputError(
            f"--minutes {minutes:g}: is too short for one epoch; a step takes {pace.step_s:.2g} s here, "
            f"{spent:.0f} s went into preparing and {reserve:.0f} s go into validating. "
            f"Give at least --minutes {max(1, round(1.2 * needed + 0.5))}."
        )


def words_of(fit: Fit, pace: Pace) -> str:
    """What the budget is good for, without promising anything."""
    return (
        f"There is time for about {fit.steps:,.0f} steps of {pace.step_s:.2g} s, and for {fit.reserve_s:.0f} s of "
        f"validation; nnU-Net's full schedule has {FULL_SCHEDULE:,} steps."
    )
