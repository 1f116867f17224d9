"""Where a training starts: at a checkpoint of its own, at the weights of another, or anew."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..networks import load_pretrained
from ..progress import Reporter
from .checkpoints import FoldCheckpoints
from .distributed import Ranks
from .freezing import require_weights_to_keep
from .resume_record import ResumeRecord
from .same_training import changed_format_message, require_same_training, resumed_message
from .state import TrainingState
from .task import TrainingTask
from .training_reports import report_start


def resume_or_start(
    state: TrainingState, task: TrainingTask, checkpoints: FoldCheckpoints, reporter: Reporter, ranks: Ranks
) -> str:
    """Bring a new state to where the training starts.

    Returns:
        What to say of weights that come from another training, if they do.

    Raises:
        UserInputError: the checkpoint is another training's, the weights do not fit, or there are none to keep.
    """
    start = ""
    if task.resume:
        if (newest := checkpoints.newest()) is not None:
            _resume(state, task, checkpoints, reporter, *newest)
            return start
        reporter.event("warning", message="There is no checkpoint to continue from; training starts anew.")
    checkpoints.begin(state)
    if (source := task.pretrained) is not None:
        taken = load_pretrained(state.network, source, task.dataset_json.channel_names, task.label_scheme)
        start = report_start(reporter, source, taken)
    else:
        require_weights_to_keep(task.recipe.freeze)
    if (final := task.checkpoint("final")).is_file() and ranks.is_main:
        reporter.event("warning", message=f"{final} will be replaced when training ends.")
    return start


def _resume(
    state: TrainingState,
    task: TrainingTask,
    checkpoints: FoldCheckpoints,
    reporter: Reporter,
    path: Path,
    content: Mapping[str, Any],
) -> None:
    # A budget chooses the lengths anew.
    longest = replace(task.recipe, epochs=sys.maxsize, iterations_per_epoch=sys.maxsize)
    state.load(path, task.recipe if task.budget is None else longest, task.full_precision)
    require_same_training(content, task, path)
    checkpoints.go_on(state, path)
    reporter.event("resumed", message=resumed_message(content, task))
    if (changed := changed_format_message(content, state.number_format)) is not None:
        reporter.event("number_format", message=changed)
    if ResumeRecord.from_entry(content).recipe is None:
        message = f"{path} does not say its recipe and seed; training goes on with those of this call."
        reporter.event("warning", message=message)
