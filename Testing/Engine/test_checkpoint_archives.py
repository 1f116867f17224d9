"""Archives that torch did not write, and damage anywhere, are a sentence."""

from __future__ import annotations

import io
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.networks import (
    read_checkpoint,
)

from . import hostile_checkpoints as forged
from .checkpoint_models import (
    checkpoint_of,
    refuses,
    sound_content,
)
from .hostile_checkpoints import (
    tensor,
    weights,
)


def _deflated(path: Path) -> None:
    forged.write_archive(path, weights(tensor()), {"data/1": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)


def _changed(offset: int, value: bytes, signature: bytes = b"PK\x01\x02") -> Callable[[Path], None]:
    """A field of the first entry of the directory."""

    def change(path: Path) -> None:
        content = bytearray(forged.write_archive(path, weights(tensor())).read_bytes())
        start = content.index(signature) + offset
        content[start : start + len(value)] = value
        path.write_bytes(content)

    return change


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("storages")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))


def _old_torch(path: Path) -> None:
    torch.save({"network_weights": {"a": torch.zeros(2)}}, path, _use_new_zipfile_serialization=False)


def _without(record: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        forged.write_archive(path, weights(tensor()))
        with zipfile.ZipFile(path) as archive:
            kept = {name_: archive.read(name_) for name_ in archive.namelist() if not name_.endswith(record)}
        with zipfile.ZipFile(path, "w") as archive:
            for name_, content in kept.items():
                archive.writestr(name_, content)

    return write


def _two_pickles(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", weights(tensor()))


def _twice(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", struct.pack("<4f", 9, 9, 9, 9))


def _prepended(path: Path) -> None:
    forged.write_archive(path, weights(tensor()))
    path.write_bytes(b"#!/bin/sh\ntouch executed\n" + path.read_bytes())


ARCHIVES: dict[str, Callable[[Path], Any]] = {
    "compressed": _deflated,
    "of another size": _changed(24, struct.pack("<I", 2**31)),
    "of another compressed size": _changed(20, struct.pack("<I", 5)),
    "of both sizes": _changed(20, struct.pack("<2I", 2**31, 2**31)),
    "of another checksum": _changed(16, b"\1\2\3\4"),
    "encrypted": _changed(8, b"\1\0"),
    "of an unknown method": _changed(10, b"\x63\0"),
    "of an unknown version": _changed(6, b"\xff\0"),
    "a record elsewhere": _changed(42, struct.pack("<I", 40)),
    "a record beyond": _changed(42, struct.pack("<I", 2**31)),
    "a large directory": _changed(12, struct.pack("<I", 2**31), b"PK\x05\x06"),
    "a directory elsewhere": _changed(16, struct.pack("<I", 2**31), b"PK\x05\x06"),
    "without a pickle": _without("data.pkl"),
    "without a storage": _without("data/0"),
    "two pickles": _two_pickles,
    "a record twice": _twice,
    "behind a script": _prepended,
    "another byte order": lambda path: forged.write_archive(path, weights(tensor()), {"byteorder": b"big"}),
    "a tar archive": _tar,
    "torch's former format": _old_torch,
    "empty": lambda path: path.write_bytes(b""),
    "the beginning of an archive": lambda path: path.write_bytes(b"PK\3\4"),
    "the end of an archive": lambda path: path.write_bytes(b"PK\5\6" + bytes(18)),
    "text": lambda path: path.write_bytes(b"weights"),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "a pointer to a file elsewhere": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    "a folder": Path.mkdir,
    "not there": lambda path: None,
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_torch_did_not_write_is_a_sentence(what, tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    ARCHIVES[what](path)
    refuses(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "checkpoint_final.pth")
    assert "pipe" in refuses(tmp_path / "checkpoint_final.pth")


def test_a_truncated_checkpoint_is_refused_wherever_it_ends(sound, tmp_path):
    content = checkpoint_of(sound).read_bytes()
    path = tmp_path / "checkpoint_final.pth"
    for twentieth in range(20):
        path.write_bytes(content[: len(content) * twentieth // 20])
        refuses(path)
    for missing in (1, 2, 21, 22, 23, 100):
        path.write_bytes(content[:-missing])
        refuses(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(sound, tmp_path):
    content = checkpoint_of(sound).read_bytes()
    expected = sound_content(sound)["network_weights"]
    path = tmp_path / "checkpoint_final.pth"
    rng = random.Random(8)
    directory = content.index(b"PK\x01\x02")
    places = [rng.randrange(len(content)) for _ in range(40)] + [
        rng.randrange(directory, len(content)) for _ in range(60)
    ]
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        try:
            found = read_checkpoint(path, with_optimizer=True)["network_weights"]
        except UserInputError:
            refused += 1
            continue
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert refused > 50
