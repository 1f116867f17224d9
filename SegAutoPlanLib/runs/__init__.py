"""Run folders: start long work, follow it, stop it, come back to it."""

from .run_folder import RunFolder, RunState, list_runs, state_from_events
from .run_reporter import RunReporter
from .start import start_run

__all__ = ["RunFolder", "RunReporter", "RunState", "list_runs", "start_run", "state_from_events"]
