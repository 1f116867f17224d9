"""Values that are no labels, and grids that are not the image's: all that read label files agree about them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import image_files as made
from ..attack import Attack, Expected
from ..image_files import InHeader, Voxels
from ..special_files import SPECIAL_FILES
from ..spoils import Become, Cut, Removed
from ..wrong_values import INFINITY, NAN

FAMILY = "label"
TRAINING = "{raw}/labelsTr/ball_0.nii.gz"
REFERENCE, PREDICTION = "{references}/ball_0.nii.gz", "{predictions}/ball_0.nii.gz"
MET = ((TRAINING, "check"), (TRAINING, "preprocess"), (TRAINING, "fingerprint"), (REFERENCE, "evaluate"),
       (PREDICTION, "evaluate"))  # fmt: skip


def _one(value: float, kind: type) -> Voxels:
    def put(array: np.ndarray) -> np.ndarray:
        changed = array.astype(kind)
        changed[3, 3, 3] = value
        return changed

    return Voxels("", put)


VALUES = {
    "minus-1": _one(-1, np.int16),
    "minus-1000": _one(-1000, np.int16),
    "7": _one(7, np.uint8),
    "255": _one(255, np.uint8),
    "60000": _one(60_000, np.uint16),
    "70000": _one(70_000, np.int32),
    "2^31": _one(2**31, np.uint32),
    "2^40": _one(2**40, np.int64),
    "2^63": _one(2**63, np.uint64),
    "nan": _one(NAN, np.float32),
    "infinite": _one(INFINITY, np.float32),
    "half": _one(0.5, np.float32),
    "almost-one": _one(1.0001, np.float32),
    "1e30": _one(1e30, np.float32),
    "complex": Voxels("", lambda array: array.astype(np.complex64)),
    "two-channels": Voxels("", lambda array: np.stack([array, array], -1), is_vector=True),
    "four-dimensions": Voxels("", lambda array: np.stack([array, array])),
}
GRIDS = {
    "smaller": Voxels("", lambda array: array[:8]),
    "one-slice": Voxels("", lambda array: array[:1]),
    "turned": Voxels("", lambda array: array[:, :8].transpose(1, 0, 2).copy()),
    "spacing": Voxels("", lambda array: array, {"Spacing": (2.0, 1.0, 1.0)}),
    "origin": Voxels("", lambda array: array, {"Origin": (50.0, 0.0, 0.0)}),
    "direction": Voxels("", lambda array: array, {"Direction": made.rotation(90)}),
}
HARMLESS = {
    "as-float": Voxels("", lambda array: array.astype(np.float32)),
    "as-double": Voxels("", lambda array: array.astype(np.float64)),
    "as-int64": Voxels("", lambda array: array.astype(np.int64)),
    "as-uint32": Voxels("", lambda array: array.astype(np.uint32)),
}


def attacks() -> Iterator[Attack]:
    for file, verb in MET:
        side = "of-prediction" if file == PREDICTION else "of-reference" if file == REFERENCE else "of-training"
        for name, spoil in {**VALUES, **{f"grid-{name}": spoil for name, spoil in GRIDS.items()}}.items():
            only_warned = verb != "evaluate" and name in ("grid-origin", "grid-direction")
            voxels = Voxels(file, spoil.change, spoil.geometry, spoil.is_vector)
            yield _of(file, verb, f"{side}-{name}", voxels, Expected.ANSWERED if only_warned else Expected.REFUSED)
        for name, spoil in HARMLESS.items():
            yield _of(file, verb, f"{side}-{name}", Voxels(file, spoil.change), Expected.HARMLESS)
        for name, make in SPECIAL_FILES.items():
            yield _of(file, verb, f"{side}-{name}", Become(file, make))
        yield _of(file, verb, f"{side}-cut", Cut(file, 0.5))
        yield _of(file, verb, f"{side}-missing", Removed(file))
        for name, fields in (("slope", {"scl_slope": 0.5}), ("intercept", {"scl_slope": 1.0, "scl_inter": 0.25})):
            yield _of(file, verb, f"{side}-{name}", InHeader(file, fields))


def _of(file: str, verb: str, name: str, spoil: object, expected: Expected = Expected.REFUSED) -> Attack:
    named = (file, file.replace("references", "predictions"), "ball_0")
    if file == PREDICTION and "missing" in name:
        named = (*named, "{predictions}")
    return Attack(FAMILY, name, verb, (spoil,), expected, named, hostile=False)
