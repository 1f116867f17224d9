"""Models that go to nnU-Net and back: the same weights segment the same cases here and there, voxel by voxel.

    python Testing/Benchmarks/round_trips.py --nnunet-python PATH --work FOLDER [ROW …]

Each row is a kind of model, trained for some steps on cut-outs of real cases: once here, its folder then read by
nnU-Net, and once by nnU-Net, its folder then read here. Both segment cases that neither has trained on, with mirrored
copies, in float32 on the processor. nnU-Net does so twice: as it is, with the sums of its tiles and their weights in
half precision, and with both in float32, where no weight is smaller than half precision's smallest.

A voxel that differs is a tie if the two labels are as probable as each other: `gap` is the largest difference of the
two largest probabilities (regions: of a probability and one half, twice) at such a voxel, by nnU-Net in float32.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from round_trip_cases import ROWS, Row, make_raw, make_small

ROOT = Path(__file__).resolve().parents[2]
NNUNET_SIDE = Path(__file__).with_name("round_trip_nnunet.py")
AS_IS, FLOAT32 = "as it is", "float32"
VARIANTS = {AS_IS: ("float16", "float16"), FLOAT32: ("float32", "float32")}
"""Number formats of nnU-Net's sums and of its tiles' weights."""
OURS, THEIRS = "ours", "nnunet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, help="an interpreter with nnunetv2 2.8.1")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of raw datasets")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made")
    parser.add_argument("--by", nargs="+", choices=(OURS, THEIRS), default=(OURS, THEIRS), help="who trains")
    parser.add_argument("--reuse", action="store_true", help="models that are there are not trained again")
    parser.add_argument("rows", nargs="*", help=f"default: all of {', '.join(row.name for row in ROWS)}")
    chosen = parser.parse_args()
    results = chosen.work / "round_trips.jsonl"
    for row in (row for row in ROWS if not chosen.rows or row.name in chosen.rows):
        trip = Trip(row, chosen)
        if not (chosen.reuse and trip.is_prepared()):
            trip.prepare()
        for trained_by in chosen.by:
            result = trip.run(trained_by)
            print(json.dumps(result), flush=True)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
    show([json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()])


class Trip:
    """A row's folders and what is done in them."""

    def __init__(self, row: Row, chosen: argparse.Namespace) -> None:
        self.row, self.data, self.nnunet_python = row, chosen.data, chosen.nnunet_python
        self.folder = chosen.work.resolve() / row.dataset
        self.raw = self.folder / "raw"
        self.log = self.folder / "log.txt"

    def prepare(self) -> None:
        """Raw data, and one plan for both."""
        shutil.rmtree(self.folder, ignore_errors=True)
        make_raw(self.row, self.data, self.raw)
        self.ours("plan", self.row.dataset, "--planner", self.row.planner)
        make_small(self.row, self.preprocessed(OURS) / f"{self.row.plans}.json")
        self.preprocessed(THEIRS).mkdir(parents=True)
        for name in (f"{self.row.plans}.json", "dataset_fingerprint.json"):
            shutil.copyfile(self.preprocessed(OURS) / name, self.preprocessed(THEIRS) / name)
        shutil.copyfile(self.raw / self.row.dataset / "dataset.json", self.preprocessed(THEIRS) / "dataset.json")

    def run(self, trained_by: str) -> dict[str, Any]:
        """Train on one side, segment on both, compare."""
        stages = ["3d_lowres"] if self.row.configuration == "3d_cascade_fullres" else []
        previous: Path | None = None
        for configuration in [*stages, self.row.configuration]:
            if not self.checkpoint(trained_by, configuration).is_file():
                self.train(trained_by, configuration)
            here = self.segment_here(trained_by, configuration, previous)
            there = self.segment_there(trained_by, configuration, previous)
            previous = here
        cases = list(self.test_cases())
        return {
            "row": self.row.name,
            "trained by": trained_by,
            "voxels": sum(labels_of(here, case).size for case in cases),
            "labels": sorted({int(label) for case in cases for label in np.unique(labels_of(here, case))}),
            **{variant: compare(here, there / variant, there / FLOAT32, cases, self.regions) for variant in VARIANTS},
        }

    def train(self, side: str, configuration: str) -> None:
        if side == OURS:
            length = ("--recipe", "short", "--epochs", "2", "--iterations", str(self.row.steps // 2))
            settings = ("--plans", self.row.plans, "--device", "cpu", "--precision", "full", *length)
            self.ours("train", self.row.dataset, configuration, "all", *settings)
        else:
            task = {"dataset": self.row.dataset, "plans": self.row.plans, "configuration": configuration}
            for other in (configuration, "3d_cascade_fullres") if configuration == "3d_lowres" else (configuration,):
                self.theirs("preprocess", {**task, "configuration": other})
            self.theirs("train", {**task, "steps": self.row.steps, "seed": 1})

    def segment_here(self, trained_by: str, configuration: str, previous: Path | None) -> Path:
        output = self.folder / trained_by / f"here {configuration}"
        extra = ("--previous-stage", previous) if previous else ()
        where = ("--input", self.raw / self.row.dataset / "imagesTs", "--output", output)
        model = ("--model", self.model(trained_by, configuration), "--folds", "all")
        how = ("--device", "cpu", "--precision", "full", "--mirroring", "--save-probabilities")
        self.ours("predict", *model, *where, *how, *extra)
        return output

    def segment_there(self, trained_by: str, configuration: str, previous: Path | None) -> Path:
        output = self.folder / trained_by / f"there {configuration}"
        task = {
            "model": str(self.model(trained_by, configuration)),
            "cases": {name: [str(file) for file in files] for name, files in self.test_cases().items()},
            "output": str(output),
            "variants": VARIANTS,
            "previous_stage": str(previous) if previous else None,
        }
        self.theirs("predict", task)
        return output

    def model(self, trained_by: str, configuration: str) -> Path:
        return (
            self.folder
            / trained_by
            / "results"
            / self.row.dataset
            / f"nnUNetTrainer__{self.row.plans}__{configuration}"
        )

    def checkpoint(self, trained_by: str, configuration: str) -> Path:
        return self.model(trained_by, configuration) / "fold_all" / "checkpoint_final.pth"

    def is_prepared(self) -> bool:
        return (self.preprocessed(THEIRS) / "dataset.json").is_file()

    def preprocessed(self, side: str) -> Path:
        return self.folder / side / "preprocessed" / self.row.dataset

    def test_cases(self) -> dict[str, list[Path]]:
        files = sorted((self.raw / self.row.dataset / "imagesTs").iterdir())
        names = sorted({file.name.rsplit("_", 1)[0] for file in files})
        return {name: [file for file in files if file.name.startswith(f"{name}_")] for name in names}

    @property
    def regions(self) -> bool:
        return "regions_class_order" in self.row.dataset_json

    def ours(self, *arguments: Any) -> None:
        self.call([sys.executable, "-m", "SegAutoPlanLib", *arguments], OURS, {"PYTHONPATH": str(ROOT)})

    def theirs(self, work: str, task: dict[str, Any]) -> None:
        file = self.folder / "task.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        own = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"}
        self.call([self.nnunet_python, NNUNET_SIDE, work, file], THEIRS, own)

    def call(self, command: list[Any], side: str, own: dict[str, str]) -> None:
        folders = {"nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "nnUNet_raw": str(self.raw),
            **{variable: str(self.folder / side / name) for variable, name in folders.items()},
            **own,
        }
        with self.log.open("a", encoding="utf-8") as log:
            done = subprocess.run(
                [str(part) for part in command], env=environment, stdout=log, stderr=log, check=False, timeout=1800
            )
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}: see {self.log}")


