"""Fingerprints, preprocessed cases and folds of the real nnunetv2; called by record_nnunet.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 400
"""Voxels of a large preprocessed image that are kept, at seeded positions."""
REAL_CASES = 3
"""Preprocessed cases of each real dataset."""


def fingerprint_of(dataset: str, preprocessed: Path) -> dict[str, Any]:
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

    (preprocessed / dataset).mkdir(parents=True, exist_ok=True)
    DatasetFingerprintExtractor(dataset, num_processes=2).run(overwrite_existing=True)
    return json.loads((preprocessed / dataset / "dataset_fingerprint.json").read_text())


def preprocess_cases(dataset: str, plans_file: Path, raw: Path, configuration: str, limit: int | None):
    """Yield (identifier, image (c, z, y, x) float32, segmentation (1, z, y, x), properties)."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    manager = PlansManager(str(plans_file))
    settings = manager.get_configuration(configuration)
    description = json.loads((raw / dataset / "dataset.json").read_text())
    files = get_filenames_of_train_images_and_targets(str(raw / dataset), description)
    preprocessor = settings.preprocessor_class(verbose=False)
    for identifier in list(files)[:limit]:
        case = files[identifier]
        image, segmentation, properties = preprocessor.run_case(
            case["images"], case["label"], manager, settings, description
        )
        yield identifier, image.astype(np.float32), segmentation.astype(np.int16), properties


def whole_case(image: np.ndarray, segmentation: np.ndarray, properties: dict) -> dict[str, Any]:
    """A small case in full; arrays go to the npz file."""
    return {**_geometry(properties), "class_counts": _class_counts(properties), "shape": list(image.shape)}


def sampled_case(image: np.ndarray, segmentation: np.ndarray, properties: dict) -> dict[str, Any]:
    """A large case by seeded samples of the image and the digest of the segmentation's int16 bytes (z, y, x)."""
    positions = np.random.RandomState(7).randint(0, image.size, SAMPLES)
    return {
        **_geometry(properties),
        "shape": list(image.shape),
        "samples": [round(float(value), 6) for value in image.reshape(-1)[positions]],
        "segmentation_sha256": hashlib.sha256(np.ascontiguousarray(segmentation[0]).tobytes()).hexdigest(),
        "label_counts": {str(v): int(n) for v, n in zip(*np.unique(segmentation, return_counts=True), strict=True)},
    }


def _geometry(properties: dict) -> dict[str, Any]:
    keys = (
        "spacing",
        "shape_before_cropping",
        "bbox_used_for_cropping",
        "shape_after_cropping_and_before_resampling",
    )
    return {key: json.loads(json.dumps(properties[key], default=_plain)) for key in keys}


def _class_counts(properties: dict) -> dict[str, int]:
    """How many voxels are remembered of each class, for foreground oversampling."""
    return {str(key): len(places) for key, places in properties["class_locations"].items()}


def _plain(value: Any) -> Any:
    return value.tolist()


def folds_of(count: int) -> list[list[int]]:
    """The validation cases of each fold, as numbers, for cases case_000 …"""
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    names = [f"case_{index:03d}" for index in range(count)]
    splits = generate_crossval_split(names, seed=12345, n_splits=5)
    return [[names.index(name) for name in split["val"]] for split in splits]


def random_fold(count: int, fold: int, folder: Path) -> tuple[list[int], list[int]]:
    """Training and validation cases that the trainer draws for a fold beyond the file."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    names = [f"case_{index:03d}" for index in range(count)]
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[1:], "val": names[:1]}]))

    class Cases:
        identifiers = names

        def __init__(self, *_, **__) -> None:
            pass

    trainer = object.__new__(nnUNetTrainer)
    trainer.dataset_class, trainer.folder_with_segs_from_previous_stage = Cases, None
    trainer.preprocessed_dataset_folder = trainer.preprocessed_dataset_folder_base = str(folder)
    trainer.fold = fold
    trainer.print_to_log_file = lambda *_, **__: None
    train, val = trainer.do_split()
    return [names.index(name) for name in train], [names.index(name) for name in val]


def link_dataset(source: Path, raw: Path) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    (raw / source.name).symlink_to(source.resolve(), target_is_directory=True)
