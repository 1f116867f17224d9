"""What a plans.json may say that it must not: in a stranger's model, and in the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..spoils import InJson, Merged
from ..wrong_values import WRONG_VALUES
from .plan_rows import CONFIGURATION, NETWORK, OBEYED, ROWS

FAMILY = "plans.json"
FILES = {
    "predict": "{model}/plans.json",
    "look at model": "{model}/plans.json",
    "preprocess": "{preprocessed}/nnUNetPlans.json",
    "train": "{preprocessed}/nnUNetPlans.json",
    "evaluate": "{predictions}/plans.json",
}

OF_THE_PLAN = ("transpose_forward", "transpose_backward", "image_reader_writer", "dataset_name", "plans_name",
               "original_median_spacing_after_transp", "original_median_shape_after_transp", "label_manager",
               "experiment_planner_used", "configurations", "foreground_intensity_properties_per_channel")  # fmt: skip
OF_A_CONFIGURATION = ("data_identifier", "preprocessor_name", "batch_size", "patch_size", "median_image_size_in_voxels",
                      "spacing", "normalization_schemes", "use_mask_for_norm", "resampling_fn_data",
                      "resampling_fn_data_kwargs", "resampling_fn_probabilities_kwargs", "architecture", "batch_dice",
                      "inherits_from", "previous_stage")  # fmt: skip
OF_A_NETWORK = ("n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "norm_op_kwargs",
                "nonlin_kwargs", "dropout_op_kwargs")  # fmt: skip


def attacks() -> Iterator[Attack]:
    for name, keys, value, refusing in ROWS:
        for verb in ("predict", "preprocess", "train"):
            expected = Expected.REFUSED if verb in refusing else Expected.REFUSED_OR_EQUAL
            yield attack_on(verb, name, keys, value, expected)
        yield attack_on("look at model", name, keys, value, Expected.ANSWERED)
    for name, keys, value, verbs in OBEYED:
        for verb in verbs:
            yield attack_on(verb, f"obeyed-{name}", keys, value, Expected.REFUSED_OR_OBEYED)
    yield from _inheritance()
    for verb in ("predict", "preprocess", "train"):
        for keys in _every_place():
            for name, value in WRONG_VALUES.items():
                if (keys[-1], value) == ("batch_dice", True):
                    continue  # it is right there, and obeyed
                yield attack_on(verb, f"{'.'.join(map(str, keys))}-{name}", keys, value, Expected.REFUSED_OR_EQUAL)


def _inheritance() -> Iterator[Attack]:
    """Configurations that inherit from each other in long chains and circles."""
    chain = {f"c{number}": {"inherits_from": f"c{number + 1}"} for number in range(5000)}
    chains = {
        "chain-of-5000": {**chain, "c5000": {"inherits_from": "3d_fullres"}},
        "circle-of-5000": {**chain, "c5000": {"inherits_from": "c0"}},
        "thousands": {f"c{number}": {"inherits_from": "3d_fullres"} for number in range(5000)},
    }
    for name, more in chains.items():
        for verb in ("predict", "look at model", "preprocess"):
            expected = Expected.ANSWERED if verb == "look at model" else Expected.REFUSED_OR_EQUAL
            spoil = Merged(FILES[verb], ("configurations",), more)
            yield Attack(FAMILY, f"inherits-{name}", verb, (spoil,), expected, (FILES[verb],))


def _every_place() -> Iterator[tuple[str | int, ...]]:
    """The fields of a plan that matter most, each of which gets every wrong value."""
    yield from ((key,) for key in OF_THE_PLAN)
    yield from ((*CONFIGURATION, key) for key in OF_A_CONFIGURATION)
    yield from ((*CONFIGURATION, key, 0) for key in ("patch_size", "spacing"))
    yield from ((*NETWORK, key) for key in OF_A_NETWORK)


def attack_on(verb: str, name: str, keys: tuple[str | int, ...], value: Any, expected: Expected) -> Attack:
    """The verb meets a plan of which one value is another."""
    file = FILES[verb]
    return Attack(FAMILY, name, verb, (InJson(file, keys, value),), expected, (file, "checkpoint_final.pth"))
