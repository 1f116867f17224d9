"""Whether two checkouts give equal results, bit by bit: plans, preprocessed cases, weights, segmentations.

    python Testing/Benchmarks/same_results.py --before CHECKOUT [--after CHECKOUT] --data FOLDER [DATASET …]

Each checkout is driven through its command line only, in processes of its own, on the same raw datasets. Nothing is
timed. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, STEPS = "2", "10"
SEGMENTED_CASES = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout")
    parser.add_argument("--after", type=Path, default=ROOT, help="another one (default: this one)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of raw datasets")
    parser.add_argument("--train", nargs="*", default=None, help="train and segment only these (default: all)")
    parser.add_argument("datasets", nargs="*", help="default: all of --data")
    chosen = parser.parse_args()
    names = chosen.datasets or sorted(path.name for path in chosen.data.glob("Dataset*"))
    differences = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            folders = []
            for side in ("before", "after"):
                workspace = Path(temporary) / side
                trains = chosen.train is None or name in chosen.train
                make_results(getattr(chosen, side).resolve(), chosen.data.resolve() / name, workspace, trains)
                folders.append(workspace)
            differences += compare(name, *folders)
    print("everything is equal" if not differences else f"{differences} differ")
    return 1 if differences else 0


def make_results(checkout: Path, raw: Path, workspace: Path, trains: bool) -> None:
    """All that a checkout makes of a dataset: plans, preprocessed cases, a training of some steps, segmentations."""

    def verb(*arguments: Any) -> None:
        command = [sys.executable, "-m", "SegAutoPlanLib", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{checkout}: {' '.join(command[2:])}\n{done.stderr[-2000:]}")

    where = ("--workspace", workspace)
    # One worker: sums over cases that finish in any order would differ in their last digit.
    verb("fingerprint", raw, "--workers", "1", *where)
    for planner in ("resenc-m", "resenc-l", "resenc-xl", "plain"):
        verb("plan", raw, "--planner", planner, *where)
    # Small patches, so that a step takes seconds on a processor.
    verb("plan", raw, "--gpu-memory-gb", "0.2", "--plans", "smallPlans", *where)
    verb("preprocess", raw, *where)
    if not trains:
        return
    plan = (workspace / "preprocessed" / raw.name / "smallPlans.json").read_text(encoding="utf-8")
    configuration = "3d_fullres" if "3d_fullres" in plan else "2d"
    short = ("--recipe", "short", "--epochs", EPOCHS, "--iterations", STEPS, "--device", "cpu", "--seed", "7")
    verb("train", raw, configuration, "0", "--plans", "smallPlans", *short, *where)
    model = workspace / "results" / raw.name / f"nnUNetTrainer__smallPlans__{configuration}"
    for files in first_cases(raw):
        output = workspace / "segmented" / raw.name
        verb(
            "predict",
            "--model",
            model,
            "--input",
            *files,
            "--output",
            output,
            "--device",
            "cpu",
            "--save-probabilities",
        )


def first_cases(raw: Path) -> Iterator[list[Path]]:
    """The image files of the first cases, in channel order."""
    files = sorted((raw / "imagesTr").iterdir())
    cases = sorted({file.name.rpartition("_")[0] for file in files if not file.name.endswith(".json")})
    for case in cases[:SEGMENTED_CASES]:
        yield [file for file in files if file.name.rpartition("_")[0] == case]


def compare(name: str, before: Path, after: Path) -> int:
    """Print how many files of each kind are equal; the number that are not."""
    kinds = {
        "fingerprint and plans": f"preprocessed/{name}/*.json",
        "preprocessed cases": f"preprocessed/{name}/*/*.safetensors",
        "weights and optimiser": f"results/{name}/*/*/checkpoint_final.pth",
        "validation segmentations": f"results/{name}/*/*/validation/*.*",
        "segmentations": f"segmented/{name}/*.*",
    }
    different = 0
    for kind, pattern in kinds.items():
        files, made = (
            sorted(path.relative_to(place) for path in place.glob(pattern) if path.is_file())
            for place in (before, after)
        )
        unequal = [file for file in files if file not in made or digest(before / file) != digest(after / file)]
        unequal += [file for file in made if file not in files]
        different += len(unequal)
        examples = f": {', '.join(map(str, unequal[:3]))}" if unequal else ""
        print(f"{name:<28} {kind:<26} {len(files) - len(unequal)} of {len(files)} equal{examples}", flush=True)
    return different


def digest(path: Path) -> str:
    """Of what a file says: a checkpoint's tensors, a packed file's content, a summary without its paths."""
    if path.suffix == ".pth":
        return _digest_of_checkpoint(path)
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path) as arrays:
            content = b"".join(arrays[name].tobytes() for name in arrays.files)
    if path.name == "summary.json":
        # It names the files that were compared.
        content = content.replace(str(path.parents[5]).encode(), b"")
    return hashlib.sha256(content).hexdigest()


def _digest_of_checkpoint(path: Path) -> str:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=False)
    state = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            state.update(value.numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                state.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for part in value:
                add(part)
        else:
            state.update(repr(value).encode())

    for key in ("network_weights", "optimizer_state", "_best_ema", "current_epoch"):
        add(content[key])
    log = content["logging"]
    add({name: values for name, values in log.items() if "timestamps" not in name})
    return state.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
