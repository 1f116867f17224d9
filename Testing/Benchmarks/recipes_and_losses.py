"""What each recipe and each loss reaches in one and the same short run on the hippocampi.

    python Testing/Benchmarks/recipes_and_losses.py --work FOLDER [--steps 300] [--recipes NAME …] [--losses NAME …]

Every recipe trains as many steps with the batch that is given, on the training cases of the held-out split of
`time_to_dice.py`, and is measured on its held-out cases; every loss in the recipe `timed`. So the recipes of a table
differ in what they are about, not in their lengths. Each result is at once a line of a file in `--work`, and not run
again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from time_to_dice import FINAL, ROOT, environment, splits

EPOCHS = 10
SAME_IN_ALL = ("epochs", "iterations_per_epoch", "validation_iterations", "checkpoint_every", "batch_size")
"""Fields in which recipes of this table cannot differ."""
NOT_TRAINED = ("name", "trainer_name", "results_name")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of raw datasets")
    parser.add_argument("--dataset", default="Dataset004_Hippocampus")
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made; kept for the next call")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipes", nargs="*", help="default: one of each kind")
    parser.add_argument("--losses", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT))
    file = chosen.work / f"recipes_and_losses_{chosen.steps}.jsonl"
    for recipe in recipes_that_differ() if chosen.recipes is None else chosen.recipes:
        run(chosen, file, recipe, None)
    for loss in losses_for_labels() if chosen.losses is None else chosen.losses:
        run(chosen, file, "timed", loss)
    show(results(file))


def recipes_that_differ() -> list[str]:
    """Of those that become the same with equal lengths, the first."""
    from SegAutoPlanLib.training.recipes import RECIPES

    seen, names = set(), []
    for name, recipe in RECIPES.items():
        what = tuple((k, v) for k, v in asdict(recipe).items() if k not in (*SAME_IN_ALL, *NOT_TRAINED))
        if what not in seen and not recipe.is_benchmark:
            seen.add(what)
            names.append(name)
    return names


def losses_for_labels() -> list[str]:
    from SegAutoPlanLib.losses import LOSSES

    return [name for name in LOSSES if not name.endswith("bce")]


def results(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def run(chosen: argparse.Namespace, file: Path, recipe: str, loss: str | None) -> None:
    from SegAutoPlanLib.training import find_recipe

    key = {"recipe": recipe, "loss": loss, "steps": chosen.steps, "batch": chosen.batch, "seed": chosen.seed}
    if any(all(result.get(name) == value for name, value in key.items()) for result in results(file)):
        return
    folder = chosen.work / "ours" / "preprocessed" / chosen.dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits_final.json").write_text(json.dumps(splits(chosen)), encoding="utf-8")
    warm_up = find_recipe(recipe).warmup_epochs
    lines = [f'base = "{recipe}"', f"epochs = {EPOCHS}", f"iterations_per_epoch = {chosen.steps // EPOCHS}"]
    lines += ["validation_iterations = 2", f"batch_size = {chosen.batch}"]
    lines += [f"warmup_epochs = {min(warm_up, 1)}"]
    of_this_length = chosen.work / f"short_{recipe}.toml"
    of_this_length.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "SegAutoPlanLib", "train", str(chosen.data / chosen.dataset)]
    command += [chosen.configuration, str(FINAL), "--recipe", str(of_this_length), "--seed", str(chosen.seed), "--json"]
    started = time.monotonic()
    with (chosen.work / f"log_{recipe}_{loss}.txt").open("w", encoding="utf-8") as log:
        out = subprocess.run(
            [*command, *(["--loss", loss] if loss else [])],
            env=environment(chosen),
            stderr=log,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = json.loads(out.stdout) if out.returncode == 0 else {}
    result = {
        **key,
        "dice": said.get("validation_dice"),
        "per_class": said.get("dice"),
        "s": time.monotonic() - started,
    }
    with file.open("a", encoding="utf-8") as lines_of_results:
        lines_of_results.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def show(lines: list[dict]) -> None:
    """The tables, best first; a training that ended with a sentence instead of a network has no Dice."""
    for what in ("recipe", "loss"):
        rows = [line for line in lines if (line["loss"] is None) == (what == "recipe")]
        print(f"\n| {what} | Dice | of each class |\n|---|---|---|")
        for line in sorted(rows, key=lambda row: -(row["dice"] or 0)):
            dice = "none" if line["dice"] is None else f"{line['dice']:.3f}"
            per_class = ", ".join(f"{value:.3f}" for value in (line["per_class"] or {}).values())
            print(f"| `{line[what]}` | {dice} | {per_class} |")


if __name__ == "__main__":
    main()
