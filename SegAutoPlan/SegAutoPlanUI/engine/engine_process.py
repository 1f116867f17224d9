"""How the engine is started from Slicer: which Python, which environment, which workspace."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import slicer

from SegAutoPlanLib.runs import RunFolder, WorkerSettings, start_run
from SegAutoPlanLib.workspace import Workspace


def enginePython() -> str:
    """PythonSlicer inside Slicer (where `sys.executable` is not a plain Python), else this interpreter."""
    return shutil.which("PythonSlicer") or sys.executable


def engineEnvironment() -> dict[str, str] | None:
    """The environment Slicer itself was started with: its own library paths would confuse PythonSlicer, which sets
    what it needs. None (this process's environment) where there is no Slicer application."""
    return slicer.util.startupEnvironment() if hasattr(slicer.app, "startupEnvironment") else None


def startEngine(arguments: Sequence[str], workspace: Workspace, name: str) -> RunFolder:
    """Start one verb of the engine as a process that outlives Slicer; returns at once."""
    return start_run(arguments, workspace.runs, name, python=enginePython(), environment=engineEnvironment())


def workerSettings(workspace: Workspace, idleSeconds: float) -> WorkerSettings:
    """How a process is started that waits for work so long."""
    return WorkerSettings(workspace.runs, idleSeconds, enginePython(), engineEnvironment())


def torchInstalled() -> bool:
    """Whether the engine's Python has torch (asked without importing it)."""
    return importlib.util.find_spec("torch") is not None


def defaultWorkspaceFolder() -> Path:
    """$SEGAUTOPLAN_WORKSPACE, else the application setting SegAutoPlan/workspace, else Documents/SegAutoPlan."""
    chosen = os.environ.get("SEGAUTOPLAN_WORKSPACE") or slicer.util.settingsValue("SegAutoPlan/workspace", "")
    return Path(chosen) if chosen else Path.home() / "Documents" / "SegAutoPlan"
