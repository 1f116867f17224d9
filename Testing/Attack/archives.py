"""Ways to spoil a checkpoint: code in its pickle, wrong content, damaged and forged archives."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .place import Place

Content = dict[str, Any]


@dataclass(frozen=True)
class InCheckpoint:
    """Change the content of a checkpoint and save it again."""

    file: str
    change: Callable[[Content], Any]

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        content = torch.load(path, map_location="cpu", weights_only=True)
        changed = self.change(content)
        torch.save(content if changed is None else changed, path)


class _Call:
    """Pickles as a call of a function, which whoever unpickles it without care makes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._answer = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._answer


def _python(place: Place) -> str:
    return f"open({str(place.outside / 'executed')!r}, 'w').close()"


def _shell(place: Place) -> str:
    return f"touch '{place.outside / 'executed'}'"


def _calls(place: Place) -> dict[str, _Call]:
    import importlib
    import os
    import runpy
    import subprocess

    script = place.lair / "script.py"
    script.write_text(_python(place), encoding="utf-8")
    return {
        "os.system": _Call(os.system, _shell(place)),
        "eval": _Call(eval, _python(place)),
        "exec": _Call(exec, _python(place)),
        "subprocess": _Call(subprocess.call, ["touch", str(place.outside / "executed")]),
        "open": _Call(open, str(place.outside / "executed"), "w"),
        "runpy": _Call(runpy.run_path, str(script)),
        "import": _Call(importlib.import_module, "this"),
        "touch": _Call(Path.touch, place.outside / "executed"),
        "mkdir": _Call(os.mkdir, str(place.outside / "executed")),
        "remove": _Call(os.remove, str(place.outside / "precious.txt")),
        "torch.load": _Call(torch.load, str(place.outside / "precious.txt")),
        "torch.save": _Call(torch.save, 1, str(place.outside / "executed")),
        "torch.hub": _Call(torch.hub.load_state_dict_from_url, "http://127.0.0.1:9/x"),
        "storage-from-file": _Call(torch.UntypedStorage.from_file, str(place.outside / "executed"), True, 64),
        "tensor-from-file": _Call(torch.from_file, str(place.outside / "executed"), True, 64),
        "exit": _Call(os._exit, 0),
        "breakpoint": _Call(breakpoint),
    }


CALLS = ("os.system", "eval", "exec", "subprocess", "open", "runpy", "import", "touch", "mkdir", "remove", "torch.load",
         "torch.save", "torch.hub", "storage-from-file", "tensor-from-file", "exit", "breakpoint")  # fmt: skip
CONTAINERS = ("whole", "in-trainer-name", "in-weights", "plain-pickle", "old-torch", "protocol-0")


@dataclass(frozen=True)
class Coded:
    """The checkpoint calls a function when it is unpickled."""

    file: str
    call: str
    container: str

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        call = _calls(place)[self.call]
        content = torch.load(path, map_location="cpu", weights_only=True)
        if self.container == "plain-pickle":
            path.write_bytes(pickle.dumps(call))
            return
        if self.container == "protocol-0":
            path.write_bytes(pickle.dumps(call, 0))
            return
        if self.container == "in-trainer-name":
            content["trainer_name"] = call
        elif self.container == "in-weights":
            content["network_weights"] = {**content["network_weights"], "more": call}
        else:
            content = call
        torch.save(content, path, _use_new_zipfile_serialization=self.container != "old-torch")


def deflated_bomb(path: Path) -> None:
    """Two gigabytes of zeros in two megabytes, as the pickle and as a storage."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/version", "3\n")
        for name in ("archive/data.pkl", "archive/data/0"):
            with archive.open(name, "w", force_zip64=True) as file:
                for _ in range(2048):
                    file.write(bytes(1 << 20))


def old_tar(path: Path) -> None:
    """The format of torch before 0.1.10, with code in its pickle."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(_Call(print, "executed"))
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def tar_that_climbs(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("../../../../../executed")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))


def without(name: str) -> Callable[[Path], None]:
    """The archive without one of its records."""
    return lambda path: _rewritten(path, lambda own, content: None if own.endswith(name) else (own, content))


def renamed(path: Path) -> None:
    _rewritten(path, lambda own, content: (own.replace("archive/", "../../../../executed/"), content))


def shorter_storage(path: Path) -> None:
    _rewritten(path, lambda own, content: (own, content[:-8] if own.endswith("data/0") else content))


def twice(path: Path) -> None:
    """Two records of the same name, of which the second is other."""
    _rewritten(path, lambda own, content: (own, content), more=[("archive/data/0", bytes(432))])


def trailing(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x" * 70_000)


def leading(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def recompressed(path: Path) -> None:
    _rewritten(path, lambda own, content: (own, content), compression=zipfile.ZIP_DEFLATED)


def wrong_checksum(path: Path) -> None:
    """A storage that was damaged where the archive's own directory still looks sound."""
    content = bytearray(path.read_bytes())
    at = content.index(b"archive/data/0FB")
    content[at + 120] ^= 0x55
    path.write_bytes(bytes(content))


def pickle_bomb(path: Path) -> None:
    """A pickle that asks for a text of 2^40 bytes."""
    _rewritten(
        path,
        lambda own, content: (
            (own, b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40)) if own.endswith("pkl") else (own, content)
        ),
    )


def endless_memo(path: Path) -> None:
    """Doubling a list sixty times, in sixty lines."""
    body = b"\x80\x02]q\x00" + b"".join(b"(h\x00h\x00l0(h\x00h\x00lq\x00" for _ in range(60)) + b"."
    _rewritten(path, lambda own, content: (own, body) if own.endswith("pkl") else (own, content))


def deep_pickle(path: Path) -> None:
    body = b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."
    _rewritten(path, lambda own, content: (own, body) if own.endswith("pkl") else (own, content))


def _rewritten(path: Path, change, more=(), compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records:
            if (record := change(name, content)) is not None:
                archive.writestr(*record)
        for name, content in more:
            archive.writestr(name, content)


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "deflated-bomb": deflated_bomb,
    "old-tar-with-code": old_tar,
    "tar-that-climbs": tar_that_climbs,
    "without-data.pkl": without("data.pkl"),
    "without-a-storage": without("data/0"),
    "shorter-storage": shorter_storage,
    "leading-script": leading,
    "pickle-bomb": pickle_bomb,
    "endless-memo": endless_memo,
    "deep-pickle": deep_pickle,
}
"""Never sound."""
ODD_ARCHIVES: dict[str, Callable[[Path], None]] = {
    "record-twice": twice,
    "records-climb": renamed,
    "trailing": trailing,
    "recompressed": recompressed,
    "without-version": without("version"),
    "without-byteorder": without("byteorder"),
}
"""Odd, perhaps sound: refused, or read as what they are."""
