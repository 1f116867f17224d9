"""The gate of plans: whatever a stranger wrote into plans.json is obeyed or refused in a sentence."""

from __future__ import annotations

import copy
import itertools
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from SegAutoPlanLib.errors import FileError, UserInputError
from SegAutoPlanLib.fingerprint import Fingerprint
from SegAutoPlanLib.images.image_io import IMAGE_IOS
from SegAutoPlanLib.planning import plan_experiments, plan_from_json, plan_to_json, read_plan
from SegAutoPlanLib.planning.explanation import explain
from SegAutoPlanLib.planning.plan_gate import IMAGE_READERS, SMALLEST_DEVIATION
from SegAutoPlanLib.preprocessing import normalization

from ..Fixtures.planning_problems import PROBLEM_COUNT, planning_problem
from .planning_fixtures import dataset_of, fingerprint_like, liver, read_recorded

CT, T1 = "0", "1"
INTENSITIES = "foreground_intensity_properties_per_channel"
FULL = ("configurations", "3d_fullres")
NETWORK = (*FULL, "architecture", "arch_kwargs")
NAN, INFINITE = math.nan, math.inf
ABSENT = object()
STATISTICS = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
NOTHING_SAMPLED = dict.fromkeys(STATISTICS, NAN)


@pytest.fixture(scope="module")
def sound() -> dict[str, Any]:
    """A plan of a CT and an MR channel, with a configuration of a user."""
    dataset = liver(channels=("CT", "T1"))
    document = plan_to_json(plan_experiments(fingerprint_like(dataset, (100, 120, 120)), dataset))
    document["configurations"]["mine"] = {"inherits_from": "2d", "batch_size": 4}
    return json.loads(json.dumps(document))


