"""`import-model`: somebody's model becomes one of the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import in_sentences
from ..exchange.contents import contents_of, open_source
from ..exchange.installing import install, plan_installation
from ..progress import SILENT, Reporter
from ..workspace import Workspace


@dataclass(frozen=True)
class ImportModelOptions:
    """What to import, and as what."""

    path: Path
    """A zip archive, a model's folder, or that of a dataset's results; it is only read."""
    name: str | None = None
    """`DatasetXXX_Name` that it is to have; None: its own."""
    overwrite: bool = False
    """Whether models that are there may be replaced."""


@dataclass(frozen=True)
class ImportedModels:
    """What is in the workspace now."""

    folders: tuple[Path, ...]
    """Of each model."""
    left_out: Mapping[str, int]
    """Why → how many files were not taken along."""
    notes: tuple[str, ...] = ()
    """What is still to be done before they can be used."""


def import_model(workspace: Workspace, options: ImportModelOptions, reporter: Reporter = SILENT) -> ImportedModels:
    """Take models into the workspace: all of them, or nothing.

    Raises:
        UserInputError: the archive is not safe to unpack, a model cannot be used here, or something of its name is
            there; nothing has been written then.
        StopRequested: once a stop was asked for; likewise.
    """
    with in_sentences(), open_source(options.path) as source:
        contents = contents_of(source)
        installation = plan_installation(source, contents, options.name)
        folders = install(source, installation, workspace.results, options.overwrite, reporter)
    left_out = dict(contents.left_out)
    if contents.unknown:
        left_out["no files of a model"] = len(contents.unknown)
    notes = tuple(
        f"{second} is the second stage of a cascade: import {first}, its first stage, too."
        for second, first in installation.first_stages.items()
        if not (workspace.results / first).is_dir()
    )
    return ImportedModels(folders, left_out, notes)
