"""The verb `runs`: list, follow or stop what runs or ran in the workspace."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..progress import Reporter, duration_in_words
from ..runs import RunFolder, RunState, list_runs
from ..workspace import Workspace
from .verb import Result, Verb

SECONDS_BETWEEN_LOOKS = 0.5


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=("list", "follow", "stop"))
    parser.add_argument("name", nargs="?", metavar="RUN", help="a run's name (default: the newest)")


def _run(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    folder = workspace.runs
    runs = list_runs(folder)
    if given.action == "list":
        states = [run.state() for run in runs]
        lines = [_run_line(run, state) for run, state in zip(runs, states, strict=True)]
        return Result(
            "\n".join(lines) or f"No runs in {folder}.",
            {"runs": [{"name": run.name, **state.to_json()} for run, state in zip(runs, states, strict=True)]},
        )
    chosen = _chosen_run(runs, given.name, folder)
    if given.action == "stop":
        chosen.request_stop()
        return Result(f"Asked {chosen.name} to stop; it ends at its next step and keeps what it has.")
    return _follow(chosen, reporter)


def _chosen_run(runs: list[RunFolder], name: str | None, folder: Path) -> RunFolder:
    matching = [run for run in runs if name is None or name in run.name]
    if not matching:
        raise UserInputError(f"{folder}: there is no run{f' named {name}' if name else ''}; list them with: runs list")
    return matching[0]


def _follow(run: RunFolder, reporter: Reporter) -> Result:
    watcher = run.watch()
    while True:
        state = watcher.poll()
        for event in watcher.new_events:
            reporter.event(event["event"], **_said(event))
        if state.over or reporter.stop_requested():
            return Result(_run_line(run, state), state.to_json())
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _said(event: dict[str, Any]) -> dict[str, Any]:
    # Null stands for a field that is not there.
    return {name: value for name, value in event.items() if name not in ("event", "time") and value is not None}


def _run_line(run: RunFolder, state: RunState) -> str:
    where = f"  {state.stage} {state.done}/{state.total} {state.unit}s" if state.stage and not state.over else ""
    left = f", {duration_in_words(state.eta_s)} left" if where and state.eta_s is not None else ""
    return f"{run.name}  {state.status}{where}{left}{f'  {state.message}' if state.message else ''}"


RUNS_VERB = Verb("runs", "List, follow or stop runs.", _arguments, _run)