def spoiled(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> Any:
    """A copy with another value at a place, or without it."""
    if not place:
        return value
    document = copy.deepcopy(document)
    *above, last = place
    holder = document
    for part in above:
        holder = holder[part]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value
    return document


def test_the_readers_that_a_plan_may_name_are_those_that_there_are():
    assert set(IMAGE_READERS) == set(IMAGE_IOS)


def test_smaller_deviations_than_a_plan_may_tell_would_be_replaced():
    assert SMALLEST_DEVIATION == normalization.SMALLEST_DEVIATION


REFUSED = [
    ((), [], "must be an object"),
    ((), None, "must be an object"),
    (("dataset_name",), 7, '"dataset_name" must be text of one line'),
    (("dataset_name",), "\x1b[2J", '"dataset_name" must be text of one line'),
    (("plans_name",), "../../../x", '"plans_name" must be the name of a file'),
    (("plans_name",), "/etc/x", '"plans_name" must be the name of a file'),
    (("plans_name",), "C:\\x", '"plans_name" must be the name of a file'),
    (("plans_name",), "nul", '"plans_name" must not be the name of a device'),
    (("plans_name",), "Dataset", '"plans_name" must not be Dataset'),
    (("plans_name",), "splits_final", '"plans_name" must not be splits_final'),
    (("plans_name",), "dataset_fingerprint", '"plans_name" must not be'),
    (("plans_name",), "x" * 5000, '"plans_name" must have at most'),
    (("plans_name",), ABSENT, 'lacks "plans_name"'),
    (("original_median_spacing_after_transp",), [1, 1], '"original_median_spacing_after_transp" must have 3'),
    (("original_median_spacing_after_transp", 1), 0, '"original_median_spacing_after_transp"[1] must be'),
    (("original_median_spacing_after_transp", 1), NAN, '"original_median_spacing_after_transp"[1] must be'),
    (("original_median_shape_after_transp", 2), -4, '"original_median_shape_after_transp"[2] must be'),
    (("image_reader_writer",), "os.system", '"image_reader_writer" must be'),
    (("image_reader_writer",), None, '"image_reader_writer" must be'),
    (("transpose_forward",), [0, 1, 1], '"transpose_forward" must name each'),
    (("transpose_forward",), [0, 1, 3], '"transpose_forward"[2] must be'),
    (("transpose_forward",), [False, True, 2], '"transpose_forward"[0] must be'),
    (("transpose_forward",), [1, 2, 0], '"transpose_backward" must be the way back'),
    (("transpose_backward",), [2, 0, 1], '"transpose_backward" must be the way back'),
    (("transpose_backward",), [0, 1], '"transpose_backward" must have 3'),
    (("label_manager",), "Mine", '"label_manager" must be'),
    (("experiment_planner_used",), ["x"], '"experiment_planner_used" must be'),
    ((INTENSITIES,), ABSENT, f'lacks "{INTENSITIES}"'),
    ((INTENSITIES,), {}, f'"{INTENSITIES}" must have 1 to'),
    ((INTENSITIES,), {"0": {}}, f'"{INTENSITIES}" "0" lacks "max", "mean"'),
    ((INTENSITIES, T1, "mean"), "1", f'"{INTENSITIES}" "1" "mean" must be a number'),
    ((INTENSITIES, T1, "std"), -1, '"std" must be a number from 0'),
    ((INTENSITIES, T1, "std"), NAN, '"std" must be a number from 0'),
    ((INTENSITIES, T1, "median"), NAN, '"median" must be a number'),
    ((INTENSITIES, T1, "max"), INFINITE, '"max" must be a number'),
    ((INTENSITIES, CT, "std"), 1e24, '"std" must not exceed'),
    ((INTENSITIES, CT, "percentile_00_5"), 400, 'has "percentile_00_5" 400 above "median" 101'),
    ((INTENSITIES, CT, "percentile_99_5"), 9000, 'has "percentile_99_5" 9000 above "max" 500'),
    ((INTENSITIES, CT, "mean"), -900, 'has "min" -200 above "mean" -900'),
    ((INTENSITIES, CT, "min"), 2000, 'above "'),
    (("configurations",), ABSENT, 'lacks "configurations"'),
    (("configurations",), [], '"configurations" must be an object'),
    (("configurations",), {str(number): {} for number in range(5000)}, '"configurations" must have 0 to 1000 entries'),
]
"""What is wrong with the whole plan: nothing of it can be used."""


@pytest.mark.parametrize(("place", "value", "words"), REFUSED)
def test_a_wrong_plan_is_one_sentence_that_names_file_and_field(tmp_path, sound, place, value, words):
    file = tmp_path / "plans.json"
    file.write_text(json.dumps(spoiled(sound, place, value)))
    with pytest.raises(FileError) as caught:
        read_plan(file)
    sentence = str(caught.value)
    assert sentence.startswith(f"{file}: is not an nnU-Net plan (")
    assert words in sentence
    assert sentence.endswith("plan the dataset again.")
    assert "\n" not in sentence
    assert len(sentence) < 600


OTHER_NORM = "torch.nn.modules.instancenorm.InstanceNorm2d"
UNUSABLE = [
    ((*FULL,), 4, "it must be an object, not 4"),
    ((*FULL, "inherits_from"), ["2d"], 'its "inherits_from" must be the name of a configuration'),
    ((*FULL, "inherits_from"), "gone", "it inherits from gone, which the plan does not have"),
    ((*FULL, "data_identifier"), "../../../x", 'its "data_identifier" must be the name of a file'),
    ((*FULL, "data_identifier"), "/tmp/x", 'its "data_identifier" must be the name of a file'),
    ((*FULL, "data_identifier"), "..", 'its "data_identifier" must be the name of a file'),
    ((*FULL, "data_identifier"), "GT_segmentations", 'its "data_identifier" must not be'),
    ((*FULL, "data_identifier"), ".hidden", 'its "data_identifier" must not be'),
    ((*FULL, "data_identifier"), "Dataset", 'its "data_identifier" must not be'),
    ((*FULL, "data_identifier"), "dataset.json", 'its "data_identifier" must not be'),
    ((*FULL, "data_identifier"), ABSENT, 'it lacks "data_identifier"'),
    ((*FULL, "preprocessor_name"), "MyPreprocessor", "its \"preprocessor_name\" must be 'DefaultPreprocessor'"),
    ((*FULL, "batch_size"), 0, 'its "batch_size" must be'),
    ((*FULL, "batch_size"), 2.0, 'its "batch_size" must be'),
    ((*FULL, "batch_size"), True, 'its "batch_size" must be'),
    ((*FULL, "batch_size"), 2**70, 'its "batch_size" must be'),
    ((*FULL, "patch_size"), [64, 64], 'its "patch_size" must have 3 entries'),
    ((*FULL, "patch_size"), [64, 64, 64, 64], 'its "patch_size" must have 2 to 3 entries'),
    ((*FULL, "patch_size", 0), 97, 'its "patch_size" must be multiples of'),
    ((*FULL, "patch_size", 0), 0, 'its "patch_size"[0] must be'),
    ((*FULL, "patch_size", 0), 2**31, 'its "patch_size"[0] must be'),
    ((*FULL, "median_image_size_in_voxels"), [1.0, 1.0], 'its "median_image_size_in_voxels" must have 3'),
    ((*FULL, "median_image_size_in_voxels", 0), NAN, 'its "median_image_size_in_voxels"[0] must be'),
    ((*FULL, "spacing"), [1.0, 1.0], 'its "spacing" must have 3 entries'),
    ((*FULL, "spacing", 0), 0, 'its "spacing"[0] must be'),
    ((*FULL, "spacing", 0), -1.0, 'its "spacing"[0] must be'),
    ((*FULL, "spacing", 0), INFINITE, 'its "spacing"[0] must be'),
    ((*FULL, "spacing", 0), 1e-30, 'its "spacing"[0] must be'),
    ((*FULL, "normalization_schemes", 0), "exec", 'its "normalization_schemes"[0] must be'),
    ((*FULL, "normalization_schemes"), ["CTNormalization"], 'its "use_mask_for_norm" must have as many'),
    ((*FULL, "use_mask_for_norm"), [False], 'its "use_mask_for_norm" must have as many'),
    ((*FULL, "use_mask_for_norm", 0), 0, 'its "use_mask_for_norm"[0] must be true or false'),
    ((*FULL, "batch_dice"), 1, 'its "batch_dice" must be true or false'),
    ((*FULL, "next_stage"), 4, 'its "next_stage" must be a list'),
    ((*FULL, "previous_stage"), "3d_fullres", 'its "previous_stage" leads in a circle'),
    ((*FULL, "previous_stage"), {}, 'its "previous_stage" must be the name of a configuration'),
    ((*FULL, "resampling_fn_data"), "exec", 'its "resampling_fn_data" must be'),
    ((*FULL, "resampling_fn_data"), ABSENT, 'it lacks "resampling_fn_data"'),
    ((*FULL, "resampling_fn_data"), "no_resampling_hack", "which is unknown here"),
    ((*FULL, "resampling_fn_data_kwargs", "order"), 6, 'its "resampling_fn_data_kwargs" "order" must be'),
    ((*FULL, "resampling_fn_data_kwargs", "order"), 1.5, 'its "resampling_fn_data_kwargs" "order" must be'),
    ((*FULL, "resampling_fn_data_kwargs", "is_seg"), True, 'its "resampling_fn_data_kwargs" "is_seg" must be false'),
    ((*FULL, "resampling_fn_seg_kwargs", "is_seg"), False, 'its "resampling_fn_seg_kwargs" "is_seg" must be true'),
    ((*FULL, "resampling_fn_seg_kwargs", "is_seg"), ABSENT, 'its "resampling_fn_seg_kwargs" lacks "is_seg"'),
    ((*FULL, "resampling_fn_seg_kwargs", "force_separate_z"), 1, '"force_separate_z" must be true or false'),
    ((*FULL, "resampling_fn_probabilities_kwargs", "order"), 3, '"order" must be 0 or 1, not 3'),
    ((*FULL, "architecture"), ABSENT, 'it lacks "architecture"'),
    ((*FULL, "architecture", "network_class_name"), "os.system", '"network_class_name" must be PlainConvUNet or'),
    ((*FULL, "architecture", "network_class_name"), "evil.PlainConvUNet", '"network_class_name" must be'),
    ((*NETWORK, "n_stages"), 10**9, '"n_stages" must be a whole number from 1 to 32'),
    ((*NETWORK, "n_stages"), 4, "must have 4 entries"),
    ((*NETWORK, "features_per_stage"), [32], '"features_per_stage" must have'),
    ((*NETWORK, "features_per_stage"), 10**9, '"features_per_stage" must be a whole number'),
    ((*NETWORK, "features_per_stage", 0), 0, '"features_per_stage"[0] must be'),
    ((*NETWORK, "conv_op"), "torch.nn.modules.conv.Conv1d", '"conv_op" must be'),
    ((*NETWORK, "conv_op"), "evil.Conv3d", '"conv_op" must be'),
    ((*NETWORK, "kernel_sizes"), 2, '"kernel_sizes" must be odd'),
    ((*NETWORK, "kernel_sizes", 0), [3, 3], '"kernel_sizes"[0] must have 3 entries'),
    ((*NETWORK, "kernel_sizes", 0, 1), 4, '"kernel_sizes"[0][1] must be odd'),
    ((*NETWORK, "kernel_sizes", 0, 1), 10**6 + 1, '"kernel_sizes"[0][1] must be'),
    ((*NETWORK, "strides", 0), [2, 2, 2], 'its "strides" must be 1'),
    ((*NETWORK, "strides", 1), [0, 2, 2], '"strides"[1][0] must be'),
    ((*NETWORK, "n_conv_per_stage"), ABSENT, 'lacks "n_conv_per_stage"'),
    ((*NETWORK, "n_conv_per_stage", 0), 10**6, '"n_conv_per_stage"[0] must be'),
    ((*NETWORK, "n_conv_per_stage"), 200, 'its "architecture" must have at most 500 blocks of convolutions, not 1'),
    ((*NETWORK, "n_conv_per_stage_decoder"), [2], '"n_conv_per_stage_decoder" must have'),
    ((*NETWORK, "conv_bias"), False, '"conv_bias" must be true'),
    ((*NETWORK, "norm_op"), OTHER_NORM, '"norm_op" must be'),
    ((*NETWORK, "norm_op"), "evil.InstanceNorm3d", '"norm_op" must be'),
    ((*NETWORK, "norm_op_kwargs"), {}, '"norm_op_kwargs" lacks "affine"'),
    ((*NETWORK, "norm_op_kwargs", "eps"), 1e-3, '"norm_op_kwargs" "eps" must be'),
    ((*NETWORK, "norm_op_kwargs", "affine"), False, '"norm_op_kwargs" "affine" must be true'),
    ((*NETWORK, "norm_op_kwargs", "momentum"), 1, "has the entry 'momentum', which is unknown here"),
    ((*NETWORK, "nonlin"), "evil.LeakyReLU", '"nonlin" must be'),
    ((*NETWORK, "nonlin_kwargs", "negative_slope"), 0.2, '"nonlin_kwargs" "negative_slope" must be 0.01'),
    ((*NETWORK, "dropout_op"), "torch.nn.Dropout3d", '"dropout_op" must be null'),
    ((*NETWORK, "stem_channels"), 16, '"stem_channels" must be null'),
    ((*NETWORK, "nonlin_first"), True, '"nonlin_first" must be false'),
    ((*NETWORK, "squeeze_excitation"), True, "has the entry 'squeeze_excitation', which is unknown here"),
    ((INTENSITIES, T1), ABSENT, 'its "normalization_schemes" is for 2 channels, but the plan for 1'),
    ((INTENSITIES, CT, "std"), 0, '"0" "std" must be a number above 1e-08, not 0, since CTNormalization uses it'),
    ((INTENSITIES, CT), NOTHING_SAMPLED, '"0" "max" must be a number'),
]
"""What is wrong with a configuration: the others stay."""


@pytest.mark.parametrize(("place", "value", "words"), UNUSABLE)
def test_a_wrong_configuration_says_which_of_its_fields_cannot_be_used(sound, place, value, words):
    document = spoiled(sound, place, value)
    # The one that does without: a channel fewer, or not the CT's intensities.
    other = document["configurations"]["other"] = copy.deepcopy(sound["configurations"]["2d"])
    other["normalization_schemes"] = ["ZScoreNormalization"] * len(document[INTENSITIES])
    other["use_mask_for_norm"] = [False] * len(document[INTENSITIES])
    plan = plan_from_json(document, "/a/plans.json")
    assert words in plan.unusable["3d_fullres"]
    assert "other" in plan.configurations
    with pytest.raises(
        UserInputError, match=r"^/a/plans.json: 3d_fullres cannot be used, because it.*; correct it, or"
    ):
        plan.configuration("3d_fullres")
    alone = {**document, "configurations": {"3d_fullres": document["configurations"]["3d_fullres"], "2d": 0}}
    with pytest.raises(UserInputError, match=r"^/a/plans.json: has no configuration for this program"):
        plan_from_json(alone, "/a/plans.json")


ALLOWED = [
    ((*NETWORK, "deep_supervision"), True),
    ((*NETWORK, "nonlin_first"), False),
    ((*NETWORK, "dropout_op_kwargs"), {"p": 0.5}),
    ((*NETWORK, "nonlin_kwargs"), {"negative_slope": 0.01}),
    ((*NETWORK, "nonlin_kwargs"), ABSENT),
    ((*NETWORK, "conv_op"), "torch.nn.Conv3d"),
    ((*FULL, "next_stage"), ["3d_cascade_fullres", "of_another_day"]),
    ((*FULL, "a_note"), {"of": ["a", "user"]}),
    ((INTENSITIES, T1), NOTHING_SAMPLED),
    ((INTENSITIES, T1, "number"), 17),
    (("a_note",), None),
]
"""What has no effect, or the one that is built here; NaN where nothing was sampled, if nobody needs it."""


@pytest.mark.parametrize(("place", "value"), ALLOWED)
def test_what_has_no_effect_is_let_through_and_kept(sound, place, value):
    document = spoiled(sound, place, value)
    plan = plan_from_json(document)
    assert not plan.unusable
    assert json.dumps(plan_to_json(plan)) == json.dumps(document)


def test_a_residual_network_may_tell_its_defaults():
    dataset = liver()
    document = plan_to_json(plan_experiments(fingerprint_like(dataset), dataset, "resenc-m"))
    block = "dynamic_network_architectures.building_blocks.residual.BasicBlockD"
    options = document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    options |= {"block": block, "bottleneck_channels": None, "stem_channels": None}
    assert not plan_from_json(document).unusable
    options["block"] = "dynamic_network_architectures.building_blocks.residual.BottleneckD"
    assert '"block" must be' in plan_from_json(document).unusable["3d_fullres"]


OLD = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 32,
    "unet_max_num_features": 320,
    "n_conv_per_stage_encoder": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[3, 3, 3]] * 3,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"UNet_class_name": "os.system"}, '"UNet_class_name" must be PlainConvUNet or ResidualEncoderUNet'),
        ({"UNet_base_num_features": "32"}, '"UNet_base_num_features" must be a whole number'),
        ({"unet_max_num_features": 10**9}, '"unet_max_num_features" must be a whole number'),
        ({"n_conv_per_stage_encoder": [2] * 100_000}, '"n_conv_per_stage_encoder" must have 1 to 32 entries'),
        ({"n_conv_per_stage_decoder": [2, 2, 2]}, '"n_conv_per_stage_decoder" must have 2 entries'),
        ({"pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]]}, '"pool_op_kernel_sizes" must have 3 entries'),
        ({"pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2]]}, '"pool_op_kernel_sizes"[2] must have 3 entries'),
        ({"conv_kernel_sizes": [[3, 3, 3], [3, 2, 3], [3, 3, 3]]}, '"conv_kernel_sizes"[1][1] must be odd'),
        ({"pool_op_kernel_sizes": [[2, 2, 2]] * 3}, '"strides" must be 1'),
    ],
)
def test_networks_of_old_plans_pass_the_same_gate(sound, change, words):
    document = copy.deepcopy(sound)
    entry = document["configurations"]["3d_fullres"]
    del entry["architecture"]
    entry |= {**OLD, **change}
    plan = plan_from_json(document)
    if words is None:
        assert not plan.unusable
    else:
        assert words in plan.unusable["3d_fullres"]


def test_a_long_line_of_heirs_is_followed_and_a_long_circle_is_told_shortly(sound):
    entries = sound["configurations"]
    heirs = {f"heir_{n}": {"inherits_from": f"heir_{n + 1}" if n < 890 else "2d"} for n in range(891)}
    circle = {f"round_{n}": {"inherits_from": f"round_{(n + 1) % 100}"} for n in range(100)}
    started = time.perf_counter()
    plan = plan_from_json({**sound, "configurations": {**entries, **heirs, **circle}})
    assert time.perf_counter() - started < 5
    assert plan.configurations["heir_0"].patch_size == plan.configurations["2d"].patch_size
    assert len(plan.unusable["round_7"]) < 200


def test_a_name_that_is_none_spoils_its_configuration_and_is_shown_harmlessly(sound):
    for name in ("../../x", "a/b", "\x1b[2Jx", "", "x" * 400):
        document = copy.deepcopy(sound)
        document["configurations"][name] = {"inherits_from": "2d"}
        plan = plan_from_json(document)
        assert list(plan.unusable) == [name]
        assert "\x1b" not in str(plan)
        assert len(plan.warnings[0]) < 400


# Whatever stands wherever


WRONG = (
    None,
    True,
    -1,
    0,
    10**24,
    0.5,
    NAN,
    INFINITE,
    "",
    "../../x",
    "\x1b[31mx",
    [],
    {},
    [1] * 7,
    {"0": 1},
    [[[]]],
    1e300,
)


def places(node: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document, itself included."""
    yield above
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, part in parts:
        yield from places(part, (*above, key))


@pytest.mark.parametrize("form", ["new", "old"])
def test_any_value_at_any_place_is_a_plan_that_can_be_explained_or_a_sentence(sound, form):
    document = copy.deepcopy(sound)
    del document["configurations"]["2d"]
    document["configurations"]["mine"]["inherits_from"] = "3d_fullres"
    if form == "old":
        del document["configurations"]["3d_fullres"]["architecture"]
        document["configurations"]["3d_fullres"] |= OLD
    plans = 0
    sentences = []
    for place, value in itertools.product(list(places(document)), WRONG):
        try:
            plan = plan_from_json(spoiled(document, place, copy.deepcopy(value)), "plans.json")
        except UserInputError as error:
            sentences.append(str(error))
            continue
        explain(plan)
        assert plan_to_json(plan)["configurations"], (place, value)
        plans += 1
    assert plans > 100
    assert len(sentences) > 100
    assert all(sentence.startswith("plans.json: ") for sentence in sentences)


def test_whatever_we_plan_can_be_read_again():
    """Where the recorded fingerprints' random intensities are replaced by possible ones."""
    possible = {
        "max": 500.0,
        "mean": 10.0,
        "median": 9.0,
        "min": -5.0,
        "percentile_00_5": -4.0,
        "percentile_99_5": 99.0,
    }
    read = 0
    for index in range(0, PROBLEM_COUNT, 7):
        problem = planning_problem(index)
        for statistics in problem.fingerprint[INTENSITIES].values():
            statistics |= {**possible, "std": 20.0}
        dataset = dataset_of(problem.description)
        try:
            plan = plan_experiments(
                Fingerprint.from_json(problem.fingerprint), dataset, gpu_memory_gb=problem.gpu_memory_gb
            )
        except UserInputError:
            continue
        assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))).configurations == plan.configurations
        read += 1
    assert read > 80


def test_every_plan_that_nnunet_made_is_read_whole_and_comes_back():
    intensities = {
        "max": 5.0,
        "mean": 1.0,
        "median": 1.0,
        "min": 0.0,
        "percentile_00_5": 0.0,
        "percentile_99_5": 5.0,
        "std": 1.0,
    }
    read = 0
    for recorded in read_recorded("plans.json.xz"):
        for document in recorded.values():
            if "configurations" not in document:
                continue
            channels = len(next(iter(document["configurations"].values()))["normalization_schemes"])
            document[INTENSITIES] = {str(channel): intensities for channel in range(channels)}
            plan = plan_from_json(document)
            assert not plan.unusable
            assert plan_to_json(plan) == document
            read += 1
    assert read > 2500
