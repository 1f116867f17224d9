"""Record what the real nnunetv2 does, for the tests to compare with.

Run it in an environment that has nnunetv2 2.8.1 (nothing of SegAutoPlan is imported):

    python Testing/Benchmarks/record_nnunet.py plans splits synthetic
    python Testing/Benchmarks/record_nnunet.py real --data FOLDER_WITH_THE_FIVE_DATASETS

What the files hold is told in Testing/Fixtures/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import lzma
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"
sys.path.insert(0, str(FIXTURES))
PLANNERS = ("ExperimentPlanner", "nnUNetPlannerResEncM", "nnUNetPlannerResEncL", "nnUNetPlannerResEncXL")
SECONDS_ALLOWED = 60
DESCRIPTION_KEYS = ("channel_names", "labels", "numTraining", "file_ending")


def record_plans(raw: Path, preprocessed: Path) -> None:
    """plans.xz: for each problem and planner the plans.json, or the error in its place."""
    from planning_problems import PROBLEM_COUNT, planning_problem

    build_networks_without_weights()
    recorded = []
    started = time.time()
    for index in range(PROBLEM_COUNT):
        problem = planning_problem(index)
        recorded.append({planner: plan_or_error(problem, planner, raw, preprocessed) for planner in PLANNERS})
        if index % 20 == 0:
            crashes = sum("error" in entry for entries in recorded for entry in entries.values())
            print(f"{index + 1}/{PROBLEM_COUNT}, {crashes} crashes, {time.time() - started:.0f} s", flush=True)
    write_compressed(FIXTURES / "plans.json.xz", recorded)


def plan_or_error(problem, planner: str, raw: Path, preprocessed: Path) -> dict:
    """nnU-Net's plans.json as read back from its file; the intensities, which it copies, are left out."""
    name = "Dataset001_Random"
    write_json(
        raw / name / "dataset.json",
        {**problem.description, "dataset": {"case": {"images": ["case_0000.nii.gz"], "label": ""}}},
    )
    write_json(preprocessed / name / "dataset_fingerprint.json", problem.fingerprint)
    for old in (preprocessed / name).glob("*Plans.json"):
        old.unlink()
    signal.alarm(SECONDS_ALLOWED)
    try:
        plans_name = run_planner(name, planner, problem)
    except Exception as error:  # noqa: BLE001 - whatever stops nnU-Net is what we want to record
        return {"error": f"{type(error).__name__}: {error}"[:100]}
    finally:
        signal.alarm(0)
    plans = json.loads((preprocessed / name / f"{plans_name}.json").read_text())
    copied = plans.pop("foreground_intensity_properties_per_channel")
    assert copied == problem.fingerprint["foreground_intensity_properties_per_channel"]
    return plans


def record_splits(raw: Path, preprocessed: Path) -> None:
    """splits.json.xz: nnU-Net's folds of 5 to 120 cases, and random splits of folds beyond the file."""
    from record_nnunet_data import folds_of, random_fold

    preprocessed.mkdir(parents=True, exist_ok=True)
    counts = [*range(5, 121), 200, 333, 1000]
    beyond = [(count, fold) for count in (2, 5, 10, 37, 200) for fold in (1, 5, 7)]
    write_compressed(
        FIXTURES / "splits.json.xz",
        {
            "folds": {count: folds_of(count) for count in counts},
            "beyond": [
                {"cases": count, "fold": fold, "split": random_fold(count, fold, preprocessed)}
                for count, fold in beyond
            ],
        },
    )


def record_synthetic(raw: Path, preprocessed: Path) -> None:
    """synthetic.json.xz and synthetic.npz: fingerprints, plans and preprocessed cases of the tiny datasets."""
    import numpy as np
    from record_nnunet_data import fingerprint_of, preprocess_cases, whole_case
    from synthetic_datasets import SYNTHETIC_DATASETS, write_synthetic_dataset

    build_networks_without_weights()
    described, arrays = {}, {}
    for name in SYNTHETIC_DATASETS:
        folder = write_synthetic_dataset(name, raw)
        entry = {"description": json.loads((folder / "dataset.json").read_text()), "plans": {}, "preprocessed": {}}
        entry["fingerprint"] = fingerprint_of(name, preprocessed)
        for planner in PLANNERS:
            entry["plans"][planner] = plans_of(name, planner, preprocessed)
        plain = preprocessed / name / "nnUNetPlans.json"
        for configuration in ("2d", "3d_fullres"):
            if configuration not in entry["plans"]["ExperimentPlanner"]["configurations"]:
                continue
            cases = preprocess_cases(name, plain, raw, configuration, 2)
            for identifier, image, segmentation, properties in cases:
                key = f"{name}/{configuration}/{identifier}"
                entry["preprocessed"][f"{configuration}/{identifier}"] = whole_case(image, segmentation, properties)
                arrays[f"{key}/image"], arrays[f"{key}/segmentation"] = image, segmentation[0].astype(np.int8)
        described[name] = entry
    write_compressed(FIXTURES / "synthetic.json.xz", described)
    np.savez_compressed(FIXTURES / "synthetic.npz", **arrays)
    print(f"synthetic.npz: {(FIXTURES / 'synthetic.npz').stat().st_size} bytes")


