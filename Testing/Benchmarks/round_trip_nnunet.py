"""nnU-Net's half of `round_trips.py`: runs in an environment with nnunetv2 2.8.1 and imports nothing of SegAutoPlan.

    python round_trip_nnunet.py preprocess TASK.json
    python round_trip_nnunet.py train TASK.json
    python round_trip_nnunet.py predict TASK.json

Nothing of nnU-Net is changed but, where the task says so, the number format of the sums in its sliding window.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import nnunetv2.inference.predict_from_raw_data as prediction
import numpy as np
import torch
from nnunetv2.inference.export_prediction import resample_and_save
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

CPU = torch.device("cpu")


def trainer_of(task: dict[str, Any]) -> nnUNetTrainer:
    folder = Path(str(nnUNet_preprocessed)) / task["dataset"]
    plans = json.loads((folder / f"{task['plans']}.json").read_text())
    dataset_json = json.loads((folder / "dataset.json").read_text())
    return nnUNetTrainer({**plans, "continue_training": False}, task["configuration"], "all", dataset_json, CPU)


def train(task: dict[str, Any]) -> None:
    """Train on every case, and leave what a cascade's next stage learns from."""
    torch.manual_seed(task["seed"]), np.random.seed(task["seed"])
    trainer = trainer_of(task)
    trainer.num_epochs, trainer.num_iterations_per_epoch = 2, task["steps"] // 2
    trainer.num_val_iterations_per_epoch = 1
    trainer.run_training()
    for name in trainer.configuration_manager.next_stage_names or ():
        hand_over(trainer, name)


def preprocess(task: dict[str, Any]) -> None:
    """Its preprocessor, case by case and without its pool of processes."""
    trainer = trainer_of(task)
    dataset_json = trainer.dataset_json
    target = Path(trainer.preprocessed_dataset_folder)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    cases = get_filenames_of_train_images_and_targets(str(Path(str(nnUNet_raw)) / task["dataset"]), dataset_json)
    for name, files in cases.items():
        DefaultPreprocessor(verbose=False).run_case_save(
            str(target / name),
            files["images"],
            files["label"],
            trainer.plans_manager,
            trainer.configuration_manager,
            dataset_json,
        )


def hand_over(trainer: nnUNetTrainer, following: str) -> None:
    """What its validation leaves for the next stage, without its pool of processes."""
    target = Path(trainer.output_folder_base) / "predicted_next_stage" / following
    target.mkdir(parents=True, exist_ok=True)
    predictor = predictor_of(trainer.output_folder_base)
    identifier = trainer.plans_manager.get_configuration(following).data_identifier
    next_folder = Path(trainer.preprocessed_dataset_folder_base) / identifier
    dataset_class = trainer.dataset_class
    for name in dataset_class.get_identifiers(trainer.preprocessed_dataset_folder):
        case = dataset_class(trainer.preprocessed_dataset_folder, [name]).load_case(name)
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(np.array(case[0][:]))).cpu()
        shape = dataset_class(str(next_folder), [name]).load_case(name)[0].shape[1:]
        resample_and_save(
            logits,
            shape,
            str(target / name),
            trainer.plans_manager,
            trainer.configuration_manager,
            case[3],
            trainer.dataset_json,
            1,
            dataset_class,
        )


def predictor_of(model: str) -> nnUNetPredictor:
    predictor = nnUNetPredictor(device=CPU, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(model, ("all",), "checkpoint_final.pth")
    return predictor


def predict(task: dict[str, Any]) -> None:
    """Its segmentations and probabilities, its sums kept in the number formats of the task."""
    for variant, (sums, weights) in task["variants"].items():
        use_formats(getattr(torch, sums), getattr(torch, weights))
        output = Path(task["output"]) / variant
        output.mkdir(parents=True, exist_ok=True)
        predictor_of(task["model"]).predict_from_files_sequential(
            list(task["cases"].values()),
            [str(output / name) for name in task["cases"]],
            save_probabilities=True,
            folder_with_segs_from_prev_stage=task["previous_stage"],
        )


original_gaussian = prediction.compute_gaussian


def use_formats(sums: torch.dtype, weights: torch.dtype) -> None:
    """The sums of its sliding window, which name `torch.half`, and the weights of its tiles.

    In half precision no weight is smaller than the smallest number; nor shall it be in another format.
    """

    def compute_gaussian(*given: Any, **named: Any) -> torch.Tensor:
        smallest = torch.finfo(torch.float16).smallest_normal * torch.finfo(torch.float16).eps
        return original_gaussian(*given, **{**named, "dtype": weights}).clamp(min=smallest)

    torch.half = sums
    original_gaussian.cache_clear()
    compute_gaussian.cache_clear = original_gaussian.cache_clear
    prediction.compute_gaussian = compute_gaussian


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"preprocess": preprocess, "train": train, "predict": predict}[sys.argv[1]](
        json.loads(Path(sys.argv[2]).read_text())
    )
