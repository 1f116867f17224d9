"""Checkpoints: code, damage, and content that is not what it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..archives import ARCHIVES, CALLS, CONTAINERS, ODD_ARCHIVES, Coded, Content, InCheckpoint, wrong_checksum
from ..attack import Attack, Expected
from ..special_files import SPECIAL_FILES
from ..spoils import Become, By, Cut, Flipped, Removed, Text
from ..wrong_values import INFINITY, NAN, WRONG_VALUES

FAMILY = "checkpoint"
FINAL = "{fold}/checkpoint_final.pth"
LATEST = "{results}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_latest.pth"
FINISHED = LATEST.replace("latest", "final")
FIRST = "encoder.stages.0.0.convs.0.conv.weight"
EQUAL = Expected.REFUSED_OR_EQUAL
MIRRORING = ("--mirroring",)


def _weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Content], None]:
    def on_content(content: Content) -> None:
        content["network_weights"] = change(dict(content["network_weights"]))

    return on_content


def _first(change: Callable[[torch.Tensor], Any]) -> Callable[[Content], None]:
    """Every name of the first convolution's weights gets the same other tensor."""

    def on_weights(weights: dict[str, Any]) -> dict[str, Any]:
        old = weights[FIRST]
        new = change(old)
        same = old.data_ptr()
        return {name: new if tensor.data_ptr() == same else tensor for name, tensor in weights.items()}

    return _weights(on_weights)


