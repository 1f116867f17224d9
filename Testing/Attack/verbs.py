"""The verbs that attacks meet: their arguments, what they need, where they may write, and what their result is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from .place import DATASET, MODEL, Place
from .sound import CONFIGURATION, SHORT_TRAINING

Result = Callable[[Place], object]

ONE_WORKER = ("--workers", "1")
IN_WORKSPACE = ("--workspace", "{workspace}")
RAW, PREPROCESSED, RESULTS = "{raw}", "{preprocessed}", "{results}"
PLANNED = tuple(f"{PREPROCESSED}/{name}" for name in ("dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json"))
FINGERPRINT = PLANNED[1]


@dataclass(frozen=True)
class Verb:
    """How one verb meets an attack."""

    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    """Parts of the sound place."""
    may_write: tuple[str, ...] = ()
    result: Result = lambda place: None
    """What is compared with the sound place's."""
    action: str = "command line"
    all_or_nothing: bool = False
    """Whether a refusal leaves everything as it was, where it may write too."""


def _voxels_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.glob("*.nii.gz") if not path.name.startswith("."))
    return {path.name: _digest(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))) for path in files}


def _digest(array: np.ndarray) -> str:
    return f"{array.dtype}{array.shape}{hashlib.blake2b(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]}"


def _plan(place: Place) -> object:
    document = json.loads((place.preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8"))
    return document["configurations"]


def _adopted_plan(place: Place) -> object:
    return json.loads((place.preprocessed / "adopted.json").read_text(encoding="utf-8"))["configurations"]


def _fingerprint(place: Place) -> object:
    return json.loads(place.path(FINGERPRINT).read_text(encoding="utf-8"))


def _cases(place: Place) -> object:
    folder = place.preprocessed / f"nnUNetPlans_{CONFIGURATION}"
    return {path.name: _arrays_of(path) for path in sorted(folder.glob("[!.]*.safetensors"))}


def _arrays_of(path: Path) -> dict[str, str]:
    """A digest per array; not of what is said about the source files, which differ in what is no matter."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    digests = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        array = content[start + first : start + last]
        digests[name] = f"{entry['dtype']}{entry['shape']}{hashlib.blake2b(array).hexdigest()}"
    return digests


def _weights(place: Place) -> object:
    path = place.results / MODEL / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=True, map_location="cpu", mmap=False)["network_weights"]
    return {name: _digest(tensor.numpy()) for name, tensor in content.items()}


def _validation(place: Place) -> object:
    return _voxels_of(place.results / MODEL / "fold_0" / "validation")


def _segmented(place: Place) -> object:
    return _voxels_of(place.output)


def _agreement(place: Place) -> object:
    return json.loads((place.predictions / "summary.json").read_text(encoding="utf-8"))["foreground_mean"]


def _imported(place: Place) -> object:
    raw = place.workspace / "raw"
    return {
        folder.name: {part.name: _voxels_of(part) for part in folder.iterdir() if part.is_dir()}
        for folder in raw.glob("[!.]*")
    }


def _installed(place: Place) -> object:
    """Every file of the models that are in the workspace then."""
    results = place.workspace / "results"
    return {path.relative_to(results).as_posix(): hashlib.blake2b(path.read_bytes()).hexdigest()[:16]
            for path in sorted(results.rglob("*")) if path.is_file()}  # fmt: skip


def _packed(place: Place) -> object:
    return hashlib.blake2b((place.lair / "out.zip").read_bytes()).hexdigest()


def _import(kind: str, source: str, *more: str) -> Verb:
    return Verb(
        ("import", kind, f"{{sources}}/{source}", *more, *ONE_WORKER, *IN_WORKSPACE),
        (f"{{sources}}/{source}",),
        ("{workspace}",),
        _imported,
    )


TRAIN = ("train", DATASET, CONFIGURATION, "0", *SHORT_TRAINING, *IN_WORKSPACE)
PREDICT = (
    "predict",
    "--model",
    "{model}",
    "--input",
    "{images}",
    "--output",
    "{output}",
    "--device",
    "cpu",
    *IN_WORKSPACE,
)
CONVERT = ("convert-preprocessed", DATASET, "--configurations", CONFIGURATION, *ONE_WORKER)
MODEL_AND_IMAGES = ("{model}", "{images}")

VERBS: dict[str, Verb] = {
    "check": Verb(("check", DATASET, *ONE_WORKER, *IN_WORKSPACE), (RAW,)),
    "losses": Verb(("losses", DATASET, *IN_WORKSPACE), (RAW,)),
    "fingerprint": Verb(("fingerprint", DATASET, *ONE_WORKER, *IN_WORKSPACE), (RAW,), (PREPROCESSED,), _fingerprint),
    "plan": Verb(("plan", DATASET, *ONE_WORKER, *IN_WORKSPACE), (RAW,), (PREPROCESSED,), _plan),
    "plan again": Verb(("plan", DATASET, *ONE_WORKER, *IN_WORKSPACE), (RAW, *PLANNED), (PREPROCESSED,), _plan),
    "plan from model": Verb(
        ("plan", DATASET, "--from-model", "{model}", "--plans", "adopted", *ONE_WORKER, *IN_WORKSPACE),
        (RAW, "{model}"),
        (PREPROCESSED,),
        _adopted_plan,
    ),
    "preprocess": Verb(
        ("preprocess", DATASET, "--configurations", CONFIGURATION, *ONE_WORKER, *IN_WORKSPACE),
        (RAW, *PLANNED),
        (PREPROCESSED,),
        _cases,
    ),
    "preprocess again": Verb(
        ("preprocess", DATASET, "--configurations", CONFIGURATION, *ONE_WORKER, *IN_WORKSPACE),
        (RAW, PREPROCESSED),
        (PREPROCESSED,),
        _cases,
    ),
    "train": Verb(TRAIN, (RAW, PREPROCESSED), (PREPROCESSED, RESULTS), _weights),
    "resume": Verb((*TRAIN, "--resume"), (RAW, PREPROCESSED, RESULTS), (PREPROCESSED, RESULTS), _weights),
    "validate": Verb(
        (*TRAIN, "--validate-only", "final"), (RAW, PREPROCESSED, RESULTS), (PREPROCESSED, RESULTS), _validation
    ),
    "pretrained": Verb(
        (*TRAIN, "--pretrained", "{fold}/checkpoint_final.pth"),
        (RAW, PREPROCESSED, "{model}"),
        (PREPROCESSED, RESULTS),
        _weights,
    ),
    "pretrained model": Verb(
        (*TRAIN, "--pretrained", "{model}"), (RAW, PREPROCESSED, "{model}"), (PREPROCESSED, RESULTS), _weights
    ),
    "convert from nnunet": Verb(
        (*CONVERT, "--from-nnunet", "{lair}/nnunet", *IN_WORKSPACE), (RAW, "{lair}/nnunet"), (PREPROCESSED,), _cases
    ),
    "convert to nnunet": Verb(
        (*CONVERT, "--to-nnunet", "{output}", *IN_WORKSPACE), (RAW, PREPROCESSED), ("{output}", PREPROCESSED)
    ),
    "predict": Verb(PREDICT, MODEL_AND_IMAGES, ("{output}",), _segmented),
    "continue": Verb((*PREDICT, "--continue"), MODEL_AND_IMAGES, ("{output}",), _segmented),
    "continue finished": Verb(
        (*PREDICT, "--continue"), (*MODEL_AND_IMAGES, "{predictions}"), ("{output}",), _segmented
    ),
    "ensemble": Verb(
        (
            "ensemble",
            "--input",
            "{probabilities}/a",
            "{probabilities}/b",
            "--output",
            "{output}",
            *ONE_WORKER,
            *IN_WORKSPACE,
        ),
        ("{probabilities}", "{images}"),
        ("{output}",),
        _segmented,
    ),
    "evaluate": Verb(
        ("evaluate", "{references}", "{predictions}", *ONE_WORKER, *IN_WORKSPACE),
        ("{references}", "{predictions}"),
        ("{predictions}/summary.json",),
        _agreement,
    ),
    "import decathlon": _import("decathlon", "Task01_Balls"),
    "import nnunet-v1": _import("nnunet-v1", "Task001_Balls"),
    "import pairs": _import("pairs", "pairs", "--id", "7", "--name", "Balls"),
    "inspect-model": Verb(("inspect-model", "{archive}", *IN_WORKSPACE), ("{archive}", "{model}")),
    "inspect-model folder": Verb(("inspect-model", "{model}", *IN_WORKSPACE), ("{model}",)),
    "import-model": Verb(
        ("import-model", "{archive}", *IN_WORKSPACE),
        ("{archive}", "{model}"),
        ("{workspace}/results",),
        _installed,
        all_or_nothing=True,
    ),
    "import-model folder": Verb(
        ("import-model", "{model}", *IN_WORKSPACE),
        ("{model}",),
        ("{workspace}/results",),
        _installed,
        all_or_nothing=True,
    ),
    "export-model": Verb(
        ("export-model", "{model}", "--output", "{lair}/out.zip", *IN_WORKSPACE),
        ("{model}",),
        ("{lair}/out.zip",),
        _packed,
        all_or_nothing=True,
    ),
    "recipes": Verb(("recipes", *IN_WORKSPACE), (RAW,)),
    "runs list": Verb(("runs", *IN_WORKSPACE, "list"), ("{run}",)),
    "runs follow": Verb(("runs", *IN_WORKSPACE, "follow"), ("{run}",)),
    "runs stop": Verb(("runs", *IN_WORKSPACE, "stop"), ("{run}",), ("{run}/STOP",)),
    "look at model": Verb(("{model}",), ("{model}",), action="look at model"),
    "look for models": Verb(("{lair}/models",), ("{model}",), action="look for models"),
    "look at runs": Verb(("{workspace}/runs",), ("{run}",), action="look at runs"),
    "kill run": Verb(("{run}",), ("{run}",), action="kill run"),
}
