"""What a checkpoint may say: a rule for every entry that segmenting reads. No tensor has been read when they are asked.

| entry | |
|---|---|
| network_weights | obeyed: finite tensors of the network's names and shapes; floating, but for counts of batches |
| init_args | `configuration` is obeyed: one of the plan's; `dataset_json` where a training starts from a file alone |
| init_args, the rest | kept and never read |
| trainer_name | obeyed: a name; a trainer whose network is not the plan's is refused |
| inference_allowed_mirroring_axes | obeyed: null, or axes of the patch |
| optimizer_state, grad_scaler_state, logging, _best_ema, current_epoch, segautoplan | see `training.resume_gate` |
| anything else | never read |
"""

from __future__ import annotations

from typing import Any

from ..schema import Mismatch, anything, array_of, either, every, mapping_of, nothing, record, shown, text, whole
from .checkpoint_values import StoredTensor

FLOATS = ("float16", "bfloat16", "float32", "float64")
MOST_TENSORS = 100_000
LONGEST_NAME = 500
BATCH_COUNT = ".num_batches_tracked"


def float_tensor(value: Any) -> None:
    """A rule: a tensor of real numbers."""
    if not isinstance(value, StoredTensor):
        raise Mismatch(f"must be a tensor, not {shown(value)}")
    if value.storage.type not in FLOATS:
        raise Mismatch(f"must be a tensor of {' or '.join(FLOATS)}, not of {value.storage.type}")


def weights(value: Any) -> None:
    """A rule: named tensors of real numbers; but a batch normalisation counts its batches in a whole one."""
    mapping_of(anything, NAME, longest=MOST_TENSORS)(value)
    for name, tensor in value.items():
        try:
            (count_tensor if name.endswith(BATCH_COUNT) else float_tensor)(tensor)
        except Mismatch as mismatch:
            raise mismatch.below(f'"{name}"') from None


def count_tensor(value: Any) -> None:
    """A rule: a tensor that holds one whole number."""
    if not isinstance(value, StoredTensor) or value.storage.type != "int64" or tuple(value.shape) != ():
        raise Mismatch(f"must be one number of int64, not {shown(value)}")


def distinct(values: Any) -> None:
    """A rule: no value stands there twice."""
    if len(set(values)) != len(values):
        raise Mismatch(f"must not repeat an entry, but is {shown(values)}")


NAME = text(r"[^\x00-\x1f\x7f]*", "a name", longest=LONGEST_NAME)
WEIGHTS = record({"network_weights": weights})
"""What every checkpoint must hold."""
MODEL = every(
    WEIGHTS,
    record(
        {"init_args": record({"configuration": NAME})},
        {
            "trainer_name": NAME,
            "inference_allowed_mirroring_axes": either(nothing, every(array_of(whole(0, 2), longest=3), distinct)),
        },
    ),
)
"""What one must hold to segment with."""
