"""What a preprocessed case was made from, as one short text: equal stamps, equal result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..dataset import Case, Dataset
from ..planning.configuration_json import resampling_to_json
from ..planning.normalization import depends_on_dataset
from ..planning.plan import Configuration, Plan
from .foreground import sampled_classes

FORMAT = 1
"""Raised whenever the code comes to store something else for the same input."""


def stamp_of(case: Case, dataset: Dataset, plan: Plan, configuration: Configuration) -> str:
    """A digest of the source files (names, sizes, times) and of those parts of the plan that shape the arrays."""
    content = {
        "format": FORMAT,
        "files": [_identity(file) for file in (*case.image_files, case.label_file) if file is not None],
        "image_io": dataset.image_io,
        "classes": sampled_classes(dataset.label_scheme),
        **what_shapes_cases(plan, configuration),
    }
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(file: Path) -> list[Any]:
    if not file.is_file():
        return [file.name]
    status = file.stat()
    return [file.name, status.st_size, status.st_mtime_ns]


def what_shapes_cases(plan: Plan, configuration: Configuration) -> dict[str, Any]:
    """What of a plan decides how a preprocessed case looks: where it is equal, so are the cases."""
    resampling = resampling_to_json(configuration.resampling)
    return {
        "transpose": plan.transpose_forward,
        "spacing": configuration.spacing,
        "normalization": configuration.normalization_schemes,
        "mask": configuration.use_mask_for_norm,
        "resampling": {key: value for key, value in resampling.items() if "probabilities" not in key},
        "intensities": [
            vars(plan.foreground_intensities[channel])
            for channel, scheme in enumerate(configuration.normalization_schemes)
            if depends_on_dataset(scheme)
        ],
    }
