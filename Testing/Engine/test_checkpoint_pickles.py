"""Small pickles that would take all memory, never end or overflow the stack are a sentence."""

from __future__ import annotations

import contextlib
import time
import tracemalloc

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.networks import (
    checkpoint_pickle,
    read_checkpoint,
)

from . import hostile_checkpoints as forged
from .checkpoint_models import (
    refuses,
)
from .hostile_checkpoints import (
    call,
    holding,
    integer,
    many,
    name,
    storage,
    tensor,
    text,
    weights,
)

NESTED = b")" + 200_000 * b"\x85"
SHARED = b")q\x00" + 100 * b"h\x00\x86q\x00"
PICKLES = {
    "a terabyte of zeros": holding(call("__builtin__", "bytearray", integer(10**12) + b"\x85")),
    "a tensor that is not stored": weights(call("torch", "FloatTensor", integer(10**11) + b"\x85")),
    "a meta tensor": weights(call("torch._utils", "_rebuild_meta_tensor_no_storage")),
    "a sparse tensor": weights(call("torch._utils", "_rebuild_sparse_tensor")),
    "a quantised tensor": weights(call("torch._utils", "_rebuild_qtensor")),
    "a wrapped tensor": weights(call("torch._utils", "_rebuild_wrapper_subclass")),
    "a nested tensor": weights(call("torch._utils", "_rebuild_nested_tensor")),
    "a tensor from numpy": weights(call("torch._utils", "_rebuild_device_tensor_from_numpy")),
    "a codec": holding(call("_codecs", "encode", many(text("x"), text("zlib")))),
    "tuples in each other as a key": weights(b"}" + NESTED + b"Ns"),
    "tuples that share as a key": weights(b"}" + SHARED + b"Ns"),
    "tuples in each other in a list of pairs": holding(
        call("collections", "OrderedDict", b"](]" + NESTED + b"aNae\x85")
    ),
    "a number of gigabytes": holding(b"\x8b\xff\xff\xff\x7f"),
    "a text of gigabytes": holding(b"X\xff\xff\xff\xff"),
    "a memo that was never written": holding(b"j\xff\xff\xff\xff"),
    "a size of 2^70": weights(tensor(shape=integer(2**70) + b"\x85")),
    "a size below 0": weights(tensor(shape=integer(-1) + b"\x85")),
    "an offset below 0": weights(tensor(offset=integer(-4))),
    "an offset beyond": weights(tensor(offset=b"K\x01")),
    "a stride below 0": weights(tensor(stride=integer(-1) + b"\x85")),
    "a stride beyond": weights(tensor(stride=b"K\x02\x85")),
    "a trillion numbers of four": weights(
        tensor(shape=integer(10**6) + integer(10**6) + b"\x86", stride=b"K\x00K\x00\x86")
    ),
    "a hundred axes": weights(tensor(shape=many(*[b"K\x01"] * 100), stride=many(*[b"K\x01"] * 100))),
    "axes without strides": weights(tensor(stride=b")")),
    "a true size": weights(tensor(shape=b"\x88\x85")),
    "a size that is text": weights(tensor(shape=text("4") + b"\x85")),
    "a storage that is not there": weights(tensor(storage(key="1"))),
    "a storage outside": weights(tensor(storage(key="../../../etc/passwd"))),
    "a storage with an endless name": weights(tensor(storage(key="\x1b[31m" + "x" * 10**6))),
    "a storage that is larger": weights(tensor(storage(count=b"K\x05"))),
    "a storage that is smaller": weights(tensor(storage(count=b"K\x03"), shape=b"K\x03\x85")),
    "a storage of another kind": weights(tensor(storage("DoubleStorage"))),
    "a storage of no kind": weights(tensor(storage("NoStorage"))),
    "complex numbers": weights(tensor(storage("ComplexFloatStorage"))),
    "a storage that is none": weights(tensor(b"N")),
    "another persistent thing": weights(tensor(storage(what="module"))),
    "a persistent number": weights(b"K\x00Q"),
    "a call of nothing": holding(b"N)R"),
    "a call of a text": holding(text("os.system") + b")R"),
    "a call without a tuple": holding(name("collections", "OrderedDict") + b"NR"),
    "a call of a type": holding(call("torch", "float32")),
    "a tensor without arguments": weights(call("torch._utils", "_rebuild_tensor_v2")),
    "a parameter of nothing": weights(call("torch._utils", "_rebuild_parameter", b"N\x85")),
    "attributes of a function": holding(name("torch._utils", "_rebuild_tensor_v2") + b"}b"),
    "attributes of a dict": holding(b"}}b"),
    "numpy objects": holding(call("numpy", "dtype", many(text("O"), b"\x89", b"\x88"))),
    "a numpy text": holding(call("numpy", "dtype", many(text("U1000000000"), b"\x89", b"\x88"))),
    "a numpy type that is a list": holding(call("numpy", "dtype", many(b"]"))),
    "a numpy number of three bytes": holding(
        call(
            "numpy._core.multiarray",
            "scalar",
            many(
                call("numpy", "dtype", many(text("f8"))), call("_codecs", "encode", many(text("abc"), text("latin1")))
            ),
        )
    ),
    "an unknown opcode": holding(b"\xff"),
    "an empty stack": forged.PROTOCOL + b"R.",
    "nothing": b"",
    "an end at once": b".",
    "no end": forged.PROTOCOL + b"}",
    "an end of a mark that never began": forged.PROTOCOL + b"t.",
    "a key without a value": forged.PROTOCOL + b"}(N" + b"u.",
    "an append to a tuple": forged.PROTOCOL + b")Na.",
    "a name that is cut off": forged.PROTOCOL + b"cos",
    "a name that is no text": forged.PROTOCOL + b"c\xff\xfe\n\xff\n.",
    "a number": forged.PROTOCOL + b"K\x01.",
    "a list": forged.PROTOCOL + b"].",
    "no weights": forged.PROTOCOL + b"}.",
    "weights that are a list": holding(b"]", "network_weights"),
    "weights that hold themselves": forged.PROTOCOL
    + b"}("
    + text("network_weights")
    + b"}q\x00"
    + text("a")
    + b"h\x00su.",
}


