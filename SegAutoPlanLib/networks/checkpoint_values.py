"""What may stand in a checkpoint's pickle, and what is done here instead of each call that it asks for."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_DIMENSIONS = 8
MAX_ARGUMENTS = 16
MAX_CHARACTERS = 100
"""Of a text that is copied. A pickle can give the same large argument to a million calls: none of them may copy it."""
KEY_BITS = 63
"""Larger whole numbers can be chosen so that their hashes are all equal, and a dictionary of them takes for ever."""


class NotPlain(Exception):
    """The pickle holds something else than tensors and plain values, or is damaged."""


class HoldsCode(NotPlain):
    """The pickle calls something by name; the name is the message."""


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors lie in: the record `data/KEY` of the archive."""

    key: str
    type: str
    """torch's name of the type of each number, e.g. `float32`."""
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet; `offset` and `stride` count numbers of its storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """Something that the pickle names and that may stand there."""

    name: str


@dataclass(frozen=True)
class NumpyType:
    """The type of a numpy number, by its code."""

    code: str


STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
VALUE_BYTES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1},
}
NUMPY_NUMBERS = {
    **{"f8": "d", "f4": "f", "f2": "e", "b1": "?"},
    **{"i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B"},
}
"""numpy's code of a type → that of `struct`."""
KEYS = (str, bytes, int, float, type(None))
"""What may be a key: the hash of a nested tuple may take for ever, or the whole stack."""


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    # Items follow one by one; a list of them was Python 2's way.
    if arguments:
        raise NotPlain("its pickle cannot be read")
    return OrderedDict()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    storage = only(storage, Storage)
    shape, stride = _counts(shape), _counts(stride)
    if len(shape) != len(stride):
        raise NotPlain("a tensor whose shape and strides differ")
    count = math.prod(shape)
    reached = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if count else 0
    if count > storage.count or count_of(offset) + reached > storage.count:
        raise NotPlain("a tensor that is larger than what is stored of it")
    return StoredTensor(storage, offset, shape, stride)


def _parameter(tensor: Any, *_: Any) -> StoredTensor:
    return only(tensor, StoredTensor)


def _with_attributes(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    if only(function, Named).name == FROM_TYPE:
        raise NotPlain("a call of a call")
    return call(function, arguments)


def _numpy_type(code: Any, *_: Any) -> NumpyType:
    if code not in NUMPY_NUMBERS if isinstance(code, str) else True:
        raise NotPlain("numpy values that are no numbers")
    return NumpyType(code)


def _numpy_number(kind: Any, content: Any) -> float | int | bool:
    code = NUMPY_NUMBERS[only(kind, NumpyType).code]
    return struct.unpack(f"<{code}", only(content, bytes))[0]


def _bytes_of(text: Any, encoding: Any) -> bytes | str:
    if encoding != "latin1":
        raise HoldsCode("_codecs.encode")
    text = only(text, str)
    # The bytes of a number are few; those of anything else are never read.
    return text.encode("latin-1") if len(text) <= MAX_CHARACTERS else text


def _device(*place: Any) -> str:
    return ":".join(part if _is_short(part) else str(count_of(part)) for part in place[:2])


def _size(shape: Any = ()) -> tuple[int, ...]:
    return _counts(shape)


def _items(items: Any = ()) -> list[Any] | tuple[Any, ...]:
    return only(items, (list, tuple))


def _counted(counts: Any = None) -> Any:
    return {} if counts is None else only(counts, dict)


FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counted,
    "builtins.set": _items,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    FROM_TYPE: _with_attributes,
    "torch.device": _device,
    "torch.Size": _size,
    "numpy.dtype": _numpy_type,
    "numpy.core.multiarray.scalar": _numpy_number,
    "numpy._core.multiarray.scalar": _numpy_number,
    "_codecs.encode": _bytes_of,
}
"""The names that are called in checkpoints, and what is done instead."""
NAMES = {
    *CALLS,
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    *(f"torch.{storage}" for storage in STORAGES),
    *(f"torch.{kind}" for kind in VALUE_BYTES),
}


def call(function: Any, arguments: Any) -> Any:
    """What a call in a pickle gives here.

    Raises:
        NotPlain: the function is none, or its arguments are not what it takes.
    """
    name = only(function, Named).name
    if name not in CALLS:
        raise NotPlain(f"a call of {name}")
    if len(only(arguments, tuple)) > MAX_ARGUMENTS:
        raise NotPlain(f"a call of {name} with {len(arguments)} arguments")
    return CALLS[name](*arguments)


def only(value: Any, kind: type | tuple[type, ...]) -> Any:
    """The value, which is of the kind.

    Raises:
        NotPlain: it is not.
    """
    if not isinstance(value, kind):
        raise NotPlain("its pickle cannot be read")
    return value


def key_of(value: Any) -> Any:
    """The value, which may be a key.

    Raises:
        NotPlain: it may not.
    """
    if isinstance(value, int) and value.bit_length() > KEY_BITS:
        raise NotPlain("a key that nothing has")
    return only(value, KEYS)


def count_of(value: Any) -> int:
    """The value, which counts something.

    Raises:
        NotPlain: it does not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise NotPlain("a size that nothing has")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if len(only(values, (tuple, list))) > MAX_DIMENSIONS:
        raise NotPlain(f"a shape of {len(values)} dimensions")
    return tuple(count_of(value) for value in values)


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CHARACTERS
