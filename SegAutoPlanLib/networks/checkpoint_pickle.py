"""The pickle in a checkpoint, read without calling anything that it names.

A pickle is a small program that calls functions by their names. What torch.save writes for tensors and plain values
needs a dozen of them. Here each of these names stands for a function of ours that looks at what it is given; any other
name is code, and the file is not opened. torch's own reader for such files also executes nothing, but lets through
what takes all memory or never ends (`bytearray(10**12)`, tuples in each other as a key), and it knows numpy's numbers,
which nnU-Net's curves are made of, only from torch 2.5 on.

The opcodes are those of protocol 2, which torch writes. Numbers, texts and containers come back as they are; a tensor
comes back as a `StoredTensor`, for which nothing has been read yet.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from .checkpoint_values import (
    NAMES,
    STORAGES,
    HoldsCode,
    Named,
    NotPlain,
    NumpyType,
    Storage,
    StoredTensor,
    call,
    count_of,
    key_of,
    only,
)

MAX_STEPS = 8_000_000
"""The curves of 4000 epochs with 120 classes take 6 million."""
MAX_SCANNED_BYTES = 64 << 20
MAX_SCANNED_STEPS = 200_000
"""Opcodes that are looked at to say what code a refused file holds."""


FORMER_MODULES = {"__builtin__": "builtins", "posix": "os", "nt": "os"}
"""Modules of Python 2, and those in which the functions of `os` really are."""


def unpickle(content: bytes) -> Any:
    """What the pickle holds.

    Raises:
        HoldsCode: it needs something called that is not in `CALLS`.
        NotPlain: it is damaged, or holds what no checkpoint holds.
    """
    try:
        return _Program(content).run()
    except HoldsCode:
        raise
    except (
        NotPlain,
        struct.error,  # a number that is cut off
        ValueError,  # pairs that are none, text that is none
        TypeError,  # a call with another number of arguments
        LookupError,  # an empty stack, a memo that was never written
        OverflowError,  # an offset of 10^400
    ) as error:
        code = code_in(content)
        if code is not None:
            raise HoldsCode(code) from error
        raise NotPlain(str(error) if isinstance(error, NotPlain) else "its pickle cannot be read") from error


def code_in(content: bytes) -> str | None:
    """The first thing that a pickle (or one of several on end) names and that no checkpoint needs; None if there is
    none in what can be read. Nothing is executed."""
    texts: list[str] = []
    try:
        for opcode, argument in _opcodes(content):
            if opcode in ("GLOBAL", "INST"):
                name = _dotted(*argument.split(" ", 1))
            elif opcode == "STACK_GLOBAL":
                name = _dotted(*(texts or ["?"])[-2:])
            else:
                if isinstance(argument, str) and "UNICODE" in opcode:
                    texts = [*texts[-1:], argument]
                continue
            if name not in NAMES:
                return name
    except (ValueError, TypeError, struct.error, OverflowError, LookupError):
        # What pickletools raises where the bytes are no pickle any more.
        return None
    return None


def _opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    stream = io.BytesIO(content[:MAX_SCANNED_BYTES])
    steps = 0
    while stream.tell() < len(content):
        for opcode, argument, _ in pickletools.genops(stream):
            steps += 1
            if steps > MAX_SCANNED_STEPS:
                return
            yield opcode.name, argument


class _Program:
    """A stack machine; each method is one opcode."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        """The stacks under the marks."""
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        read, opcodes = self._stream.read, self._OPCODES
        for _ in range(MAX_STEPS):
            opcode = read(1)
            if opcode == pickle.STOP:
                return self._stack.pop()
            if opcode not in opcodes:
                raise NotPlain("its pickle cannot be read")
            opcodes[opcode](self)
        raise NotPlain("what it says beside the weights never ends")

    def _take(self, count: int) -> bytes:
        content = self._stream.read(count)
        if len(content) != count:
            raise NotPlain("its pickle is cut off")
        return content

    def _unpack(self, form: str, count: int) -> Any:
        return struct.unpack(form, self._take(count))[0]

    def _marked(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _protocol(self) -> None:
        self._take(1)

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _text(self) -> None:
        self._stack.append(str(self._take(self._unpack("<I", 4)), "utf-8"))

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self._take(self._unpack("<B", 1)), "little", signed=True))

    def _get(self, form: str, count: int) -> None:
        self._stack.append(self._memo[self._unpack(form, count)])

    def _put(self, form: str, count: int) -> None:
        self._memo[self._unpack(form, count)] = self._stack[-1]

    def _append(self) -> None:
        item = self._stack.pop()
        only(self._stack[-1], list).append(item)

    def _appends(self) -> None:
        items = self._marked()
        only(self._stack[-1], list).extend(items)

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        only(self._stack[-1], dict)[key_of(key)] = value

    def _set_items(self) -> None:
        items = self._marked()
        target = only(self._stack[-1], dict)
        if len(items) % 2:
            raise NotPlain("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key_of(key)] = value

    def _tuple(self) -> None:
        items = tuple(self._marked())
        self._stack.append(items)

    def _short_tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise NotPlain("its pickle cannot be read")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _name(self) -> None:
        module, name = (self._stream.readline()[:-1].decode("utf-8") for _ in range(2))
        dotted = _dotted(module, name)
        if dotted not in NAMES:
            raise HoldsCode(dotted)
        self._stack.append(Named(dotted))

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        self._stack[-1] = call(self._stack[-1], arguments)

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, NumpyType):
            if only(state, tuple)[1] not in ("<", "|", "="):
                raise NotPlain("numbers of another byte order")
        elif not isinstance(target, OrderedDict | StoredTensor):
            raise NotPlain("its pickle cannot be read")

    def _stored(self) -> None:
        kind, storage, key, _, count = only(self._stack.pop(), tuple)
        type_ = STORAGES.get(only(storage, Named).name.removeprefix("torch."))
        if kind != "storage" or type_ is None:
            raise NotPlain("numbers of an unknown type")
        self._stack.append(Storage(only(key, str), type_, count_of(count)))

    _OPCODES: ClassVar[Mapping[bytes, Callable[[_Program], None]]] = {
        pickle.PROTO: _protocol,
        pickle.MARK: _mark,
        pickle.NONE: lambda self: self._stack.append(None),
        pickle.NEWTRUE: lambda self: self._stack.append(True),
        pickle.NEWFALSE: lambda self: self._stack.append(False),
        pickle.EMPTY_DICT: lambda self: self._stack.append({}),
        pickle.EMPTY_LIST: lambda self: self._stack.append([]),
        pickle.EMPTY_TUPLE: lambda self: self._stack.append(()),
        pickle.BININT: lambda self: self._stack.append(self._unpack("<i", 4)),
        pickle.BININT1: lambda self: self._stack.append(self._unpack("<B", 1)),
        pickle.BININT2: lambda self: self._stack.append(self._unpack("<H", 2)),
        pickle.LONG1: _long,
        pickle.BINFLOAT: lambda self: self._stack.append(self._unpack(">d", 8)),
        pickle.BINUNICODE: _text,
        pickle.BINGET: lambda self: self._get("<B", 1),
        pickle.LONG_BINGET: lambda self: self._get("<I", 4),
        pickle.BINPUT: lambda self: self._put("<B", 1),
        pickle.LONG_BINPUT: lambda self: self._put("<I", 4),
        pickle.APPEND: _append,
        pickle.APPENDS: _appends,
        pickle.SETITEM: _set_item,
        pickle.SETITEMS: _set_items,
        pickle.TUPLE: _tuple,
        pickle.TUPLE1: lambda self: self._short_tuple(1),
        pickle.TUPLE2: lambda self: self._short_tuple(2),
        pickle.TUPLE3: lambda self: self._short_tuple(3),
        pickle.GLOBAL: _name,
        pickle.REDUCE: _reduce,
        pickle.BUILD: _build,
        pickle.BINPERSID: _stored,
    }


def _dotted(module: str, name: str = "") -> str:
    dotted = f"{FORMER_MODULES.get(module, module)}.{name}"
    return dotted if dotted.isprintable() and len(dotted) <= 100 else f"{dotted[:100]!a}"
