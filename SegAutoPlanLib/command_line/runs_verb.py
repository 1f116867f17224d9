"""The verb `runs`: list, follow or stop what runs or ran in the workspace."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..errors import UserInputError
from ..progress import Reporter, duration_in_words
from ..runs import RunFolder, list_runs
from ..workspace import Workspace
from .verb import Result, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=("list", "follow", "stop"))
    parser.add_argument("name", nargs="?", metavar="RUN", help="a run's name (default: the newest)")


def _run(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    folder = workspace.runs
    runs = list_runs(folder)
    if given.action == "list":
        return Result(
            "\n".join(_run_line(run) for run in runs) or f"No runs in {folder}.",
            {"runs": [{"name": run.name, "status": run.state().status} for run in runs]},
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
    position = 0
    while True:
        events, position = run.new_events(position)
        for event in events:
            reporter.event(event["event"], **{k: v for k, v in event.items() if k not in ("event", "time")})
        state = run.state()
        if state.over or reporter.stop_requested():
            return Result(_run_line(run), {"status": state.status})
        time.sleep(0.5)


def _run_line(run: RunFolder) -> str:
    state = run.state()
    where = f"  {state.stage} {state.done}/{state.total} {state.unit}s" if state.stage and not state.over else ""
    left = f", {duration_in_words(state.eta_s)} left" if where and state.eta_s is not None else ""
    return f"{run.name}  {state.status}{where}{left}{f'  {state.message}' if state.message else ''}"


RUNS_VERB = Verb("runs", "List, follow or stop runs.", _arguments, _run)
