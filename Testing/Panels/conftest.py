"""The real panel on the real scene; only the engine's process is a stand-in."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FAKE_ENGINE = Path(__file__).with_name("fake_engine.py")
MATRIX = np.eye(4)
MATRIX[:3, :3] = np.array([[-0.96, 0, 0.28], [0, -1, 0], [0.28, 0, 0.96]]) * (0.8, 1.0, 2.5)
MATRIX[:3, 3] = 10, 20, -30
"""Oblique and anisotropic."""

SEGMENTS = {
    "grey matter": {"color": [0.2, 0.4, 0.6], "terminology": "ctx~SCT^1^Tissue~SCT^2^Grey matter~^^~ctx~^^~^^"},
    "white matter": {"color": [0.9, 0.9, 0.7], "terminology": ""},
}


def section(widget, name: str):
    """The panel of that class in the module's widget."""
    return next(panel for panel in widget.panels if type(panel).__name__ == name)


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "Dokumente mit Ümlaut" / "workspace"
    monkeypatch.setenv("SEGAUTOPLAN_WORKSPACE", str(folder))
    return folder


@pytest.fixture
def write_model(tmp_path) -> Callable[..., Path]:
    """A model folder whose weights are an empty file: the stand-in engine does not read them."""

    def write(channels: tuple[str, ...] = ("T1",), name: str = "model", weights: bool = True, **changes) -> Path:
        folder = tmp_path / name
        (folder / "fold_0").mkdir(parents=True)
        description = {
            "channel_names": {str(index): channel for index, channel in enumerate(channels)},
            "labels": {"background": 0, "grey matter": 1, "white matter": 2},
            "numTraining": 5,
            "file_ending": ".nii.gz",
            "segments": SEGMENTS,
        }
        (folder / "dataset.json").write_text(json.dumps({**description, **changes}))
        (folder / "plans.json").write_text("{}")
        if weights:
            (folder / "fold_0" / "checkpoint_final.pth").touch()
        return folder

    return write


@pytest.fixture
def module(host, workspace) -> SimpleNamespace:
    """The module file and the parts of it that tests look into, loaded as Slicer loads them."""
    host.load_module("SegAutoPlan")
    names = (
        "jobs.segmentation_job",
        "jobs.segmentation_following",
        "panels.segment.segment_view",
        "panels.segment.segment_panel",
        "engine.engine_process",
        "engine.run_follower",
        "engine.warm_engine",
    )
    parts = {name.rpartition(".")[2]: importlib.import_module(f"SegAutoPlanUI.{name}") for name in names}
    return SimpleNamespace(SegAutoPlan=sys.modules["SegAutoPlan"], **parts)


@pytest.fixture
def engine(module, monkeypatch, tmp_path) -> Iterator[Callable[[str], Path]]:
    """`engine("wait")` sets what the engine's process will do and returns the file that lets it go on."""
    if sys.platform == "win32":
        pytest.skip("NOT TESTED: the stand-in for the engine's Python is a shell script")
    python = tmp_path / "python_stand_in"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_ENGINE}" "$@"\n')
    python.chmod(0o755)
    gate = tmp_path / "gate"
    monkeypatch.setattr(module.engine_process, "enginePython", lambda: str(python))
    monkeypatch.setattr(module.run_follower, "POLL_MILLISECONDS", 30)
    monkeypatch.setenv("FAKE_ENGINE_GATE", str(gate))
    runs_folder = tmp_path / "Dokumente mit Ümlaut" / "workspace" / "runs"

    def behave(how: str) -> Path:
        monkeypatch.setenv("FAKE_ENGINE", how)
        return gate

    behave("succeed")
    yield behave
    module.warm_engine.warmEngine().close()
    from SegAutoPlanLib.runs import list_runs

    for run in list_runs(runs_folder):
        run.kill()


@pytest.fixture
def panel(host, module, engine) -> Iterator[SimpleNamespace]:
    """The "Segment" section in the shown module: its widgets, as the user has them, and the parameter node behind."""
    host.slicer.util.reloadScriptedModule("SegAutoPlan")
    widget = host.load_module("SegAutoPlan")
    widget.enter()
    segment = section(widget, "SegmentPanel")
    yield SimpleNamespace(widget=widget, segment=segment, ui=segment.ui, parameters=lambda: widget._parameterNode)
    widget.exit()
    widget.cleanup()


@pytest.fixture
def add_volume(host) -> Callable:
    def add(name: str = "T1 of a patient"):
        array = np.random.default_rng(0).normal(100, 30, (6, 8, 10)).astype(np.float32)
        return host.slicer.util.addVolumeFromArray(array, ijkToRAS=MATRIX, name=name)

    return add


@pytest.fixture
def expected_labels() -> Callable:
    """What the stand-in engine makes of a volume."""

    def labels(array: np.ndarray) -> np.ndarray:
        return (array > 100).astype(np.uint8) + (array > 120)

    return labels