@pytest.mark.parametrize("what", PICKLES)
def test_a_hostile_pickle_is_a_sentence(what, tmp_path):
    refuses(forged.write_archive(tmp_path / "checkpoint_final.pth", PICKLES[what]))


def test_what_is_never_read_may_be_nested_and_shared_as_it_likes(tmp_path):
    nested = 100_000 * b"]" + 99_999 * b"a"
    for value in (nested, SHARED, b"]q\x00h\x00a"):
        path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(value, "more"))
        assert read_checkpoint(path)["network_weights"] == {}


def test_a_pickle_that_never_ends_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_pickle, "MAX_STEPS", 1000)
    path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(b"](" + b"N" * 2000 + b"e", "more"))
    assert "never ends" in refuses(path)


def _calls(function: bytes, argument: bytes, count: int = 3000) -> bytes:
    """A list of what many calls with one and the same argument give."""
    return b"](" + function + b"q\x00" + argument + b"\x85q\x01" + b"h\x00h\x01R" * count + b"e"


CALL_OF_CALLS = name("torch._tensor", "_rebuild_from_type_v2") + b"q\x00" + b"h\x00N" * 5000 + b")" + b"\x87" * 5000
SMALL_PICKLES = {
    "copies of a set": _calls(name("__builtin__", "set"), b"](" + b"N" * 50_000 + b"e"),
    "copies of a size": _calls(name("torch", "Size"), b"](" + b"K\x01" * 50_000 + b"e"),
    "copies of a dictionary": _calls(
        name("collections", "OrderedDict"), b"](" + b"".join(integer(i) + b"N\x86" for i in range(20_000)) + b"e"
    ),
    "copies of bytes": b"](" + name("_codecs", "encode") + b"q\x00" + text("a" * 10**5) + text("latin1") + b"\x86q\x01"
    + b"h\x00h\x01R" * 3000 + b"e",
    "copies of a device": b"](" + name("torch", "device") + b"q\x00" + text("a" * 10**5) + b"K\x01\x86q\x01"
    + b"h\x00h\x01R" * 3000 + b"e",
    "calls of calls": CALL_OF_CALLS + b"R",
    "keys of one hash": b"}(" + b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(30_000)) + b"u",
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL_PICKLES)
def test_a_small_pickle_takes_neither_all_memory_nor_for_ever(what, tmp_path):
    """Unguarded, each takes seconds to minutes, hundreds of megabytes, or the whole stack."""
    path = forged.write_archive(tmp_path / "checkpoint_final.pth", holding(SMALL_PICKLES[what], "more"))
    begin = time.process_time()
    tracemalloc.start()
    try:
        # What is never read may be a set, however large, but not one more each time that it is named.
        with contextlib.suppress(UserInputError):
            read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 << 20
    assert time.process_time() - begin < 5