def _with(tensor: torch.Tensor, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[0] = value
    return changed


def _quantized(tensor: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


def _laughs() -> list[Any]:
    value: list[Any] = ["ha"] * 10
    for _ in range(30):
        value = [value] * 10
    return value


WRONG_WEIGHTS: dict[str, Callable[[Content], Any]] = {
    "nan": _first(lambda tensor: _with(tensor, NAN)),
    "infinite": _first(lambda tensor: _with(tensor, INFINITY)),
    "integer": _first(lambda tensor: tensor.to(torch.int32)),
    "boolean": _first(lambda tensor: tensor.to(torch.bool)),
    "complex": _first(lambda tensor: tensor.to(torch.complex64)),
    "float8": _first(lambda tensor: tensor.to(torch.float8_e4m3fn)),
    "quantized": _first(_quantized),
    "sparse": _first(lambda tensor: tensor.to_sparse()),
    "meta": _first(lambda tensor: tensor.to("meta")),
    "transposed-shape": _first(lambda tensor: tensor.transpose(0, 1).contiguous()),
    "flat": _first(lambda tensor: tensor.reshape(-1)),
    "scalar": _first(lambda tensor: tensor.sum()),
    "huge-by-stride": _first(lambda tensor: torch.zeros(1).expand(10**6, 10**6)),
    "huge-by-stride-right-rank": _first(lambda tensor: torch.zeros(1).expand(10**4, 10**4, 10**4, 3, 3)),
    "number": _first(lambda tensor: 7),
    "null": _first(lambda tensor: None),
    "text": _first(lambda tensor: "x"),
    "list": _first(lambda tensor: tensor.tolist()),
    "missing": _weights(lambda weights: {name: value for name, value in weights.items() if "convs.0.conv" not in name}),
    "surplus": _weights(lambda weights: {**weights, "more.weight": torch.zeros(3)}),
    "surplus-huge": _weights(lambda weights: {**weights, "more.weight": torch.zeros(1).expand(10**6, 10**6)}),
    "renamed": _weights(lambda weights: {f"x.{name}": value for name, value in weights.items()}),
    "number-as-name": _weights(lambda weights: {**weights, 7: torch.zeros(3)}),
    "tuple-as-name": _weights(lambda weights: {**weights, ("a", "b"): torch.zeros(3)}),
    "null-as-name": _weights(lambda weights: {**weights, None: torch.zeros(3)}),
    "empty": _weights(lambda weights: {}),
    "list-of-tensors": _weights(lambda weights: list(weights.values())),
    "none": _weights(lambda weights: None),
    "one-tensor": _weights(lambda weights: torch.zeros(3)),
    "million-names": _weights(lambda weights: {**weights, **{f"x{number}": 0 for number in range(10**6)}}),
}


def _set(*keys: str, value: Any) -> Callable[[Content], None]:
    def on_content(content: Content) -> None:
        inner = content
        for key in keys[:-1]:
            inner[key] = dict(inner[key])
            inner = inner[key]
        inner[keys[-1]] = value

    return on_content


def _drop(*keys: str) -> Callable[[Content], None]:
    def on_content(content: Content) -> None:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]

    return on_content


WRONG_CONTENT: dict[str, Callable[[Content], Any]] = {
    "no-weights": _drop("network_weights"),
    "a-list": lambda content: [content],
    "a-number": lambda content: 7,
    "a-tensor": lambda content: torch.zeros(3),
    "bare-weights": lambda content: content["network_weights"],
    "arguments-none": _set("init_args", value=None),
    "arguments-list": _set("init_args", value=[]),
    "arguments-empty": _set("init_args", value={}),
    "arguments-missing": _drop("init_args"),
    "configuration-none": _set("init_args", "configuration", value=None),
    "configuration-list": _set("init_args", "configuration", value=["3d_fullres"]),
    "configuration-number": _set("init_args", "configuration", value=7),
    "configuration-climbs": _set("init_args", "configuration", value="../../x"),
    "configuration-endless": _set("init_args", "configuration", value="x" * 10**6),
    "configuration-laughs": _set("init_args", "configuration", value=_laughs()),
    "configuration-other": _set("init_args", "configuration", value="2d"),
    "configuration-escape": _set("init_args", "configuration", value="\x1b[31m"),
    "trainer-laughs": _set("trainer_name", value=_laughs()),
    "trainer-number": _set("trainer_name", value=7),
    "trainer-list": _set("trainer_name", value=["nnUNetTrainer"]),
    "trainer-of-other-network": _set("trainer_name", value="nnUNet_Primus_M_Trainer"),
    "trainer-endless": _set("trainer_name", value="nnUNetTrainerBN" + "x" * 10**6),
}
WRONG_DESCRIPTIONS: dict[str, Any] = {
    "list": [],
    "text": "x",
    "number": 7,
    "empty": {},
    "laughs": _laughs(),
    "tensor": torch.zeros(2),
    **{
        f"labels-{name}": {"channel_names": {"0": "MR"}, "labels": labels, "file_ending": ".nii.gz"}
        for name, labels in (
            ("laughs", _laughs()),
            ("gap", {"background": 0, "ball": 2}),
            ("fewer", {"background": 0, "ball": 1}),
            ("tensor", {"background": 0, "ball": torch.tensor(1), "core": 2}),
            ("name-number", {"background": 0, 7: 1, "core": 2}),
            ("escape", {"background": 0, "\x1b[31m": 1, "core": 2}),
        )
    },
    "channels-laughs": {"channel_names": {"0": _laughs()}, "labels": {"background": 0, "ball": 1, "core": 2},
                        "file_ending": ".nii.gz"},
}  # fmt: skip
WRONG_MIRRORING: dict[str, Any] = {
    "beyond": (5,),
    "negative": (-1,),
    "text": "x",
    "texts": ("0",),
    "number": 7,
    "true": (True, False),
    "float": (0.5,),
    "nan": (NAN,),
    "nested": ((0,),),
    "twice": (0, 0, 0),
    "endless": tuple(range(100_000)),
    "laughs": _laughs(),
    "object": {"0": 1},
    "null-inside": (None,),
    "tensor": torch.tensor([0, 1]),
}
WRONG_PROGRESS: dict[str, Callable[[Content], Any]] = {
    **{f"epoch-{name}": _set("current_epoch", value=value) for name, value in WRONG_VALUES.items() if name != "zero"},
    **{f"best-{name}": _set("_best_ema", value=value) for name, value in
       (("text", "x"), ("nan", NAN), ("list", []), ("2^70", 2**70))},
    **{f"log-{name}": _set("logging", value=value) for name, value in
       (("none", None), ("list", []), ("empty", {}), ("text", "x"))},
    **{f"log-{key}-{name}": _set("logging", key, value=value)
       for key in ("train_losses", "lrs", "dice_per_class_or_region", "epoch_end_timestamps", "ema_fg_dice")
       for name, value in (("none", None), ("text", "x"), ("short", []), ("texts", ["x"]), ("laughs", _laughs()))},
    **{f"optimizer-{name}": _set("optimizer_state", value=value) for name, value in
       (("none", None), ("list", []), ("empty", {}), ("text", "x"), ("no-groups", {"state": {}, "param_groups": []}))},
    "optimizer-missing": _drop("optimizer_state"),
    "optimizer-momentum-shape": lambda content: content["optimizer_state"]["state"][0].update(
        momentum_buffer=torch.zeros(7)),
    "optimizer-momentum-nan": lambda content: content["optimizer_state"]["state"][0]["momentum_buffer"].fill_(NAN),
    "optimizer-momentum-text": lambda content: content["optimizer_state"]["state"][0].update(momentum_buffer="x"),
    "optimizer-rate-text": lambda content: content["optimizer_state"]["param_groups"][0].update(lr="x"),
    "optimizer-rate-nan": lambda content: content["optimizer_state"]["param_groups"][0].update(lr=NAN),
    "ours-none": _set("segautoplan", value=None),
    "ours-list": _set("segautoplan", value=[]),
    "iteration-text": _set("segautoplan", "iteration", value="x"),
    "iteration-negative": _set("segautoplan", "iteration", value=-5),
    "iteration-2^70": _set("segautoplan", "iteration", value=2**70),
    "losses-text": _set("segautoplan", "losses_of_epoch", value="x"),
    "losses-texts": _set("segautoplan", "losses_of_epoch", value=["x"]),
    "losses-number": _set("segautoplan", "losses_of_epoch", value=7),
    "format-text": _set("segautoplan", "number_format", value="bfloat16"),
    "format-unknown": _set("segautoplan", "number_format", value={
        "precision": "float64", "channels_last": True}),
    "format-more": _set("segautoplan", "number_format", value={
        "precision": "float32", "channels_last": True, "code": "x"}),
    **{f"ours-{key}-{name}": _set("segautoplan", key, value=value)
       for key in ("training", "seed", "recipe", "cases")
       for name, value in (("text", "x"), ("list", [1]), ("laughs", _laughs()), ("tensor", torch.zeros(3)),
                           ("object", {"loss": _laughs()}))},
    **{f"fold-{name}": _set("init_args", "fold", value=value)
       for name, value in (("other", 1), ("path", "../1"), ("nan", NAN), ("laughs", _laughs()))},
    **{f"its-{key}-{name}": _set("init_args", key, value=value)
       for key in ("plans", "dataset_json")
       for name, value in (("text", "x"), ("empty", {}), ("list", []), ("laughs", _laughs()),
                           ("inner-laughs", {"labels": _laughs(), "configurations": _laughs()}))},
}  # fmt: skip
HARMLESS: dict[str, Callable[[Content], Any]] = {
    "more-keys": _set("whatever", value={"a": [1, None, torch.zeros(2)]}),
    "no-log": _drop("logging"),
    "no-optimizer": _drop("optimizer_state"),
    "mirroring-none": _set("inference_allowed_mirroring_axes", value=None),
    "doubles": _first(lambda tensor: tensor.double()),
    "not-contiguous": _first(lambda tensor: tensor.transpose(0, 1).contiguous().transpose(0, 1)),
    "parameter": _first(lambda tensor: torch.nn.Parameter(tensor)),
    "view-of-larger": _first(lambda tensor: torch.cat([tensor, tensor])[: len(tensor)]),
    "wrapped": _weights(lambda weights: {f"module.{name}": value for name, value in weights.items()}),
}


ALSO_NAMED = {
    "missing": "{model}",
    "file-": "{model}",
    "content-configuration": "{model}/plans.json",
    "-trainer-": "{model}",
}
"""What may be named instead of the file, by a part of the case's name: two files disagree, or it is not seen as one."""


def attacks() -> Iterator[Attack]:
    for call in CALLS:
        for container in CONTAINERS:
            yield _of(FINAL, "predict", f"code-{call}-{container}", Coded(FINAL, call, container))
        yield _of(LATEST, "resume", f"code-{call}", Coded(LATEST, call, "whole"))
        yield _of(FINAL, "pretrained", f"code-{call}", Coded(FINAL, call, "in-trainer-name"))
    yield from _archives()
    for name, change in WRONG_WEIGHTS.items():
        yield _of(FINAL, "predict", f"weights-{name}", InCheckpoint(FINAL, change))
        yield _of(FINAL, "pretrained", f"weights-{name}", InCheckpoint(FINAL, change))
        yield _of(LATEST, "resume", f"weights-{name}", InCheckpoint(LATEST, change))
    for name, change in WRONG_CONTENT.items():
        for verb in ("predict", "pretrained model"):
            yield _of(FINAL, verb, f"content-{name}", InCheckpoint(FINAL, change))
    for name, value in WRONG_DESCRIPTIONS.items():
        # Outside of a model folder a checkpoint is known by what it says of itself.
        spoils = (Removed("{model}/dataset.json"), InCheckpoint(FINAL, _set("init_args", "dataset_json", value=value)))
        yield Attack(FAMILY, f"description-{name}", "pretrained", spoils, Expected.REFUSED, (FINAL,))
    for name, axes in WRONG_MIRRORING.items():
        change = _set("inference_allowed_mirroring_axes", value=axes)
        yield _of(FINAL, "predict", f"mirroring-{name}", InCheckpoint(FINAL, change), Expected.REFUSED, MIRRORING)
    for name, change in WRONG_PROGRESS.items():
        yield _of(LATEST, "resume", f"progress-{name}", InCheckpoint(LATEST, change), EQUAL)
    for name, change in HARMLESS.items():
        yield _of(FINAL, "predict", f"harmless-{name}", InCheckpoint(FINAL, change), Expected.HARMLESS)


def _archives() -> Iterator[Attack]:
    for file, verb in ((FINAL, "predict"), (LATEST, "resume"), (FINAL, "pretrained")):
        for name, change in ARCHIVES.items():
            yield _of(file, verb, f"archive-{name}", By(file, change))
        for name, make in SPECIAL_FILES.items():
            # Without it a training goes on from the next best.
            expected = EQUAL if verb == "resume" else Expected.REFUSED
            yield _of(file, verb, f"file-{name}", Become(file, make), expected)
        for name, content in (("empty", b""), ("text", b"weights"), ("zip-magic", b"PK\3\4"), ("json", b"{}")):
            yield _of(file, verb, f"file-{name}", Text(file, content))
        yield _of(file, verb, "damaged-storage", By(file, wrong_checksum))
    for name, change in ODD_ARCHIVES.items():
        yield _of(FINAL, "predict", f"archive-{name}", By(FINAL, change), EQUAL)
    for twentieth in range(20):
        yield _of(FINAL, "predict", f"cut-at-{twentieth}/20", Cut(FINAL, twentieth / 20))
    for fortieth in range(40):
        yield _of(FINAL, "predict", f"flipped-at-{fortieth}/40", Flipped(FINAL, fortieth / 40), EQUAL)
    yield _of(FINAL, "predict", "missing", Removed(FINAL))


def _of(
    file: str, verb: str, name: str, spoil: Any, expected: Expected = Expected.REFUSED, more: tuple[str, ...] = ()
) -> Attack:
    named = (file, *(text for part, text in ALSO_NAMED.items() if part in name))
    # A resume reads the furthest checkpoint, which shall be the spoilt one.
    spoils = (Removed(FINISHED), spoil) if verb == "resume" else (spoil,)
    return Attack(FAMILY, name, verb, spoils, expected, named, more)
