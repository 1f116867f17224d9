"""The "Runs" section: everything that runs or ran in the workspace."""

from .runs_panel import RunsPanel

__all__ = ["RunsPanel"]
