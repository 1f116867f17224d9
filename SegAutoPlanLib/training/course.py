"""How far a training goes and how fast it learns on the way: so many epochs, or until the time is up.

A timed training does not know how many steps it will make. What it knows is the share of its time that has passed, its
progress from 0 to 1, and how many steps the rest will hold at the present pace. The learning rate is the schedule's at
that progress; each step adds its share of what is left, and every epoch estimates the rest anew. So the schedule ends
when the time does, on a machine that became slower on the way, too. Within an epoch nothing depends on the clock, but
for the end of the time itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ..progress import Reporter
from .distributed import Ranks
from .recipe import Recipe
from .rehearsal import local_batch_size, rehearse
from .schedules import learning_rate_at
from .state import Timed, TrainingState
from .step import TrainingStep
from .task import TrainingTask
from .time_budget import Pace, fit_into, require_enough, words_of

EPOCHS_OF_A_BUDGET = 25
"""Its epochs are as long as that there are about so many, within limits: enough for a curve, and for a best one."""
SHORTEST_EPOCH, LONGEST_EPOCH = 10, 250
VALIDATION_SHARE = 10
"""One validation batch for so many training batches."""


class Course(Protocol):
    """What the loop asks."""

    recipe: Recipe
    """The task's, with the length that the training really has."""

    def is_over(self, state: TrainingState) -> bool:
        """Whether the training ends here; asked before each step and each epoch."""
        ...

    def begin_epoch(self, state: TrainingState) -> None:
        """Called before an epoch's first step, or the first after a resume."""
        ...

    def learning_rate(self, state: TrainingState) -> float:
        """Of the next step."""
        ...

    def stepped(self, state: TrainingState) -> None:
        """Called after each step."""
        ...

    def seconds_left(self) -> float | None:
        """Until the training ends, where that is known."""
        ...

    def order_of(self, recipe: Recipe) -> Recipe:
        """The recipe with as many epochs as batches may be asked of."""
        ...

    def epochs(self, state: TrainingState) -> int:
        """How many there will have been at the end, as far as that is known."""
        ...


def set_course(
    step: TrainingStep, state: TrainingState, task: TrainingTask, is_finished: bool, reporter: Reporter, ranks: Ranks
) -> EpochCourse | TimedCourse:
    """To the recipe's epochs, or, with a budget or from a checkpoint that had one, until the time is up.

    Args:
        is_finished: whether the state is that of a training's end.

    Raises:
        UserInputError: the budget is too short to learn anything.
    """
    if task.budget is None and state.timed is None:
        return EpochCourse(task.recipe)
    if task.budget is None and is_finished:
        # Its time is up: there is nothing to learn in what was left for the validation.
        return EpochCourse(replace(task.recipe, epochs=state.epoch))
    started, budget = time.monotonic(), task.budget
    pace = rehearse(step, state, task, local_batch_size(task, ranks))
    pace = Pace(*map(ranks.of_main, (pace.step_s, pace.tile_s)))
    left = state.timed.left_s if budget is None else ranks.of_main(budget.ends - time.monotonic())
    fit = fit_into(left, pace, task.validation_tiles, len(ranks.share_of(task.validation_cases)))
    if budget is not None:
        require_enough(budget.minutes, left, fit, pace)
        spent = state.seconds_trained
        # Not fewer than an epoch has had already that was begun without a budget.
        chosen = max(iterations_for(fit.steps), state.iteration)
        iterations = state.timed.iterations_per_epoch if state.timed else chosen
        state.timed = Timed(spent / (spent + left), fit.steps, iterations, spent, left)
    recipe = timed_recipe(task.recipe, fit.steps, state.timed.iterations_per_epoch)
    reporter.event("budget", message=words_of(fit, pace), steps=round(fit.steps), step_s=round(pace.step_s, 4))
    ends = (budget.ends if budget is not None else started + left) - fit.reserve_s
    return TimedCourse(recipe, ranks, ends, fit.reserve_s, pace.step_s, time.monotonic)


