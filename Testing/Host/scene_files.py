"""Saves the scene with all its data as a file that Slicer opens, and reads one back."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

import slicer


def save_scene(path: str | Path, scene: slicer.vtkMRMLScene | None = None) -> Path:
    """Save the scene with its data: ``.mrb`` is one archive; a path without suffix is a folder with a ``.mrml``.

    The application logic's own bundle writer does it, so the files are those that Slicer writes.
    Raises ValueError for a ``.mrml`` path (it would lack the data), OSError where something cannot be written.
    """
    path, scene = Path(path), scene or slicer.mrmlScene
    if path.suffix == ".mrml":
        raise ValueError(f"{path} would lack the data: save a .mrb file, or a folder")
    if path.suffix != ".mrb":
        _write_bundle(path, scene)
        return path
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / path.stem
        _write_bundle(bundle, scene)
        archive = shutil.make_archive(str(Path(folder) / "bundle"), "zip", folder, path.stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(archive, path)
    return path


def load_scene(scene: slicer.vtkMRMLScene, path: str | Path, clear: bool = True) -> bool:
    """Read a ``.mrml`` or ``.mrb`` file into the scene; False if it could not be read."""
    path = Path(path)
    if clear:
        scene.Clear(False)
    if path.suffix != ".mrb":
        scene.SetURL(str(path))
        return bool(scene.Import())
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        scene.SetURL(str(next(Path(folder).rglob("*.mrml"))))
        return bool(scene.Import())


def _write_bundle(folder: Path, scene: slicer.vtkMRMLScene) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(str(folder), None):
        raise OSError(f"the scene could not be written to {folder}")
