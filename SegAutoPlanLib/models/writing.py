"""What stands in a model folder beside its folds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..dataset_json import DATASET_FILE
from ..files import atomic_path, write_json
from .names import FINGERPRINT_FILE, PLANS_FILE


def write_model_files(
    folder: Path, plan: dict[str, Any], dataset_json: dict[str, Any], fingerprint: Path | None = None
) -> None:
    """Write plans.json and dataset.json, and copy the fingerprint if there is one.

    Args:
        folder: a model's, or one of segmentations, which whoever evaluates them takes for one.
        plan: the content of plans.json.
    """
    write_json(folder / PLANS_FILE, plan)
    write_json(folder / DATASET_FILE, dataset_json)
    if fingerprint is not None and fingerprint.is_file():
        with atomic_path(folder / FINGERPRINT_FILE) as temporary:
            shutil.copyfile(fingerprint, temporary)
