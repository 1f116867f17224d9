"""Run folders: start long work, follow it, stop it, come back to it."""

from .run_folder import RunFolder, RunState, fold_events, list_runs
from .run_reporter import RunReporter
from .start import start_run

__all__ = ["RunFolder", "RunReporter", "RunState", "fold_events", "list_runs", "start_run"]
