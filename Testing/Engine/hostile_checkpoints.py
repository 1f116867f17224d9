"""Checkpoints that torch would never write: pickles and archives made by hand."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

PROTOCOL = b"\x80\x02"


class Call:
    """Pickles as a call, which whoever unpickles it without care makes."""

    def __init__(self, function, *arguments: Any) -> None:
        self._answer = function, arguments

    def __reduce__(self):
        return self._answer


def text(value: str) -> bytes:
    """The opcode of a text."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def name(module: str, function: str) -> bytes:
    """The opcode of a name."""
    return f"c{module}\n{function}\n".encode()


def call(module: str, function: str, arguments: bytes = b")") -> bytes:
    """A name called with a tuple."""
    return name(module, function) + arguments + b"R"


def integer(value: int) -> bytes:
    """The opcode of a whole number of any size below 255 bytes."""
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def many(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def holding(value: bytes, key: str = "trainer_name") -> bytes:
    """A checkpoint's pickle with the opcodes of one value in it."""
    return PROTOCOL + b"}(" + text("network_weights") + b"}" + text(key) + value + b"u."


def weights(value: bytes) -> bytes:
    """A checkpoint's pickle whose only weight is this."""
    return PROTOCOL + b"}(" + text("network_weights") + b"}" + text("a") + value + b"su."


def storage(kind: str = "FloatStorage", key: str = "0", count: bytes = b"K\x04", what: str = "storage") -> bytes:
    """The opcodes of four stored numbers."""
    return many(text(what), name("torch", kind), text(key), text("cpu"), count) + b"Q"


def tensor(
    stored: bytes | None = None, offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", stride=b"K\x01\x85"
) -> bytes:
    """The opcodes of a tensor of four numbers."""
    arguments = many(stored or storage(), offset, shape, stride, b"\x89", call("collections", "OrderedDict"))
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def write_archive(path: Path, pickled: bytes, records: dict[str, bytes] | None = None, **how: Any) -> Path:
    """An archive as torch lays it out, with four numbers stored."""
    named = {"data.pkl": pickled, "data/0": struct.pack("<4f", 1, 2, 3, 4), "version": b"3\n", **(records or {})}
    with zipfile.ZipFile(path, "w", **how) as archive:
        for record, content in named.items():
            archive.writestr(f"archive/{record}", content)
    return path


def stacked(function_module: str, function: str, argument: str) -> bytes:
    """A call as protocol 4 writes it."""
    short = [b"\x8c" + bytes([len(part)]) + part.encode() for part in (function_module, function, argument)]
    return b"\x80\x04" + short[0] + short[1] + b"\x93" + short[2] + b"\x85R."


def dumped(value: Any, protocol: int = 2) -> bytes:
    """Python's own pickle."""
    return pickle.dumps(value, protocol)
