"""Time to Dice: how good a network is after so many minutes, ours by recipe, nnU-Net's beside it.

    python Testing/Benchmarks/time_to_dice.py --minutes 3 10 --seeds 1 2 3 --recipes timed short mine.toml [--choose]
    python Testing/Benchmarks/time_to_dice.py --nnunet-python PATH --nnunet-minutes 40 --seeds 1 2 3
    python Testing/Benchmarks/time_to_dice.py --nnunet-python PATH --nnunet-minutes 40 --nnunet-epochs 24 --threads 1

Held-out cases of a raw dataset, each system's own way from the raw images to whole segmented cases, mirrored copies
included; the Dice is the mean of the foreground classes over all held-out cases, whose segmenting is not part of the
time. nnU-Net has epochs of 25 steps (its own are of 250), as many as fit after its pace has been measured, and its
schedule is fitted to them. On a machine that also does other work, their number can be given as it was found on a quiet
one: what is reached depends on the steps alone. An interrupted training of nnU-Net goes on after its last epoch.

With `--choose` a third of the training cases takes the held-out cases' place: to choose a recipe by, before it is tried
on cases that the choice has not seen. Every result is at once a line of a file in `--work`, and not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

ROOT = Path(__file__).resolve().parents[2]
STEPS_PER_EPOCH, VALIDATIONS_PER_EPOCH = 25, 5
FINAL, CHOOSING = 0, 1
"""Folds of our splits: the held-out cases, and a third of the others in their place."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of raw datasets")
    parser.add_argument("--dataset", default="Dataset004_Hippocampus")
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made; kept for the next call")
    parser.add_argument("--minutes", type=float, nargs="*", default=[])
    parser.add_argument("--recipes", nargs="*", default=["timed"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--losses", nargs="*", default=[None], help="instead of the recipe's")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--nnunet-python", type=Path, help="an interpreter with nnunetv2 2.8.1")
    parser.add_argument("--nnunet-minutes", type=float, nargs="*", default=[])
    parser.add_argument("--nnunet-epochs", type=int, help="of 25 steps; default: as many as its pace allows")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--take-nnunet", nargs=2, metavar=("SEED", "MINUTES"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.take_nnunet:
        train_nnunet(int(chosen.take_nnunet[0]), float(chosen.take_nnunet[1]), chosen)
        return
    chosen.work.mkdir(parents=True, exist_ok=True)
    for minutes in chosen.minutes:
        for seed in chosen.seeds:
            # By turns, so that all see the same minutes of a shared machine.
            for recipe in chosen.recipes:
                for loss in chosen.losses:
                    run_ours(chosen, recipe, loss, minutes, seed)
    for minutes in chosen.nnunet_minutes:
        for seed in chosen.seeds:
            run_nnunet(chosen, minutes, seed)
    show(results(chosen))


def results(chosen: argparse.Namespace) -> list[dict]:
    file = chosen.work / f"{chosen.dataset}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def keep(chosen: argparse.Namespace, result: dict) -> None:
    with (chosen.work / f"{chosen.dataset}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def is_there(chosen: argparse.Namespace, key: dict) -> bool:
    return any(all(result.get(name) == value for name, value in key.items()) for result in results(chosen))


def environment(chosen: argparse.Namespace) -> dict[str, str]:
    nnunet = chosen.work / "nnunet"
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(chosen.threads),
        "PYTHONPATH": str(ROOT),
        "SEGAUTOPLAN_WORKSPACE": str(chosen.work / "ours"),
        "nnUNet_raw": str(chosen.data),
        "nnUNet_preprocessed": str(nnunet / "preprocessed"),
        "nnUNet_results": str(nnunet / "results"),
        "nnUNet_n_proc_DA": "1",
        "nnUNet_compile": "f",
    }


def splits(chosen: argparse.Namespace) -> list[dict[str, list[str]]]:
    """The first split is nnU-Net's fold 0; the second is made of its training cases."""
    sys.path.insert(0, str(ROOT))
    from SegAutoPlanLib.dataset import load_dataset
    from SegAutoPlanLib.dataset.splits import make_splits

    first = make_splits([case.identifier for case in load_dataset(chosen.data / chosen.dataset).cases])[0]
    inner = {"train": [], "val": []}
    for place, case in enumerate(first["train"]):
        inner["val" if place % 3 == 0 else "train"].append(case)
    return [first, inner]


def run_ours(chosen: argparse.Namespace, recipe: str, loss: str | None, minutes: float, seed: int) -> None:
    name = f"{Path(recipe).stem}{f' {loss}' if loss else ''}"
    key = {"system": "ours", "recipe": name, "minutes": minutes, "seed": seed, "choose": chosen.choose}
    if is_there(chosen, key):
        return
    env = environment(chosen)
    folder = chosen.work / "ours" / "preprocessed" / chosen.dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits_final.json").write_text(json.dumps(splits(chosen)), encoding="utf-8")
    fold = str(CHOOSING if chosen.choose else FINAL)
    common = ["train", str(chosen.data / chosen.dataset), chosen.configuration, fold, "--recipe", recipe, "--json"]
    command = [sys.executable, "-m", "SegAutoPlanLib", *common, "--minutes", f"{minutes:g}", "--seed", str(seed)]
    if loss:
        command += ["--loss", loss]
    started = time.monotonic()
    log = chosen.work / f"log_{name}_{minutes:g}_{seed}.txt".replace(" ", "_")
    with log.open("w", encoding="utf-8") as file:
        subprocess.run(command, env=env, stderr=file, stdout=file, check=True)
        taken = time.monotonic() - started
        whole = [sys.executable, "-m", "SegAutoPlanLib", *common, "--validate-only"]
        out = subprocess.run(whole, env=env, stderr=file, stdout=subprocess.PIPE, check=True, text=True).stdout
    said = json.loads(out)
    epochs = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("epoch")]
    keep(
        chosen,
        {
            **key,
            "dice": said["validation_dice"],
            "per_class": said["dice"],
            "wall_min": taken / 60,
            "last_epoch": epochs[-1] if epochs else "",
        },
    )


def run_nnunet(chosen: argparse.Namespace, minutes: float, seed: int) -> None:
    key = {"system": "nnunet", "minutes": minutes, "seed": seed}
    if is_there(chosen, key):
        return
    env = environment(chosen)
    if not (chosen.work / "nnunet" / "preprocessed" / chosen.dataset / "nnUNetPlans.json").is_file():
        module = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
        code = f"from {module} import plan_and_preprocess_entry as run; run()"
        number = str(int(chosen.dataset[7:10]))
        command = ["-c", code, "-d", number, "-c", chosen.configuration, "-np", "2", "-npfp", "2", "--no_pbar"]
        subprocess.run([str(chosen.nnunet_python), *command], env=env, check=True, stdout=subprocess.DEVNULL)
    command = [str(chosen.nnunet_python), __file__, "--take-nnunet", str(seed), str(minutes), "--work"]
    command += [str(chosen.work), "--dataset", chosen.dataset, "--configuration", chosen.configuration]
    if chosen.nnunet_epochs:
        command += ["--nnunet-epochs", str(chosen.nnunet_epochs)]
    env |= {"nnUNet_n_proc_DA": "0", "nnUNet_results": str(chosen.work / "nnunet" / f"results_{seed}_{minutes:g}")}
    log = chosen.work / f"log_nnunet_{minutes:g}_{seed}.txt"
    with log.open("w", encoding="utf-8") as file:
        subprocess.run(command, env=env, stdout=file, stderr=subprocess.STDOUT, check=True)
    result = json.loads(log.read_text(encoding="utf-8").rsplit("RESULT ", 1)[1].splitlines()[0])
    keep(chosen, {**key, **result})


def train_nnunet(seed: int, minutes: float, chosen: argparse.Namespace) -> None:
    """In nnU-Net's own environment: its trainer, unchanged but for its lengths and its seeds."""
    import random

    import numpy as np
    import torch
    from batchgenerators.utilities.file_and_folder_operations import load_json
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    folder = chosen.work / "nnunet" / "preprocessed" / chosen.dataset

    def trainer() -> nnUNetTrainer:
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        plans = load_json(str(folder / "nnUNetPlans.json")) | {"continue_training": False}
        made = nnUNetTrainer(
            plans, chosen.configuration, 0, load_json(str(folder / "dataset.json")), torch.device("cpu")
        )
        made.num_iterations_per_epoch, made.num_val_iterations_per_epoch = STEPS_PER_EPOCH, VALIDATIONS_PER_EPOCH
        return made

    step, epochs = (None, chosen.nnunet_epochs) if chosen.nnunet_epochs else pace_and_epochs(trainer(), minutes)
    final = trainer()
    final.num_epochs, final.save_every = epochs, 1
    latest = Path(final.output_folder_base) / f"fold_{final.fold}" / "checkpoint_latest.pth"
    if latest.is_file():
        final.load_checkpoint(str(latest))
    started = time.perf_counter()
    final.run_training()
    taken = time.perf_counter() - started
    final.perform_actual_validation(False)
    summary = load_json(str(Path(final.output_folder) / "validation" / "summary.json"))
    result = {
        "dice": summary["foreground_mean"]["Dice"],
        "per_class": [mean["Dice"] for mean in summary["mean"].values()],
        "wall_min": taken / 60,
        "step_s": step,
        "steps": final.num_epochs * STEPS_PER_EPOCH,
    }
    print("RESULT", json.dumps(result), flush=True)


def pace_and_epochs(trial: nnUNetTrainer, minutes: float) -> tuple[float, int]:
    """Seconds per step of nnU-Net here, and how many epochs of the table's length the minutes hold."""
    import torch

    trial.on_train_start()
    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        trial.train_step(next(trial.dataloader_train))
        seconds.append(time.perf_counter() - started)
    step = statistics.median(seconds[2:])
    started = time.perf_counter()
    with torch.no_grad():
        trial.validation_step(next(trial.dataloader_val))
    epoch = STEPS_PER_EPOCH * step + VALIDATIONS_PER_EPOCH * (time.perf_counter() - started)
    return step, max(1, round(60 * minutes / epoch))


def show(lines: list[dict]) -> None:
    groups = defaultdict(list)
    for line in lines:
        groups[line["system"], line.get("recipe", "nnUNetTrainer"), line["minutes"], line.get("choose", False)].append(
            line
        )
    print(
        "| system | recipe | minutes | seeds | Dice, mean (lowest to highest) | took, min |\n|---|---|---|---|---|---|"
    )
    for (system, recipe, minutes, choose), group in sorted(groups.items(), key=str):
        dice = [line["dice"] for line in group]
        wall = statistics.mean(line["wall_min"] for line in group)
        print(
            f"| {system}{' (choosing)' if choose else ''} | {recipe} | {minutes:g} | {len(group)} "
            f"| {statistics.mean(dice):.4f} ({min(dice):.4f} to {max(dice):.4f}) | {wall:.1f} |"
        )


if __name__ == "__main__":
    main()
