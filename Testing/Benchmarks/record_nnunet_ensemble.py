"""Record what nnunetv2's ensembling makes of folders that `predict` has left, for the tests to compare with.

Run it from the repository's folder in an environment that has nnunetv2 2.8.1:

    python -m Testing.Benchmarks.record_nnunet_ensemble
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.ensembling.ensemble import merge_files
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from SegAutoPlanLib.files import read_json
from Testing.Fixtures.probability_folders import CASES, KINDS, write_folders

TARGET = Path(__file__).resolve().parents[1] / "Fixtures" / "ensemble.npz"


def record(kind: str, root: Path) -> dict[str, np.ndarray]:
    """What `nnUNetv2_ensemble` does with each case, without its pool of processes."""
    folders = write_folders(root, kind)
    plans = PlansManager(str(folders[0] / "plans.json"))
    labels = plans.get_label_manager(read_json(folders[0] / "dataset.json"))
    found = {}
    for case in CASES:
        files = [str(folder / f"{case}.npz") for folder in folders]
        target = root / case
        merge_files(files, str(target), ".nii.gz", plans.image_reader_writer_class(), labels, True)
        image = sitk.ReadImage(f"{target}.nii.gz")
        found[f"{kind}/{case}/labels"] = sitk.GetArrayFromImage(image)
        found[f"{kind}/{case}/origin"] = np.array(image.GetOrigin())
        found[f"{kind}/{case}/direction"] = np.array(image.GetDirection())
        found[f"{kind}/{case}/probabilities"] = np.load(f"{target}.npz")["probabilities"]
    return found


if __name__ == "__main__":
    recorded: dict[str, np.ndarray] = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            recorded |= record(kind, Path(folder))
    np.savez_compressed(TARGET, **recorded)
    print(f"{TARGET}: {len(recorded)} arrays")
