"""Image files: headers that lie, bombs, other types, files that end early; in a raw dataset and as input of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import image_files as made
from ..attack import Attack, Expected, Spoil
from ..image_files import InHeader, Renamed, Voxels
from ..spoils import SPECIAL_FILES, Become, By, Cut, Flipped, InJson, Text
from ..wrong_values import INFINITY, NAN

FAMILY = "image"
RAW, INPUT = "{raw}/imagesTr/ball_0_0000.nii.gz", "{images}/ball_0_0000.nii.gz"
OUT = "../../../../../../../outside"
"""From imagesTr."""
EQUAL, ANSWERED = Expected.REFUSED_OR_EQUAL, Expected.ANSWERED

WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "spacing-zero": {"pixdim": (1, 0, 1, 1, 0, 0, 0, 0)},
    "spacing-nan": {"pixdim": (1, NAN, 1, 1, 0, 0, 0, 0), "sform_code": 0},
    "spacing-negative": {"pixdim": (1, -1, 1, 1, 0, 0, 0, 0), "sform_code": 0},
    "spacing-infinite": {"pixdim": (1, INFINITY, 1, 1, 0, 0, 0, 0), "sform_code": 0},
    "spacing-1e9": {"pixdim": (1, 1e9, 1e9, 1e9, 0, 0, 0, 0), "sform_code": 0},
    "spacing-1e-9": {"pixdim": (1, 1e-9, 1e-9, 1e-9, 0, 0, 0, 0), "sform_code": 0},
    "all-spacings-zero": {"pixdim": (0,) * 8, "sform_code": 0, "qform_code": 0},
    "sform-nan": {"srow_x": (NAN, 0, 0, 0), "sform_code": 1, "qform_code": 0},
    "sform-infinite": {"srow_x": (1, 0, 0, INFINITY), "sform_code": 1, "qform_code": 0},
    "sform-singular": {"srow_x": (1, 0, 0, 0), "srow_y": (1, 0, 0, 0), "sform_code": 1, "qform_code": 0},
    "sform-zero": {"srow_x": (0,) * 4, "srow_y": (0,) * 4, "srow_z": (0,) * 4, "sform_code": 1, "qform_code": 0},
    "qform-nan": {"quatern": (NAN, 0, 0), "sform_code": 0, "qform_code": 1},
    "qform-too-long": {"quatern": (3, 3, 3), "sform_code": 0, "qform_code": 1},
    "qoffset-nan": {"qoffset": (NAN, 0, 0), "sform_code": 0, "qform_code": 1},
    "offset-nan": {"vox_offset": NAN},
    "offset-negative": {"vox_offset": -1.0},
    "offset-beyond": {"vox_offset": 1e9},
    "offset-infinite": {"vox_offset": INFINITY},
    "offset-zero": {"vox_offset": 0.0},
    "bits-disagree": {"bitpix": 8},
    "bits-zero": {"bitpix": 0},
    "bits-negative": {"bitpix": -16},
    "type-unknown": {"datatype": 999},
    "type-zero": {"datatype": 0},
    "type-binary": {"datatype": 1, "bitpix": 1},
    "type-complex": {"datatype": 32, "bitpix": 64},
    "type-rgb": {"datatype": 128, "bitpix": 24},
    "type-long-double": {"datatype": 1536, "bitpix": 128},
    "size-zero": {"dim": (3, 0, 16, 16, 1, 1, 1, 1)},
    "size-negative": {"dim": (3, -16, 16, 16, 1, 1, 1, 1)},
    "size-larger-than-file": {"dim": (3, 64, 64, 64, 1, 1, 1, 1)},
    "size-largest": {"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)},
    "size-smaller-than-file": {"dim": (3, 8, 16, 16, 1, 1, 1, 1)},
    "rank-zero": {"dim": (0, 16, 16, 16, 1, 1, 1, 1)},
    "rank-one": {"dim": (1, 4096, 1, 1, 1, 1, 1, 1)},
    "rank-negative": {"dim": (-3, 16, 16, 16, 1, 1, 1, 1)},
    "rank-seven": {"dim": (7, 2, 2, 2, 2, 4, 8, 8)},
    "rank-99": {"dim": (99, 16, 16, 16, 1, 1, 1, 1)},
    "rank-five": {"dim": (5, 16, 16, 4, 2, 2, 1, 1)},
    "slope-nan": {"scl_slope": NAN},
    "slope-infinite": {"scl_slope": INFINITY},
    "slope-1e38": {"scl_slope": 3e38},
    "intercept-nan": {"scl_slope": 1.0, "scl_inter": NAN},
    "magic-wrong": {"magic": b"abc\0"},
    "magic-pair": {"magic": b"ni1\0"},
    "header-size-wrong": {"sizeof_hdr": 7},
    "header-size-negative": {"sizeof_hdr": -348},
    "header-size-of-the-other": {"sizeof_hdr": 540},
}
LENIENT_HEADERS = ("spacing-negative", "size-smaller-than-file", "offset-zero", "spacing-zero", "slope-nan",
                   "slope-infinite", "rank-one", "intercept-nan", "qoffset-nan")  # fmt: skip
"""Other readers take them for what was meant: refused, or no other result."""

WRONG_FILES: dict[str, Callable[[Path], None]] = {
    "gzip-bomb": made.gzip_bomb,
    "gzip-wrong-checksum": made.gzip_wrong_checksum,
    "png-inside": made.is_png,
    "html-inside": made.is_html,
    "nifti2-huge": made.nifti2((3, 1 << 40, 1 << 40, 1 << 40, 1, 1, 1, 1)),
    "nifti2-overflow": made.nifti2((3, 1 << 62, 4, 1, 1, 1, 1, 1)),
    "nifti2-negative": made.nifti2((3, -16, 16, 16, 1, 1, 1, 1)),
    "nifti2-offset": made.nifti2((3, 16, 16, 16, 1, 1, 1, 1), offset=-8),
    "nifti2-offset-far": made.nifti2((3, 16, 16, 16, 1, 1, 1, 1), offset=1 << 60),
    "nifti2-bits": made.nifti2((3, 16, 16, 16, 1, 1, 1, 1), bits=64),
}
ODD_FILES: dict[str, Callable[[Path], None]] = {
    "gzip-members": made.gzip_members,
    "gzip-trailing": made.gzip_trailing,
    "not-compressed": made.not_compressed,
    "nrrd-inside": made.is_nrrd,
}

WRONG_VOXELS: dict[str, Voxels] = {
    "nan": Voxels(RAW, lambda array: np.full(array.shape, NAN, np.float32)),
    "one-nan": Voxels(RAW, lambda array: np.where(np.arange(array.size).reshape(array.shape) == 5, NAN, array)),
    "infinite": Voxels(RAW, lambda array: np.where(array > 200, INFINITY, array)),
    "1e308": Voxels(RAW, lambda array: np.where(array > 200, 1e308, array.astype(np.float64))),
    "complex": Voxels(RAW, lambda array: array.astype(np.complex64)),
    "two-channels": Voxels(RAW, lambda array: np.stack([array, array], -1), is_vector=True),
    "four-dimensions": Voxels(RAW, lambda array: np.stack([array, array])),
    "another-grid": Voxels(RAW, lambda array: array[:8]),
    "another-spacing": Voxels(RAW, lambda array: array, {"Spacing": (2.0, 1.0, 1.0)}),
    "another-origin": Voxels(RAW, lambda array: array, {"Origin": (99.0, 0.0, 0.0)}),
    "another-direction": Voxels(RAW, lambda array: array, {"Direction": made.rotation(90)}),
}

OTHER_TYPES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "nrrd-detached-outside": (".nrrd", made.nrrd((*made.nrrd_cube(), f"data file: {OUT}/voxels.raw"))),
    "nrrd-detached-system": (".nrrd", made.nrrd((*made.nrrd_cube(), "data file: /etc/passwd"))),
    "nrrd-detached-endless": (".nrrd", made.nrrd((*made.nrrd_cube(), "data file: /dev/zero"))),
    "nrrd-detached-list": (".nrrd", made.nrrd((*made.nrrd_cube(), "data file: LIST", "/etc/passwd"))),
    "nrrd-detached-pattern": (".nrrd", made.nrrd((*made.nrrd_cube(), "data file: /etc/x%99999999d 1 16 1"))),
    "nrrd-skip-all": (".nrrd", made.nrrd((*made.nrrd_cube(), "byte skip: -1"), bytes(100))),
    "nrrd-skip-far": (".nrrd", made.nrrd((*made.nrrd_cube(), "line skip: 999999999"), bytes(8192))),
    "nrrd-complex": (".nrrd", made.nrrd(made.nrrd_cube(dimension="4", sizes="2 16 16 16", kinds="complex domain domain domain",
                                                         space_directions="none (1,0,0) (0,1,0) (0,0,1)"), bytes(16384))),
    "nrrd-vector": (".nrrd", made.nrrd(made.nrrd_cube(dimension="4", sizes="3 16 16 16", kinds="vector domain domain domain",
                                                       space_directions="none (1,0,0) (0,1,0) (0,0,1)"), bytes(24576))),
    "nrrd-huge": (".nrrd", made.nrrd(made.nrrd_cube(sizes="100000 100000 100000"), bytes(8192))),
    "nrrd-overflow": (".nrrd", made.nrrd(made.nrrd_cube(sizes="4294967296 4294967296 4294967296"), bytes(8192))),
    "nrrd-zero": (".nrrd", made.nrrd(made.nrrd_cube(sizes="0 16 16"), bytes(8192))),
    "nrrd-negative": (".nrrd", made.nrrd(made.nrrd_cube(sizes="-16 16 16"), bytes(8192))),
    "nrrd-cut": (".nrrd", made.nrrd(made.nrrd_cube(), bytes(4000))),
    "nrrd-nan-direction": (".nrrd", made.nrrd(made.nrrd_cube(space_directions="(nan,0,0) (0,1,0) (0,0,1)"), bytes(8192))),
    "nrrd-zero-direction": (".nrrd", made.nrrd(made.nrrd_cube(space_directions="(0,0,0) (0,1,0) (0,0,1)"), bytes(8192))),
    "nrrd-singular": (".nrrd", made.nrrd(made.nrrd_cube(space_directions="(1,0,0) (1,0,0) (0,0,1)"), bytes(8192))),
    "nrrd-spacing-1e9": (".nrrd", made.nrrd(made.nrrd_cube(space_directions="(1e9,0,0) (0,1e9,0) (0,0,1e9)"), bytes(8192))),
    "nrrd-encoding": (".nrrd", made.nrrd(made.nrrd_cube(encoding="magic"), bytes(8192))),
    "nrrd-gzip-of-nothing": (".nrrd", made.nrrd(made.nrrd_cube(encoding="gzip"), b"")),
    "nrrd-text": (".nrrd", made.nrrd(made.nrrd_cube(encoding="ascii"), b"x y z")),
    "mha-of-system": (".mha", made.mha(ElementDataFile="/etc/passwd")),
    "mha-endless": (".mha", made.mha(ElementDataFile="/dev/zero")),
    "mha-outside": (".mha", made.mha(ElementDataFile=f"{OUT}/voxels.raw")),
    "mha-list": (".mha", made.mha(b"/etc/passwd\n/etc/passwd\n", ElementDataFile="LIST")),
    "mha-pattern": (".mha", made.mha(b"", ElementDataFile="/etc/%99999999d 1 16 1")),
    "mha-huge": (".mha", made.mha(DimSize="100000 100000 100000")),
    "mha-negative": (".mha", made.mha(DimSize="-16 16 16")),
    "mha-zero": (".mha", made.mha(DimSize="0 16 16")),
    "mha-rank-99": (".mha", made.mha(NDims="99")),
    "mha-cut": (".mha", made.mha(bytes(4000))),
    "mha-header-size": (".mha", made.mha(HeaderSize="-1", data=bytes(100))),
    "mha-channels": (".mha", made.mha(ElementNumberOfChannels="1000000000")),
    "mha-spacing-nan": (".mha", made.mha(ElementSpacing="nan 1 1")),
    "mha-spacing-negative": (".mha", made.mha(ElementSpacing="-1 1 1")),
    "mha-singular": (".mha", made.mha(TransformMatrix="1 0 0 1 0 0 0 0 1")),
    "tiff-cut": (".tif", made.tiff(16, chain="cut")),
    "tiff-circle": (".tif", made.tiff(16, chain="circle")),
    "tiff-nowhere": (".tif", made.tiff(16, chain="nowhere")),
    "tiff-early": (".tif", made.tiff(16, chain="early")),
    "tiff-wide": (".tif", made.tiff(16, width=1 << 30)),
    "png-cut": (".png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))),
    "bmp-huge": (".bmp", lambda path: path.write_bytes(b"BM" + bytes(16) + b"\xff\xff\xff\x7f\xff\xff\xff\x7f" + bytes(40))),
    "gipl-empty": (".gipl", lambda path: path.write_bytes(bytes(300))),
}  # fmt: skip


def attacks() -> Iterator[Attack]:
    for name, fields in WRONG_HEADERS.items():
        expected = EQUAL if name in LENIENT_HEADERS else Expected.REFUSED
        for file, verb in ((RAW, "check"), (RAW, "preprocess"), (RAW, "fingerprint"), (INPUT, "predict")):
            yield _of(file, verb, f"header-{name}", InHeader(file, fields), ANSWERED if "1e9" in name else expected)
        nibabel = InJson("{raw}/dataset.json", ("overwrite_image_reader_writer",), "NibabelIO")
        yield _of(RAW, "fingerprint", f"nibabel-{name}", (nibabel, InHeader(RAW, fields)), expected)
    for file, verb in ((RAW, "check"), (RAW, "preprocess"), (INPUT, "predict")):
        for name, make in WRONG_FILES.items():
            yield _of(file, verb, f"file-{name}", By(file, make))
        for name, make in ODD_FILES.items():
            yield _of(file, verb, f"file-{name}", By(file, make), EQUAL)
        for name, make in SPECIAL_FILES.items():
            yield _of(file, verb, f"special-{name}", Become(file, make))
        for name, content in (("empty", b""), ("text", b"voxels"), ("gzip-magic", b"\x1f\x8b")):
            yield _of(file, verb, f"file-{name}", Text(file, content))
        for tenth in range(1, 10):
            yield _of(file, verb, f"cut-{tenth}/10", Cut(file, tenth / 10))
            yield _of(file, verb, f"flipped-{tenth}/10", Flipped(file, tenth / 10))
    for tenth in range(10):
        yield _of(INPUT, "predict", f"voxels-missing-{tenth}", InHeader(INPUT, {}, tenth / 10))
    for name, spoil in WRONG_VOXELS.items():
        for verb in ("check", "preprocess"):
            yield _of(RAW, verb, f"voxels-{name}", spoil, ANSWERED if name == "1e308" else Expected.REFUSED)
    for name, (ending, write) in OTHER_TYPES.items():
        file = f"{{raw}}/imagesTr/ball_0_0000{ending}"
        for verb in ("check", "fingerprint"):
            yield _of(
                file, verb, name, (Renamed(ending) if ending in (".nrrd", ".mha") else _Ending(ending), By(file, write))
            )


def _of(file: str, verb: str, name: str, spoil: Any, expected: Expected = Expected.REFUSED) -> Attack:
    spoils: tuple[Spoil, ...] = spoil if isinstance(spoil, tuple) else (spoil,)
    # Two files of a case that differ may be said of either.
    named = (file, "{raw}/labelsTr/ball_0.nii.gz", "ball_0")
    return Attack(FAMILY, name, verb, spoils, expected, named, hostile=False)


class _Ending:
    """The dataset's files have another ending, and what they hold is another matter."""

    def __init__(self, ending: str) -> None:
        self.ending = ending

    def __call__(self, place: Any) -> None:
        description = place.raw / "dataset.json"
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace('".nii.gz"', f'"{self.ending}"'), encoding="utf-8")
        for path in [*place.raw.glob("*Tr/*.nii.gz")]:
            made.tiff(16)(path.with_name(path.name.removesuffix(".nii.gz") + self.ending))
            path.unlink()
