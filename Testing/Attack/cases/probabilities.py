"""Folders of probabilities that `ensemble` averages: hostile archives, and folders that do not belong together."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..attack import Attack, Expected
from ..place import Place
from ..special_files import a_circle, a_fifo, a_folder
from ..spoils import Become, Copied, Cut, Flipped, InJson, Linked, Removed, Text

FAMILY = "probabilities"
NPZ, SEGMENTED = "{probabilities}/b/ball_0.npz", "{probabilities}/b/ball_0.nii.gz"
ENTRY = "probabilities.npy"
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class InProbabilities:
    """Other values, packed as numpy packs them."""

    change: Change
    file: str = NPZ

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        with np.load(path) as content:
            array = content["probabilities"]
        np.savez_compressed(path, probabilities=self.change(array))


@dataclass(frozen=True)
class Objects:
    """An array of objects, whose pickle writes a file when it is loaded."""

    def __call__(self, place: Place) -> None:
        array = np.empty(1, object)
        array[0] = _Opens(str(place.outside / "executed"))
        np.savez(place.path(NPZ), probabilities=array)


class _Opens:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@dataclass(frozen=True)
class Pickled:
    """The pickle beside the probabilities writes a file when it is loaded."""

    def __call__(self, place: Place) -> None:
        import pickle

        content = pickle.dumps(_Opens(str(place.outside / "executed")))
        place.path("{probabilities}/b/ball_0.pkl").write_bytes(content)


@dataclass(frozen=True)
class Packed:
    """An archive with a header and bytes of one's own."""

    header: str
    content: bytes = b""
    name: str = ENTRY
    compression: int = zipfile.ZIP_DEFLATED
    more: tuple[str, ...] = ()

    def __call__(self, place: Place) -> None:
        text = self.header.encode("latin-1")
        array = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + self.content
        with zipfile.ZipFile(place.path(NPZ), "w", self.compression) as archive:
            archive.writestr(self.name, array)
            for name in self.more:
                archive.writestr(name, b"")


@dataclass(frozen=True)
class InBytes:
    """The archive's own bytes are changed."""

    change: Callable[[bytes], bytes]

    def __call__(self, place: Place) -> None:
        path = place.path(NPZ)
        path.write_bytes(self.change(path.read_bytes()))


def attacks() -> Iterator[Attack]:
    yield from _values()
    yield from _archives()
    yield from _folders()


def _values() -> Iterator[Attack]:
    """What an array may hold that are no probabilities of this case."""
    for name, change in {
        "nan": lambda a: a * np.nan,
        "one-nan": _with(np.nan),
        "infinite": _with(np.inf),
        "negative": _with(-1),
        "above-one": _with(2),
        "one-head-less": lambda a: a[:-1],
        "one-head-more": lambda a: np.concatenate([a, a[:1]]),
        "other-extent": lambda a: a[:, :-1],
        "axes-swapped": lambda a: a[..., :-1].swapaxes(1, 3),
        "no-heads": lambda a: a[0],
        "an-axis-more": lambda a: a[None],
        "no-voxels": lambda a: a[:, :0],
        "a-number": lambda a: np.float32(0.5),
        "whole-numbers": lambda a: a.astype(np.int32),
        "complex": lambda a: a.astype(complex),
        "text": lambda a: a.astype("U8"),
        "records": lambda a: a.view([("x", "<f4")]),
        "dates": lambda a: a.astype(np.int64).astype("M8[s]"),
        "long-doubles": lambda a: a.astype(np.longdouble),
    }.items():
        yield _of(f"values-{name}", InProbabilities(change), named=("ball_0.npz",))
    for name, change in {
        "doubles": lambda a: a.astype(np.float64),
        "big-endian": lambda a: a.astype(">f4"),
        "fortran": np.asfortranarray,
    }.items():
        yield _of(f"values-{name}", InProbabilities(change), expected=Expected.HARMLESS)
    yield _of("values-objects", Objects(), named=("ball_0.npz",))
    yield _of("pickle-beside", Pickled(), expected=Expected.HARMLESS)