class EpochCourse:
    """As many epochs as the recipe has; the learning rate changes from epoch to epoch, as nnU-Net's does."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def is_over(self, state: TrainingState) -> bool:
        return state.epoch >= self.recipe.epochs

    def begin_epoch(self, state: TrainingState) -> None:
        pass

    def learning_rate(self, state: TrainingState) -> float:
        return learning_rate_at(self.recipe, state.epoch)

    def stepped(self, state: TrainingState) -> None:
        pass

    def seconds_left(self) -> float | None:
        return None

    def order_of(self, recipe: Recipe) -> Recipe:
        return recipe

    def epochs(self, state: TrainingState) -> int:
        return self.recipe.epochs


class TimedCourse:
    """Until the time is up, by the main process's clock.

    Args:
        recipe: its `epochs` are what was expected at the start, which only the schedule's form depends on.
        ends: when the training ends, on the clock.
        reserve_s: what comes after it and is part of the budget.
        step_s: seconds that a step takes, before any has been made.
    """

    def __init__(
        self,
        recipe: Recipe,
        ranks: Ranks,
        ends: float,
        reserve_s: float,
        step_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.recipe, self._ranks, self._step_s, self._clock = recipe, ranks, step_s, clock
        self._ends, self._reserve_s = ends, reserve_s
        self._began = self._marked = clock()
        self._steps = 0
        self._is_cold = True

    def is_over(self, state: TrainingState) -> bool:
        return self._ranks.any_rank(self._ranks.is_main and self._time_is_up())

    def begin_epoch(self, state: TrainingState) -> None:
        if state.iteration and state.timed.steps_left:
            # A resumed epoch goes on with the learning rates that it began with.
            return
        now = self._clock()
        if self._steps:
            # The pace of the last epoch, with its loading, validation and checkpoint.
            self._step_s = (now - self._began) / self._steps
        self._began, self._steps = now, 0
        state.timed = replace(state.timed, steps_left=self._ranks.of_main(max(self._ends - now, 0.0) / self._step_s))

    def learning_rate(self, state: TrainingState) -> float:
        return learning_rate_at(self.recipe, state.timed.progress * self.recipe.epochs)

    def stepped(self, state: TrainingState) -> None:
        now = self._clock()
        if self._is_cold:
            # The first step waits for loaders that start and for memory that grows: it says nothing of the others.
            self._began, self._is_cold = now, False
        else:
            self._steps += 1
        state.timed = replace(
            state.timed.stepped(),
            spent_s=state.timed.spent_s + now - self._marked,
            left_s=max(self._ends - now, 0.0) + self._reserve_s,
        )
        self._marked = now

    def seconds_left(self) -> float | None:
        return max(self._ends - self._clock(), 0.0)

    def order_of(self, recipe: Recipe) -> Recipe:
        return replace(recipe, epochs=sys.maxsize)

    def epochs(self, state: TrainingState) -> int:
        if self._time_is_up():
            return state.epoch + bool(state.iteration)
        left = state.iteration + state.timed.steps_left
        return state.epoch + max(1, round(left / self.recipe.iterations_per_epoch))

    def _time_is_up(self) -> bool:
        # A step that would not end before half of it is over time is not begun.
        return self._clock() + self._step_s / 2 >= self._ends


def iterations_for(steps: float) -> int:
    """Of an epoch, where there will be so many steps in all."""
    return int(min(max(steps / EPOCHS_OF_A_BUDGET, SHORTEST_EPOCH), LONGEST_EPOCH))


def timed_recipe(recipe: Recipe, steps: float, iterations: int) -> Recipe:
    """The recipe for so many steps in all, with epochs of that length; a warm-up keeps its share of the training."""
    epochs = max(1, round(steps / iterations))
    return replace(
        recipe,
        epochs=epochs,
        warmup_epochs=min(round(recipe.warmup_epochs / recipe.epochs * epochs), epochs - 1),
        iterations_per_epoch=iterations,
        validation_iterations=-(-iterations // VALIDATION_SHARE),
    )
