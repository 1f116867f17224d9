"""Several folders and files take their places at once: all of them, or none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

FORMER = ".former_"
"""Before the name of what is being replaced, for as long as a renaming takes."""


def take_places(building: Path, results: Path, tops: Sequence[str]) -> None:
    """Rename each of `tops` from below one folder to below another; all of them, or what was renamed is undone.

    What has its place there already is replaced.

    Raises:
        OSError: the system refuses one.
    """
    done: list[tuple[Path, Path, Path | None]] = []
    made: list[Path] = []
    try:
        for top in tops:
            new, target = building / top, results / top
            for parent in reversed(target.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            former = _former(target) if os.path.lexists(target) else None
            if former is not None:
                os.replace(target, former)
            done.append((new, target, former))
            os.replace(new, target)
    except BaseException:
        for new, target, former in reversed(done):
            with contextlib.suppress(OSError):
                if os.path.lexists(target):
                    os.replace(target, new)
            if former is not None:
                os.replace(former, target)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    for _, _, former in done:
        if former is not None:
            _remove(former)


def _former(target: Path) -> Path:
    return target.with_name(FORMER + target.name)


def bring_back(results: Path, tops: Sequence[str]) -> None:
    """Undo what a kill left in the midst of the renaming: what was to be replaced has its place again."""
    for top in tops:
        target = results / top
        former = _former(target)
        if os.path.lexists(former):
            if os.path.lexists(target):
                _remove(former)
            else:
                os.replace(former, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
