"""Run folders: start long work, follow it, stop it, come back to it."""

from .run_files import RunDescription
from .run_folder import RunFolder, known_run, list_runs
from .run_reporter import RunReporter
from .run_state import EpochReport, RunState, state_after
from .run_watcher import RunWatcher
from .start import go_where_asked, start_run
from .warm_worker import WarmWorker, WorkerSettings

__all__ = [
    "EpochReport",
    "RunDescription",
    "RunFolder",
    "RunReporter",
    "RunState",
    "RunWatcher",
    "WarmWorker",
    "WorkerSettings",
    "go_where_asked",
    "known_run",
    "list_runs",
    "start_run",
    "state_after",
]
