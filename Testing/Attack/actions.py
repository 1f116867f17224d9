"""What a child can be told to do: the command line, or what the panels call in Slicer's process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.models import ModelFolder, find_models
from SegAutoPlanLib.pipeline.predict import predict  # noqa: F401 - imported once, not in each child
from SegAutoPlanLib.pipeline.train import train  # noqa: F401
from SegAutoPlanLib.runs import RunFolder, list_runs

from .sound import build_sound_place


def look_at_model(arguments: list[str]) -> int:
    """All that a panel shows of a model folder, and its plan."""

    sys.stdout.reconfigure(errors="replace")

    def show() -> None:
        model = ModelFolder.read(arguments[0])
        print(model, model.summary, model.to_json(), model.appearances, model.file_ending, model.best_checkpoint)
        print(model.plan)

    return _in_a_sentence(show)


def look_for_models(arguments: list[str]) -> int:
    """The list that a panel offers; one damaged model must not hide the others."""
    sys.stdout.reconfigure(errors="replace")
    models = find_models(arguments[0])
    for model in models:
        print(model.path.name, model.summary, model.channel_names, model.label_scheme.segments)
    return 0


def look_at_runs(arguments: list[str]) -> int:
    """All that a panel shows of the runs of a workspace, twice; a reader of run folders never fails."""
    sys.stdout.reconfigure(errors="replace")
    for run in list_runs(arguments[0]):
        watcher = run.watch()
        for _ in range(2):
            state = watcher.poll()
            print(run.name, state, state.to_json(), watcher.new_events)
        print(run.description(), run.log_tail(), run.stop_requested(), run.seconds_since_stop_request())
    return 0


def kill_run(arguments: list[str]) -> int:
    """What the panel's button does to a run that does not answer."""
    return _in_a_sentence(RunFolder(arguments[0]).kill)


def build(arguments: list[str]) -> int:
    """The sound place; in a child, because making it may leave threads behind."""
    build_sound_place(Path(arguments[0]))
    return 0


def _in_a_sentence(work: Callable[[], object]) -> int:
    try:
        work()
    except UserInputError as error:
        print(f"segautoplan: {error}", file=sys.stderr)
        return 2
    return 0


ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "command line": main,
    "look at model": look_at_model,
    "look for models": look_for_models,
    "look at runs": look_at_runs,
    "kill run": kill_run,
    "build": build,
}
