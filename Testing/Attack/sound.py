"""A sound place, made by our own code: what every attack begins with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.workspace import Workspace
from Testing.Engine.balls import ball_case, plan_small
from Testing.Engine.raw_datasets import sitk_image, write_description, write_image

from .model_zips import zipped
from .place import DATASET, MODEL, Place

SHAPE = (16, 16, 16)
CASES = 3
FEATURES = (4, 8)
UNIT = (1.0, 1.0, 1.0)
CONFIGURATION = "3d_fullres"
SHORT_TRAINING = ("--recipe", "short", "--epochs", "1", "--iterations", "1", "--device", "cpu")


def build_sound_place(root: Path) -> Place:
    """Everything that some verb needs: raw, planned, preprocessed, trained, segmented, imported from."""
    place = Place(root)
    for folder in (place.home, place.temporary, place.lair):
        folder.mkdir(parents=True)
    _write_outside(place)
    _write_raw(place.raw)
    plan_small(Workspace.at(place.workspace), features=FEATURES)
    where = ("--workspace", str(place.workspace))
    _must("preprocess", DATASET, "--configurations", CONFIGURATION, "--workers", "1", *where)
    _must("train", DATASET, CONFIGURATION, "0", *SHORT_TRAINING, *where)
    _must(
        "convert-preprocessed", DATASET, "--to-nnunet", place.lair / "nnunet", "--configurations", CONFIGURATION, *where
    )
    trained = place.results / MODEL
    # Where a stopped training would go on: what `--resume` reads.
    shutil.copy2(trained / "fold_0" / "checkpoint_best.pth", trained / "fold_0" / "checkpoint_latest.pth")
    shutil.copytree(trained, place.model)
    zipped(place.model, place.archive)
    place.images.mkdir()
    shutil.copy2(place.raw / "imagesTr" / "ball_0_0000.nii.gz", place.images)
    _must("predict", "--model", place.model, "--input", place.images, "--output", place.predictions, *where)
    _segment_with_probabilities(place)
    place.references.mkdir()
    shutil.copy2(place.raw / "labelsTr" / "ball_0.nii.gz", place.references)
    _write_sources(place)
    _write_run(place)
    return place


def _segment_with_probabilities(place: Place) -> None:
    """The same case twice, once by the mean of mirrored copies."""
    first, second = place.probabilities / "a", place.probabilities / "b"
    where = ("--workspace", str(place.workspace))
    images = ("--model", place.model, "--input", place.images)
    _must("predict", *images, "--output", first, "--save-probabilities", *where)
    _must("predict", *images, "--output", second, "--save-probabilities", "--mirroring", *where)


def _must(*arguments: object) -> None:
    if main([str(argument) for argument in arguments]) != 0:
        raise RuntimeError(f"the sound place could not be made: {arguments[0]} failed")


def _write_raw(folder: Path) -> None:
    labels = {"background": 0, "ball": 1, "core": 2}
    write_description(folder, channel_names={"0": "MR"}, numTraining=CASES, labels=labels)
    for number in range(CASES):
        image, segmentation = ball_case(number, SHAPE)
        write_image(image, folder / "imagesTr" / f"ball_{number}_0000.nii.gz", spacing=UNIT)
        write_image(segmentation, folder / "labelsTr" / f"ball_{number}.nii.gz", spacing=UNIT)


def _write_outside(place: Place) -> None:
    """Files of every name that this program writes or removes, so that an accident there is seen."""
    names = ("plans.json", "dataset.json", "nnUNetPlans.json", "segment.json", "run.json", "precious.txt", "x.json")
    for folder in (place.outside, place.outside / DATASET, place.outside / "x", place.outside / "empty"):
        folder.mkdir(parents=True)
        for name in names if folder.name != "empty" else ():
            (folder / name).write_text('{"precious": true}', encoding="utf-8")
    write_image(np.zeros(SHAPE, np.uint8), place.outside / "ball_0.nii.gz", spacing=UNIT)
    write_image(np.zeros(SHAPE, np.uint8), place.outside / "x" / "ball_0.case.safetensors.nii.gz", spacing=UNIT)
    (place.outside / "x" / "stale.case.safetensors").write_bytes(b"precious")
    (place.outside / "voxels.raw").write_bytes(bytes(2 * 16**3))


def _write_sources(place: Place) -> None:
    decathlon, version_1, pairs = (place.sources / name for name in ("Task01_Balls", "Task001_Balls", "pairs"))
    description = {
        "name": "Balls",
        "tensorImageSize": "3D",
        "modality": {"0": "MR"},
        "labels": {"0": "background", "1": "ball", "2": "core"},
        "numTraining": CASES,
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/ball_{number}.nii.gz", "label": f"./labelsTr/ball_{number}.nii.gz"}
            for number in range(CASES)
        ],
        "test": [],
    }
    for folder, ending in ((decathlon, ""), (version_1, "_0000")):
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir(parents=True)
        (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
        for number in range(CASES):
            image = place.raw / "imagesTr" / f"ball_{number}_0000.nii.gz"
            shutil.copy2(image, folder / "imagesTr" / f"ball_{number}{ending}.nii.gz")
            shutil.copy2(place.raw / "labelsTr" / f"ball_{number}.nii.gz", folder / "labelsTr")
    for number in range(2):
        image, segmentation = ball_case(number, SHAPE)
        write_image(image, pairs / f"ball_{number}.nrrd", spacing=UNIT)
        segments = sitk_image(segmentation, spacing=UNIT)
        for value, name in enumerate(("ball", "core"), start=1):
            prefix = f"Segment{value - 1}"
            for key, text in {"Name": name, "LabelValue": str(value), "Layer": "0"}.items():
                segments.SetMetaData(f"{prefix}_{key}", text)
        sitk.WriteImage(segments, str(pairs / f"ball_{number}.seg.nrrd"), True)


def _write_run(place: Place) -> None:
    place.run.mkdir(parents=True)
    description = {
        "name": "train",
        "arguments": ["train", DATASET, CONFIGURATION, "0"],
        "asked_at": 1767225600.0,
        "asked_in": str(place.home),
        "pid": 4194000,
        "host": "elsewhere",
        "process_started": "1",
        "run_folder": str(place.run),
        "exit": 0,
    }
    (place.run / "run.json").write_text(json.dumps(description), encoding="utf-8")
    launcher = {key: description[key] for key in ("pid", "host", "process_started", "run_folder")}
    (place.run / "launcher.json").write_text(json.dumps(launcher), encoding="utf-8")
    events = (
        {"time": "2026-01-01T00:00:01+00:00", "event": "started"},
        {"time": "2026-01-01T00:00:02+00:00", "event": "progress", "stage": "epoch", "done": 1, "total": 2,
         "unit": "epoch", "eta_s": 1.0},
        {"time": "2026-01-01T00:00:03+00:00", "event": "epoch", "epoch": 1, "epochs": 2, "train_loss": 0.5,
         "val_loss": 0.5, "dice": {"ball": 0.5}, "ema_dice": 0.5, "learning_rate": 0.01, "seconds": 1.0},
        {"time": "2026-01-01T00:00:04+00:00", "event": "finished", "result": {}},
    )  # fmt: skip
    text = "".join(json.dumps(event) + "\n" for event in events)
    (place.run / "progress.jsonl").write_text(text, encoding="utf-8")
    (place.run / "log.txt").write_text("epoch 1/2\n", encoding="utf-8")
