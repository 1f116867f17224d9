"""NIfTI images: headers that lie, bombs, other types inside, files that end early; for training and for `predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import image_files as made
from ..attack import Attack, Expected, Spoil
from ..image_files import InHeader, Voxels
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, Cut, Flipped, InJson, Text
from ..wrong_values import INFINITY, NAN

FAMILY = "image"
RAW, INPUT = "{raw}/imagesTr/ball_0_0000.nii.gz", "{images}/ball_0_0000.nii.gz"
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
OTHER_BUT_SOUND = ("spacing-1e9", "size-smaller-than-file")
LENIENT_HEADERS = ("header-size-wrong", "header-size-negative", "header-size-of-the-other", "magic-wrong", "magic-pair",
                   "qform-too-long", "spacing-negative", "size-smaller-than-file", "offset-zero", "spacing-zero",
                   "slope-nan", "slope-infinite", "rank-one", "intercept-nan", "qoffset-nan")  # fmt: skip
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

OTHER_PLACES = ("1e308", "another-origin", "another-direction")
"""Whether image and labels lie at the same place is a warning only, as nnU-Net's."""


def attacks() -> Iterator[Attack]:
    for name, fields in WRONG_HEADERS.items():
        expected = EQUAL if name in LENIENT_HEADERS else Expected.REFUSED
        expected = ANSWERED if name in OTHER_BUT_SOUND else expected
        for file, verb in ((RAW, "check"), (RAW, "preprocess"), (RAW, "fingerprint"), (INPUT, "predict")):
            yield _of(file, verb, f"header-{name}", InHeader(file, fields), expected)
        nibabel = InJson("{raw}/dataset.json", ("overwrite_image_reader_writer",), "NibabelIO")
        yield _of(RAW, "fingerprint", f"nibabel-{name}", (nibabel, InHeader(RAW, fields)), expected)
    for file, verb in ((RAW, "check"), (RAW, "preprocess"), (INPUT, "predict")):
        for name, make in WRONG_FILES.items():
            expected = ANSWERED if name == "gzip-bomb" else Expected.REFUSED
            yield _of(file, verb, f"file-{name}", By(file, make), expected)
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
            yield _of(RAW, verb, f"voxels-{name}", spoil, ANSWERED if name in OTHER_PLACES else Expected.REFUSED)


def _of(file: str, verb: str, name: str, spoil: Any, expected: Expected = Expected.REFUSED) -> Attack:
    spoils: tuple[Spoil, ...] = spoil if isinstance(spoil, tuple) else (spoil,)
    # Two files of a case that differ may be said of either.
    named = (file, "{raw}/labelsTr/ball_0.nii.gz", "ball_0")
    return Attack(FAMILY, name, verb, spoils, expected, named, hostile=False)
