"""Model folders: names of folders, folds that disagree, what lies where a file should."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ..archives import InCheckpoint
from ..attack import Attack, Expected
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, InJson, Linked, Text
from ..wrong_values import WRONG_VALUES

FAMILY = "model folder"
FINAL, OTHER = "{fold}/checkpoint_final.pth", "{model}/fold_1/checkpoint_final.pth"
SUMMARY = "{fold}/validation/summary.json"
LOOKS = ("look at model", "look for models", "predict")


def _second_fold(path: Path) -> None:
    shutil.copytree(path, path.with_name("fold_1"))


def _set(key: str, value: Any):
    def change(content: dict[str, Any]) -> None:
        content[key] = value

    return change


def _other_configuration(content: dict[str, Any]) -> None:
    content["init_args"] = {**content["init_args"], "configuration": "2d"}


def _half(content: dict[str, Any]) -> None:
    content["network_weights"] = dict(list(content["network_weights"].items())[::2])


def _other_shape(content: dict[str, Any]) -> None:
    content["network_weights"] = {name: torch.zeros(3) for name in content["network_weights"]}


DISAGREEMENTS = {
    "configuration": (_other_configuration, ()),
    "trainer": (_set("trainer_name", "nnUNetTrainerNoMirroring"), ()),
    "trainer-of-other-network": (_set("trainer_name", "nnUNet_Primus_M_Trainer"), ()),
    "trainer-number": (_set("trainer_name", 7), ()),
    "mirroring": (_set("inference_allowed_mirroring_axes", (0,)), ("--mirroring",)),
    "mirroring-wrong": (_set("inference_allowed_mirroring_axes", (7,)), ("--mirroring",)),
    "weights-missing": (_half, ()),
    "weights-shape": (_other_shape, ()),
    "no-weights": (lambda content: content.pop("network_weights"), ()),
    "no-arguments": (lambda content: content.pop("init_args"), ()),
}
FOLD_NAMES = ("fold_²", "fold_-1", "fold_ 0", "fold_99999999999999999999", "fold_x", "fold_", "fold_0 ", "fold_all",
              "fold_\x1b[31m", "fold_a\nb", "fold_" + "9" * 200, "fold_٣")  # fmt: skip
MODEL_NAMES = ("x", "a__b", "__", "a__b__c__d", "\x1b[31mred__x__y", "a\nb__x__y", "x" * 250, "nul__x__y",
               "nnUNetTrainer__nnUNetPlans__")  # fmt: skip


def attacks() -> Iterator[Attack]:
    for name, (change, arguments) in DISAGREEMENTS.items():
        spoils = (By("{fold}", _second_fold), InCheckpoint(OTHER, change))
        named = (OTHER, "{model}/fold_1", "{model}")
        yield Attack(FAMILY, f"folds-disagree-{name}", "predict", spoils, Expected.REFUSED, named, arguments)
    for fold in FOLD_NAMES:
        made = By("{fold}", lambda path, fold=fold: shutil.copytree(path, path.with_name(fold)))
        for verb in LOOKS:
            yield _of(verb, f"fold-named-{_in_short(fold)}", made)
    for model in MODEL_NAMES:
        made = By("{model}", lambda path, model=model: shutil.copytree(path, path.with_name(model)))
        yield _of("look for models", f"named-{_in_short(model)}", made)
    yield _of("look for models", "named-not-utf-8", By("{model}", _not_utf8))
    for name, make in SPECIAL_FILES.items():
        for verb in ("look at model", "look for models"):
            yield _of(verb, f"checkpoint-is-{name}", Become(FINAL, make))
            yield _of(verb, f"summary-is-{name}", Become(SUMMARY, make))
            yield _of(verb, f"best-is-{name}", Become("{fold}/checkpoint_best.pth", make))
    for key in ("foreground_mean", "mean", "metric_per_case"):
        for name, value in WRONG_VALUES.items():
            for verb in ("look at model", "look for models"):
                yield _of(verb, f"summary-{key}-{name}", InJson(SUMMARY, (key,), value))
    for name, value in WRONG_VALUES.items():
        yield _of("look at model", f"summary-dice-{name}", InJson(SUMMARY, ("foreground_mean", "Dice"), value))
    yield _of("look for models", "link-circle", Linked("{lair}/models/circle", "{lair}/models"))
    yield _of("look for models", "link-to-system", Linked("{lair}/models/system", "/proc/self"))
    yield _of("look for models", "a-file", Text("{lair}/models/file", "x"))
    forged = Text("{model}/segment.json", '{"output": "{outside}", "temporary": "{outside}/x"}')
    yield Attack(FAMILY, "forged-segment.json", "predict", (forged,), Expected.HARMLESS)


def _not_utf8(path: Path) -> None:
    shutil.copytree(os.fsencode(path), os.path.join(os.fsencode(path.parent), b"\xff__\xfe__x"))


def _in_short(name: str) -> str:
    return ascii(name[:30])[1:-1]


def _of(verb: str, name: str, spoil: Any) -> Attack:
    return Attack(FAMILY, name, verb, (spoil,), Expected.ANSWERED)
