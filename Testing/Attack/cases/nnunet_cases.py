"""Preprocessed cases as if of nnU-Net: arrays of blosc2 and of numpy, and pickles that nobody reads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..attack import Attack, Expected
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, Cut, Flipped, InJson, Removed, Text
from ..wrong_values import NAN

FAMILY = "nnunet case"
VERB = "convert from nnunet"
FOLDER = "{lair}/nnunet/Dataset001_Balls/nnUNetPlans_3d_fullres"
IMAGE, LABELS, PROPERTIES = (f"{FOLDER}/ball_0{end}" for end in (".b2nd", "_seg.b2nd", ".pkl"))
PACKED = f"{FOLDER}/ball_0.npz"
PLAN = "{lair}/nnunet/Dataset001_Balls/nnUNetPlans.json"
SHAPE = (1, 16, 16, 16)
EQUAL, ANSWERED = Expected.REFUSED_OR_EQUAL, Expected.ANSWERED

WRONG_IMAGES: dict[str, Callable[[], np.ndarray]] = {
    "one-axis": lambda: np.zeros(4096, np.float32),
    "no-values": lambda: np.zeros((1, 0, 16, 16), np.float32),
    "two-channels": lambda: np.zeros((2, 16, 16, 16), np.float32),
    "another-grid": lambda: np.zeros((1, 16, 16, 17), np.float32),
    "doubles": lambda: np.zeros(SHAPE, np.float64),
    "whole-numbers": lambda: np.zeros(SHAPE, np.int32),
    "complex": lambda: np.zeros(SHAPE, np.complex64),
    "texts": lambda: np.full(SHAPE, b"x" * 8),
    "records": lambda: np.zeros(SHAPE, [("a", "<f4"), ("b", "<i4")]),
    "nan": lambda: np.full(SHAPE, NAN, np.float32),
    "infinite": lambda: np.full(SHAPE, np.inf, np.float32),
}
WRONG_LABELS: dict[str, Callable[[], np.ndarray]] = {
    "fractions": lambda: np.zeros(SHAPE, np.float32),
    "unknown": lambda: np.full(SHAPE, 99, np.int8),
    "negative": lambda: np.full(SHAPE, -100, np.int8),
    "no-channel": lambda: np.zeros(SHAPE[1:], np.int8),
    "another-grid": lambda: np.zeros((1, 16, 16, 15), np.int8),
}


def blosc2_file(make: Callable[[], np.ndarray]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        import blosc2

        path.write_bytes(blosc2.asarray(make()).to_cframe())

    return change


def blosc2_bomb(path: Path) -> None:
    """A terabyte of zeros in some hundred bytes."""
    import blosc2

    path.write_bytes(blosc2.zeros((1, 10_000, 10_000, 2_500), dtype=np.float32).to_cframe())


def npy(array: np.ndarray, header: bytes | None = None) -> bytes:
    file = io.BytesIO()
    if header is None:
        np.save(file, array)
        return file.getvalue()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + array.tobytes()


def said(shape: str, kind: str = "'<f4'") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}"
    return f"{text:<117}\n".encode()


IMAGE_NPY, LABELS_NPY = npy(np.zeros(SHAPE, np.float32)), npy(np.zeros(SHAPE, np.int8))
WRONG_ARCHIVES: dict[str, dict[str, bytes]] = {
    "no-labels": {"data.npy": IMAGE_NPY},
    "no-image": {"seg.npy": LABELS_NPY},
    "empty": {},
    "other-names": {"../data.npy": IMAGE_NPY, "/seg.npy": LABELS_NPY},
    "no-numpy": {"data.npy": b"voxels", "seg.npy": LABELS_NPY},
    "short": {"data.npy": IMAGE_NPY[:-100], "seg.npy": LABELS_NPY},
    "no-header": {"data.npy": IMAGE_NPY[:9], "seg.npy": LABELS_NPY},
    "objects": {"data.npy": npy(np.zeros(1), said(str(SHAPE), "'|O'")), "seg.npy": LABELS_NPY},
    "huge": {"data.npy": npy(np.zeros(1), said("(1, 1000000, 1000000, 1000000)")), "seg.npy": LABELS_NPY},
    "negative": {"data.npy": npy(np.zeros(1), said("(1, -16, 16, 16)")), "seg.npy": LABELS_NPY},
    "code": {"data.npy": npy(np.zeros(1), said("__import__('os').system('id')")), "seg.npy": LABELS_NPY},
    "deep": {"data.npy": npy(np.zeros(1), said("(" * 3000)), "seg.npy": LABELS_NPY},
    "version": {"data.npy": b"\x93NUMPY\x09\x00" + IMAGE_NPY[8:], "seg.npy": LABELS_NPY},
}


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


def archive_bomb() -> bytes:
    """A gigabyte of zeros where some kilobytes are announced."""
    return archive({"data.npy": IMAGE_NPY + bytes(1 << 30), "seg.npy": LABELS_NPY})


def attacks() -> Iterator[Attack]:
    for name, make in WRONG_IMAGES.items():
        yield _of(f"image-{name}", By(IMAGE, blosc2_file(make)), IMAGE)
    for name, make in WRONG_LABELS.items():
        yield _of(f"labels-{name}", By(LABELS, blosc2_file(make)), LABELS)
    yield _of("image-bomb", By(IMAGE, blosc2_bomb), IMAGE)
    for file, part in ((IMAGE, "image"), (LABELS, "labels")):
        yield _of(f"{part}-missing", Removed(file), file)
        for name, make in SPECIAL_FILES.items():
            yield _of(f"{part}-special-{name}", Become(file, make), file)
        for name, content in (("empty", b""), ("text", b"voxels"), ("magic", b"\x9e\xa8b2frame\x00")):
            yield _of(f"{part}-{name}", Text(file, content), file)
        for tenth in range(1, 10):
            yield _of(f"{part}-cut-{tenth}/10", Cut(file, tenth / 10), file)
        for percent in (*range(10), *range(10, 100, 10)):
            # The format has no checksums.
            yield _of(f"{part}-flipped-{percent}%", Flipped(file, percent / 100), file, expected=ANSWERED)
    for name, members in WRONG_ARCHIVES.items():
        yield _of(f"npz-{name}", (Removed(IMAGE), Text(PACKED, archive(members))), PACKED)
    for name, content in (("text", b"voxels"), ("cut", archive(WRONG_ARCHIVES["empty"])[:-5]), ("empty", b"")):
        yield _of(f"npz-is-{name}", (Removed(IMAGE), Text(PACKED, content)), PACKED)
    yield _of("npz-bomb", (Removed(IMAGE), By(PACKED, lambda path: path.write_bytes(archive_bomb()))), PACKED,
              expected=ANSWERED)  # fmt: skip
    yield _of("pickle-runs-code", Text(PROPERTIES, b"cos\nsystem\n(S'touch {outside}/pickled'\ntR."), expected=EQUAL)
    yield _of("pickle-missing", Removed(PROPERTIES), expected=EQUAL)
    for name, key, value in (
        ("climbs", "data_identifier", "../../../outside/x"),
        ("far-voxels", "spacing", [1e9] * 3),
        ("tiny-voxels", "spacing", [1e-9] * 3),
    ):
        yield _of(f"plan-{name}", InJson(PLAN, ("configurations", "3d_fullres", key), value), PLAN, "3d_fullres")


def _of(name: str, spoil, *named: str, expected: Expected = Expected.REFUSED) -> Attack:
    spoils = spoil if isinstance(spoil, tuple) else (spoil,)
    return Attack(FAMILY, name, VERB, spoils, expected, named)