def record_real(raw: Path, preprocessed: Path, data: Path) -> None:
    """real.json.xz: fingerprints, plans and samples of preprocessed cases of the datasets in `data`."""
    from record_nnunet_data import REAL_CASES, fingerprint_of, link_dataset, preprocess_cases, sampled_case

    build_networks_without_weights()
    described = {}
    for source in sorted(folder for folder in data.iterdir() if (folder / "dataset.json").is_file()):
        name = source.name
        print(name, flush=True)
        link_dataset(source, raw)
        description = json.loads((source / "dataset.json").read_text())
        description = {key: value for key, value in description.items() if key in DESCRIPTION_KEYS}
        entry = {"description": description, "fingerprint": fingerprint_of(name, preprocessed), "preprocessed": {}}
        entry["plans"] = {planner: plans_of(name, planner, preprocessed) for planner in PLANNERS}
        plain = preprocessed / name / "nnUNetPlans.json"
        for configuration in ("2d", "3d_fullres", "3d_lowres"):
            if configuration not in entry["plans"]["ExperimentPlanner"]["configurations"]:
                continue
            cases = preprocess_cases(name, plain, raw, configuration, REAL_CASES)
            for identifier, *case in cases:
                entry["preprocessed"][f"{configuration}/{identifier}"] = sampled_case(*case)
        described[name] = entry
        write_compressed(FIXTURES / "real.json.xz", described)


def plans_of(dataset: str, planner: str, preprocessed: Path) -> dict:
    """nnU-Net's plans.json of a dataset with a fingerprint."""
    plans_name = run_planner(dataset, planner)
    return json.loads((preprocessed / dataset / f"{plans_name}.json").read_text())


def run_planner(dataset: str, planner: str, problem=None) -> str:
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners
    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiment_dataset

    planner_class = getattr(residual_encoder_unet_planners, planner, ExperimentPlanner)
    with contextlib.redirect_stdout(io.StringIO()):
        _, plans_name = plan_experiment_dataset(
            dataset,
            planner_class,
            gpu_memory_target_in_gb=problem and problem.gpu_memory_gb,
            overwrite_target_spacing=problem and problem.target_spacing,
            overwrite_plans_name=problem and problem.plans_name,
        )
    return plans_name


def build_networks_without_weights() -> None:
    """The planner builds whole networks to count feature maps; on torch's meta device they cost no memory.

    The count depends on the arguments only, so each network is built once.
    """
    import torch
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    original = ExperimentPlanner.static_estimate_VRAM_usage
    known: dict[str, int] = {}

    def estimate(patch_size, *arguments):
        key = f"{[int(edge) for edge in patch_size]} {arguments[1:]}"
        if key not in known:
            with torch.device("meta"):
                known[key] = original(patch_size, *arguments)
        return known[key]

    ExperimentPlanner.static_estimate_VRAM_usage = staticmethod(estimate)


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_compressed(path: Path, content) -> None:
    text = json.dumps(content, separators=(",", ":")).encode()
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{path}: {len(text)} bytes, {path.stat().st_size} compressed")


def stop_waiting(*_) -> None:
    raise TimeoutError(f"no plan after {SECONDS_ALLOWED} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plans", "splits", "synthetic", "real"), nargs="+")
    parser.add_argument("--data", type=Path, help="folder of the real datasets")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop_waiting)
    recorders = {
        "plans": record_plans,
        "splits": record_splits,
        "synthetic": record_synthetic,
        "real": lambda raw, preprocessed: record_real(raw, preprocessed, arguments.data),
    }
    for what in arguments.what:
        with tempfile.TemporaryDirectory() as folder:
            raw, preprocessed = Path(folder, "raw"), Path(folder, "preprocessed")
            os.environ.update(nnUNet_raw=str(raw), nnUNet_preprocessed=str(preprocessed), nnUNet_results=folder)
            recorders[what](raw, preprocessed)


if __name__ == "__main__":
    main()