def compare(here: Path, there: Path, exact: Path, cases: list[str], regions: bool) -> dict[str, Any]:
    """Over all cases: how many voxels differ, how far the labels of these are from a tie, how far probabilities are."""
    differing, gap, difference = 0, 0.0, 0.0
    for case in cases:
        differs = labels_of(here, case) != labels_of(there, case)
        differing += int(differs.sum())
        probable = probabilities_of(exact, case)
        if differs.any():
            gap = max(gap, float(gaps(probable[:, differs.reshape(probable.shape[1:])], regions).max()))
        apart = np.abs(probabilities_of(here, case) - probabilities_of(there, case))
        difference = max(difference, float(apart.max()))
    return {"differing": differing, "gap": gap, "probability": difference}


def gaps(probabilities: np.ndarray, regions: bool) -> np.ndarray:
    """(heads, n) → (n,): how far each is from a tie."""
    if regions:
        return 2 * np.abs(probabilities - 0.5).min(0)
    second, first = np.sort(probabilities, axis=0)[-2:]
    return first - second


def labels_of(folder: Path, case: str) -> np.ndarray:
    [file] = [path for path in folder.glob(f"{case}.*") if path.suffix not in (".npz", ".pkl")]
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def probabilities_of(folder: Path, case: str) -> np.ndarray:
    return np.load(folder / f"{case}.npz")["probabilities"].astype(np.float32)


def show(results: list[dict[str, Any]]) -> None:
    """The latest of each row as a table."""
    latest = {(result["row"], result["trained by"]): result for result in results}
    compared = ("differ from nnU-Net", "gap", "probability", "from it in float32", "gap", "probability")
    print(f"| model | trained by | labels found | voxels | {' | '.join(compared)} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        for side in (OURS, THEIRS):
            if (row.name, side) in latest:
                result = latest[row.name, side]
                name = "SegAutoPlan" if side == OURS else "nnU-Net"
                cells = [row.name, name, ", ".join(map(str, result["labels"])), f"{result['voxels']:,}"]
                for variant in (AS_IS, FLOAT32):
                    found = result[variant]
                    cells += [str(found["differing"]), f"{found['gap']:.1e}", f"{found['probability']:.1e}"]
                print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