def _archives() -> Iterator[Attack]:
    sound = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16, 16, 16), }"
    zeros = bytes(4 * 3 * 16**3)
    for name, spoil in {
        "huge-shape": Packed(sound.replace("16, 16, 16", "99999999, 99999999, 9")),
        "negative-shape": Packed(sound.replace("16, 16, 16", "-1, 16, 16"), zeros),
        "shape-of-text": Packed(sound.replace("16, 16, 16", "'a', 16, 16"), zeros),
        "endless-shape": Packed(sound.replace("16, 16, 16", "1, " * 300), zeros),
        "shape-beyond-64-bits": Packed(sound.replace("16, 16, 16", "16, 16, " + "9" * 200), zeros),
        "object-type": Packed(sound.replace("<f4", "|O"), b"cos\nsystem\n(S'touch x'\ntR."),
        "code-in-header": Packed(sound.replace("False", "__import__('os').abort()"), zeros),
        "long-header": Packed(sound + " " * 200_000, zeros),
        "deep-header": Packed("(" * 900, zeros),
        "no-header": Packed("", zeros),
        "shorter-than-its-shape": Packed(sound, zeros[:-4]),
        "longer-than-its-shape": Packed(sound, zeros + b"more"),
        "bomb": Packed(sound, bytes(100 << 20)),
        "other-packing": Packed(sound, zeros, compression=zipfile.ZIP_LZMA),
        "other-name": Packed(sound, zeros, "../../outside/x.npy"),
        "many-members": Packed(sound, zeros, more=tuple(f"../{number:0200d}" for number in range(5000))),
        "encrypted": InBytes(lambda b: _flagged(b, 1)),
        "truncated": Cut(NPZ, 0.5),
        "flipped": Flipped(NPZ, 0.5),
        "text": Text(NPZ, "probabilities"),
        "empty": Text(NPZ, b""),
        "npy": InBytes(lambda b: _npy_of(b)),
        "fifo": Become(NPZ, a_fifo),
        "folder": Become(NPZ, a_folder),
        "circle": Become(NPZ, a_circle),
        "device": Linked(NPZ, "/dev/zero"),
    }.items():
        yield _of(f"archive-{name}", spoil, named=("ball_0.npz",))


def _folders() -> Iterator[Attack]:
    description = "{probabilities}/b/dataset.json"
    for name, spoil, named in (
        ("no-segmentation", Removed(SEGMENTED), SEGMENTED),
        ("damaged-segmentation", Cut(SEGMENTED, 0.5), SEGMENTED),
        ("text-as-segmentation", Text(SEGMENTED, "x"), SEGMENTED),
        ("case-missing", Removed(NPZ), "{probabilities}/b"),
        ("case-more", Copied(NPZ, "{probabilities}/b/other.npz"), "{probabilities}/a"),
        ("other-labels", InJson(description, ("labels",), {"background": 0, "core": 1, "ball": 2}), description),
        ("no-description", Removed("{probabilities}/a/dataset.json"), "{probabilities}/a/dataset.json"),
        ("rubbish-as-plan", Text("{probabilities}/a/plans.json", "{}"), "{probabilities}/a/plans.json"),
    ):
        yield _of(f"folder-{name}", spoil, named=(named,))
    # nnU-Net's own ensembles have no plan.
    yield _of("folder-no-plan", Removed("{probabilities}/a/plans.json"), expected=Expected.HARMLESS)
    for name, arguments in (
        ("input-alone", ("--input={probabilities}/a",)),
        ("input-nowhere", ("--input", "{probabilities}/a", "{probabilities}/nowhere")),
        ("input-a-file", ("--input", "{probabilities}/a", NPZ)),
        ("input-without-probabilities", ("--input", "{probabilities}/a", "{images}")),
        ("into-its-input", ("--output={probabilities}/b",)),
        ("into-images", ("--output={images}",)),
    ):
        yield Attack(FAMILY, name, "ensemble", (), Expected.REFUSED, (), arguments, hostile=False)


def _of(
    name: str, *spoils: Callable[[Place], None], expected: Expected = Expected.REFUSED, named: tuple[str, ...] = ()
) -> Attack:
    return Attack(FAMILY, name, "ensemble", spoils, expected, named)


def _with(value: float) -> Change:
    def change(array: np.ndarray) -> np.ndarray:
        array[1, 3, 4, 5] = value
        return array

    return change


def _flagged(content: bytes, bit: int) -> bytes:
    """With a bit of the general flags set, in the archive's list of members."""
    entry = content.rindex(b"PK\x01\x02")
    return content[: entry + 8] + bytes([content[entry + 8] | bit]) + content[entry + 9 :]


def _npy_of(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(ENTRY)
