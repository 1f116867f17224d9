"""Checkpoints in nnU-Net's format: its keys, its names; readable without executing anything."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserInputError
from ..files import atomic_path


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a kill while writing leaves the previous one.

    Raises:
        UserInputError: the disk is full.
    """
    # torch's own writer would turn a full disk into an error about positions in an archive.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Everything but tensors, plain values and nnU-Net's numpy scalars is refused.

    Raises:
        UserInputError: the file is missing, damaged, or would have to execute code to be read.
    """
    if not path.is_file():
        raise UserInputError(f"{path}: there is no such checkpoint; train this fold or choose another checkpoint.")
    try:
        with torch.serialization.safe_globals(_numpy_scalar_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    # torch raises UnpicklingError for forbidden content and RuntimeError or EOFError for damaged archives.
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, *_unpickling_errors()) as error:
        # torch's own words advise to read the file all the same, with whatever it would execute.
        raise UserInputError(
            f"{path}: is damaged or not a checkpoint that can be read safely ({type(error).__name__}); "
            "copy or train it again."
        ) from error
    if not isinstance(content, dict) or "network_weights" not in content:
        raise UserInputError(
            f"{path}: holds no network weights; choose a checkpoint written by SegAutoPlan or nnU-Net."
        )
    return content


def _unpickling_errors() -> tuple[type[Exception], ...]:
    import pickle

    return (pickle.UnpicklingError,)


def _numpy_scalar_globals() -> list[Any]:
    """What nnU-Net's logging lists need; numpy 1 knew the first by another module name."""
    scalar = np._core.multiarray.scalar if hasattr(np, "_core") else np.core.multiarray.scalar
    return [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Float32DType,
    ]
