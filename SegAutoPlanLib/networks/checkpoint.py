"""Checkpoints in nnU-Net's format: its keys, its names; readable without executing anything."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FileError
from ..files import atomic_path
from ..planning.budget import require_memory
from ..schema import Rule, require, shown
from .checkpoint_archive import REMEDY, CheckpointArchive, Opens, open_checkpoint_file
from .checkpoint_gate import WEIGHTS
from .checkpoint_pickle import code_in, unpickle
from .checkpoint_values import VALUE_BYTES, HoldsCode, NotPlain, Storage, StoredTensor

OTHER = "choose a checkpoint written by SegAutoPlan or nnU-Net"
ZIP_SIGNATURE = b"PK"
LEGACY_SIGNATURE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""A pickled number with which torch's former format begins."""
POINTER = b"version https://git-lfs"
HEAD_BYTES = 1 << 20
"""Of a file that is no zip archive, to say what it is."""


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a kill or a power loss while writing leaves the previous one.

    Raises:
        UserInputError: the disk is full.
    """
    # torch's own writer would turn a full disk into an error about positions in an archive.
    content_bytes = checkpoint_bytes(content)
    with atomic_path(path, durable=True) as temporary:
        temporary.write_bytes(content_bytes)


def checkpoint_bytes(content: dict[str, Any]) -> memoryview:
    """The file of a checkpoint."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def read_checkpoint(path: Path, rule: Rule = WEIGHTS, with_optimizer: bool = False) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; numpy's numbers are Python's.

    Only the tensors of the network, and with `with_optimizer` those of the optimiser, are read from the file; what
    else is a tensor stays a `StoredTensor`. All but tensors and plain values is refused, and nothing is executed.

    Args:
        rule: what the content must be (see `schema`); it is asked before any tensor is read.

    Raises:
        UserInputError: the file is missing, damaged, or would have to execute code to be read, or breaks the rule.
    """
    with _opened(path) as archive:
        content = _content(archive)
        require(rule, content, path, OTHER)
        tensors = _Tensors(archive)
        content["network_weights"] = _read_tensors(content["network_weights"], tensors)
        if with_optimizer:
            state = content["optimizer_state"]["state"]
            read = {index: _read_tensors(values, tensors) for index, values in state.items()}
            content["optimizer_state"] = {**content["optimizer_state"], "state": read}
    return content


def describe_checkpoint(path: Path, rule: Rule = WEIGHTS, opens: Opens = open_checkpoint_file) -> dict[str, Any]:
    """What a checkpoint says: as `read_checkpoint`, but every tensor stays a `StoredTensor` and nothing large is read.

    Args:
        opens: opens the file, for a checkpoint that lies in an archive; `path` is then what to call it.

    Raises:
        UserInputError: as `read_checkpoint`, but for what is wrong with a tensor's values.
    """
    with _opened(path, opens) as archive:
        content = _content(archive)
    require(rule, content, path, OTHER)
    return content


def _opened(path: Path, opens: Opens = open_checkpoint_file) -> CheckpointArchive:
    _require_archive(path, opens)
    return CheckpointArchive(path, opens)


def _content(archive: CheckpointArchive) -> dict[str, Any]:
    try:
        content = unpickle(archive.read("data.pkl").tobytes())
    except HoldsCode as error:
        raise _holds_code(archive.path, error) from None
    except NotPlain as error:
        raise archive.damaged(str(error)) from None
    if "byteorder" in archive and archive.read("byteorder").tobytes() != b"little":
        raise FileError(archive.path, "was written on a computer with another order of bytes", OTHER)
    if not isinstance(content, dict) or "network_weights" not in content:
        raise FileError(archive.path, "holds no network weights", OTHER)
    return content


def _require_archive(path: Path, opens: Opens) -> None:
    """Say what a file is that is no zip archive: pickles may hold code, and torch's former formats are pickles."""
    with opens(path) as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(ZIP_SIGNATURE):
        return
    code = code_in(head)
    if code is not None:
        raise _holds_code(path, code)
    if head.startswith(LEGACY_SIGNATURE):
        raise FileError(path, "is in the format that torch wrote before 1.6", "save it again with a present torch")
    if head.startswith(POINTER):
        raise FileError(path, "is only the pointer to a file in Git LFS", "fetch the file itself (git lfs pull)")
    raise FileError(path, "is empty" if not head else "is damaged or no checkpoint of torch", REMEDY)


def _holds_code(path: Path, name: object) -> FileError:
    """The error of a file that would have to be executed to be read."""
    return FileError(
        path,
        f"contains code ({name}) and was not opened",
        "a checkpoint needs none: take one that was saved with torch.save by SegAutoPlan or nnU-Net, and do not open "
        "this one with other programs unless you trust whoever made it",
    )


class _Tensors:
    """The tensors of an archive; those that share a storage share it here, too."""

    def __init__(self, archive: CheckpointArchive) -> None:
        self._archive = archive
        self._storages: dict[Storage, Tensor] = {}
        self._bytes = 0

    def __getitem__(self, stored: StoredTensor) -> Tensor:
        if stored.storage not in self._storages:
            self._storages[stored.storage] = self._read(stored.storage)
        return self._storages[stored.storage].as_strided(stored.shape, stored.stride, stored.offset)

    def _read(self, storage: Storage) -> Tensor:
        name = f"data/{storage.key}"
        if self._archive.size_of(name) != storage.count * VALUE_BYTES[storage.type]:
            raise self._archive.damaged(f"its record {shown(name)} has another size than its tensors")
        self._bytes += storage.count * VALUE_BYTES[storage.type]
        require_memory(self._bytes, str(self._archive.path), "reading its weights", OTHER)
        kind = getattr(torch, storage.type)
        content = self._archive.read(name)
        return torch.frombuffer(content, dtype=kind) if storage.count else torch.empty(0, dtype=kind)


def _read_tensors(values: Mapping[str, Any], tensors: _Tensors) -> dict[str, Any]:
    return {name: tensors[value] if isinstance(value, StoredTensor) else value for name, value in values.items()}
