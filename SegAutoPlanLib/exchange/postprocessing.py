"""What nnU-Net found to improve its segmentations: read from JSON, and written as the pickle that its tools want.

nnU-Net keeps postprocessing.json for people and postprocessing.pkl for itself, a pickle that names one of its
functions. The pickle is never read here. One that says the same is put together from the JSON, so that a model that was
shared can be postprocessed there; it names that one function and holds plain values.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..labels import MAX_LABEL
from ..schema import array_of, either, one_of, record, require, whole

POSTPROCESSING_FILE = "postprocessing.json"
POSTPROCESSING_PICKLE = "postprocessing.pkl"
MODULE = "nnunetv2.postprocessing.remove_connected_components"
FUNCTION = "remove_all_but_largest_component_from_segmentation"
LABEL = whole(0, MAX_LABEL)
REGION = array_of(LABEL, shortest=1, longest=MAX_LABEL)
LABELS = either(LABEL, array_of(either(LABEL, REGION), shortest=1, longest=MAX_LABEL))
RULE = record(
    {
        "postprocessing_fns": array_of(one_of(FUNCTION), longest=1000),
        "postprocessing_kwargs": array_of(record({"labels_or_regions": LABELS}, others=()), longest=1000),
    }
)


@dataclass(frozen=True)
class KeepLargest:
    """Of these labels together only the largest connected component stays."""

    labels: Any
    """A label, or a list of labels and of regions (lists of labels): all of them together."""


def steps_of(document: Any, source: Path) -> tuple[KeepLargest, ...]:
    """The steps that the content of a postprocessing.json asks for, in order.

    Raises:
        FileError: it asks for something else; `source` is the file.
    """
    require(RULE, document, source, "remove the file, or find the postprocessing again")
    functions, options = document["postprocessing_fns"], document["postprocessing_kwargs"]
    require(array_of(one_of(FUNCTION), length=len(options)), functions, source, "find the postprocessing again")
    return tuple(KeepLargest(option["labels_or_regions"]) for option in options)


def pickle_of(steps: tuple[KeepLargest, ...]) -> bytes:
    """What nnU-Net's postprocessing.pkl holds for these steps: a list of functions and one of their options.

    The function is written by its name, which needs no nnU-Net.
    """
    # Each part is a pickle of its own without beginning and end; none refers to what another has remembered.
    options = [{"labels_or_regions": _hashable(step.labels)} for step in steps]
    function = b"c" + f"{MODULE}\n{FUNCTION}\n".encode("ascii")
    functions = b"](" + function * len(steps) + b"e" if steps else b"]"
    return pickle.PROTO + b"\x02" + functions + pickle.dumps(options, 2)[2:-1] + pickle.TUPLE2 + pickle.STOP


def _hashable(labels: Any) -> Any:
    return [tuple(part) if isinstance(part, list) else part for part in labels] if isinstance(labels, list) else labels
