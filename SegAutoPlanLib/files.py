"""Writing so that a kill at any instant leaves the previous good file."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UserInputError


@contextlib.contextmanager
def atomic_path(target: Path | str, suffix: str | None = None) -> Iterator[Path]:
    """A temporary path beside `target` to write to; it takes the target's place when the block succeeds.

    `suffix` is for writers that choose the format by the ending (default: the target's own, `.nii.gz`
    included). On any error the temporary file is removed and the target is as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if suffix is None:
        suffix = ".nii.gz" if target.name.lower().endswith(".nii.gz") else target.suffix
    # Not of tempfile, whose files are private to their owner: a shared workspace expects ordinary permissions.
    temporary = target.with_name(f".writing_{uuid.uuid4().hex}{suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.errno == 28:  # ENOSPC
            raise UserInputError(
                f"{target}: the disk is full; free some space or choose another workspace, then run it again."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(target: Path | str, content: Any, sort_keys: bool = False) -> None:
    """Write JSON as nnU-Net does (indent 4), atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(content, indent=4, sort_keys=sort_keys), encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises:
        UserInputError: the file is missing or is not JSON; the sentence names it.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserInputError(f"{path}: the file does not exist; check the folder that was given.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserInputError(f"{path}: is not valid JSON ({error}); correct or replace the file.") from error
