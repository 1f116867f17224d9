"""Wrong values of the fields of plans.json, and the verbs that must refuse each (others may do without the field)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..spoils import GONE
from ..wrong_values import INFINITY, NAN

Keys = tuple[str | int, ...]
Row = tuple[str, Keys, Any, tuple[str, ...]]

CONFIGURATION: Keys = ("configurations", "3d_fullres")
ARCHITECTURE: Keys = (*CONFIGURATION, "architecture")
NETWORK: Keys = (*ARCHITECTURE, "arch_kwargs")
FIRST_CHANNEL: Keys = ("foreground_intensity_properties_per_channel", "0")

PREDICT, PREPROCESS, TRAIN = "predict", "preprocess", "train"
ALL = (PREDICT, PREPROCESS, TRAIN)
NETWORKS = (PREDICT, TRAIN)
IMAGES = (PREDICT, PREPROCESS)

PATH_NAMES: tuple[Any, ...] = (
    "../../../x",
    "../../../../outside/x",
    "{outside}/x",
    "a/b",
    "..",
    "",
    "x" * 300,
    "a\0b",
    7,
    None,
    ["x"],
    {"x": 1},
)
WRONG_TRIPLES: tuple[Any, ...] = ([0, 1], [0, 1, 2, 3], [0, 0, 1], [1, 2, 3], [-1, 0, 1], [0, 1.5, 2], ["0", "1", "2"],
                                  None, {}, "012", 7, [], [True, False, 2], [2**70, 0, 1], [2, 0, 1])  # fmt: skip
CODE: tuple[Any, ...] = ("os.system", "subprocess.Popen", "builtins.eval", "NoSuch", "../x", "", 7, [])

TABLE: tuple[tuple[str, Keys, tuple[Any, ...], tuple[str, ...]], ...] = (
    ("data_identifier", (*CONFIGURATION, "data_identifier"),
     (*PATH_NAMES, ".", "gt_segmentations", "con", ".hidden", "dataset.json", "nnUNetPlans.json",
      "a\\..\\b"), (PREPROCESS, TRAIN)),
    ("plans_name", ("plans_name",), PATH_NAMES, (TRAIN,)),
    ("dataset_name", ("dataset_name",), PATH_NAMES, ()),
    ("transpose_forward", ("transpose_forward",), WRONG_TRIPLES, IMAGES),
    ("transpose_backward", ("transpose_backward",), WRONG_TRIPLES, IMAGES),
    ("image_reader_writer", ("image_reader_writer",), (*CODE, None), IMAGES),
    ("label_manager", ("label_manager",), CODE, (PREDICT,)),
    ("patch_size", (*CONFIGURATION, "patch_size"),
     ([0, 16, 16], [-16, 16, 16], [10**9] * 3, [4096] * 3, [16.5, 16, 16], [NAN, 16, 16], [16, 16], [16] * 4, [], None,
      "16", [[16], [16], [16]], [True, 16, 16], [2**70, 16, 16], [17, 16, 16], {}, 16), NETWORKS),
    ("batch_size", (*CONFIGURATION, "batch_size"), (0, -1, 1.5, "2", None, 10**9, 2**70, NAN, INFINITY, [2], {}),
     (TRAIN,)),
    ("spacing", (*CONFIGURATION, "spacing"),
     ([0, 1, 1], [NAN, 1, 1], [1e-9] * 3, [1e-3] * 3, [1e9] * 3, [-1, 1, 1], [1, 1], [1] * 4, [], None, "1",
      [INFINITY, 1, 1], ["1", "1", "1"], [True, 1, 1], [2**70, 1, 1], [None, 1, 1], 1), IMAGES),
    ("normalization_schemes", (*CONFIGURATION, "normalization_schemes"),
     (["NoSuch"], [], ["ZScoreNormalization"] * 2, "ZScoreNormalization", None, [7], ["os.system"], {}, [None]),
     IMAGES),
    ("use_mask_for_norm", (*CONFIGURATION, "use_mask_for_norm"),
     ([], [False, False], "x", ["x"], None, [None], {}, [2]), IMAGES),
    ("batch_dice", (*CONFIGURATION, "batch_dice"), ("x", 7, None, [], NAN), (TRAIN,)),
    ("preprocessor_name", (*CONFIGURATION, "preprocessor_name"), CODE, IMAGES),
    ("previous_stage", (*CONFIGURATION, "previous_stage"), ("nowhere", "3d_fullres", 7, [], "../x", True), NETWORKS),
    ("next_stage", (*CONFIGURATION, "next_stage"), (7, [7], {"a": 1}, "../x"), ()),
    ("inherits_from", (*CONFIGURATION, "inherits_from"), ("3d_fullres", "nowhere", 7, [], {}, True), ALL),
    ("architecture", ARCHITECTURE, (None, [], {}, "x", GONE), NETWORKS),
    ("network_class_name", (*ARCHITECTURE, "network_class_name"), (*CODE, None), NETWORKS),
    ("arch_kwargs", NETWORK, (None, [], {}, "x", GONE), NETWORKS),
    ("requires_import", (*ARCHITECTURE, "_kw_requires_import"), ("x", 7, {"a": 1}), ()),
    ("n_stages", (*NETWORK, "n_stages"), (0, -1, 10**9, "2", 1.5, NAN, 1, 3, None, [2]), NETWORKS),
    ("features", (*NETWORK, "features_per_stage"),
     ([10**7] * 2, [10**5] * 2, [0, 8], [-4, 8], [4], [4, 8, 16], "x", [4.5, 8], [True, 8], [2**70, 8], None, []),
     NETWORKS),
    ("kernel_sizes", (*NETWORK, "kernel_sizes"),
     ([[2] * 3] * 2, [[0] * 3] * 2, [[-3] * 3] * 2, [[3] * 2] * 2, [[3] * 3], [[10**6 + 1] * 3] * 2, "x", 4, None, [],
      [[3.5] * 3] * 2, [["3"] * 3] * 2), NETWORKS),
    ("strides", (*NETWORK, "strides"),
     ([[0] * 3] * 2, [[1] * 3, [0] * 3], [[1] * 3], [[1] * 2, [2] * 2], [[1] * 3, [10**9] * 3], [[1] * 3, [-2] * 3],
      "x", None, [], [[1] * 3, [1.5] * 3], [[1] * 3, [True] * 3], 0), NETWORKS),
    ("n_conv_per_stage", (*NETWORK, "n_conv_per_stage"), (0, -1, 10**6, "2", [2], [2, 2, 2], [0, 2], None, [NAN, 2]),
     NETWORKS),
    ("n_conv_per_stage_decoder", (*NETWORK, "n_conv_per_stage_decoder"),
     (0, -1, 10**6, "2", [], [2, 2], [0], None, [NAN]), NETWORKS),
    ("conv_op", (*NETWORK, "conv_op"), CODE, NETWORKS),
    ("conv_bias", (*NETWORK, "conv_bias"), ("x", 7, None, []), NETWORKS),
    ("norm_op", (*NETWORK, "norm_op"), CODE, NETWORKS),
    ("norm_op_kwargs", (*NETWORK, "norm_op_kwargs"),
     ({"eps": -1, "affine": True}, {"eps": "x"}, {"eps": None}, {"eps": NAN}, {"no_such": 1}, [],
      "x", 7, {"eps": 1e-5, "affine": True, "num_features": 7}), NETWORKS),
    ("dropout_op", (*NETWORK, "dropout_op"), CODE[:4], NETWORKS),
    ("nonlin", (*NETWORK, "nonlin"), CODE, NETWORKS),
    ("nonlin_kwargs", (*NETWORK, "nonlin_kwargs"),
     ({"negative_slope": "x"}, {"negative_slope": NAN}, {"no_such": 1}, [], "x", 7), NETWORKS),
    ("network-unknown-option", (*NETWORK, "no_such_option"), (7,), NETWORKS),
    ("configurations", ("configurations",), ({}, [], None, "x", {"3d_fullres": None}, {"3d_fullres": []}), ALL),
    ("intensities", ("foreground_intensity_properties_per_channel",), ({}, [], None, "x", {"0": None}, {"0": []}),
     IMAGES),
    *((f"intensity-{field}", (*FIRST_CHANNEL, field), ("x", None, NAN, INFINITY, [], True), IMAGES)
      for field in ("mean", "std", "percentile_00_5", "percentile_99_5")),
    ("intensity-std", (*FIRST_CHANNEL, "std"), (-1,), IMAGES),
    ("intensity-percentile", (*FIRST_CHANNEL, "percentile_00_5"), (1e30,), IMAGES),
    *((f"{field}", (*CONFIGURATION, field), (*CODE, None), IMAGES if "seg" not in field else (PREPROCESS,))
      for field in ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities")),
    *((f"{field}-{option}", (*CONFIGURATION, field, option), values,
       IMAGES if "data" in field else (PREPROCESS,) if "seg" in field else (PREDICT,))
      for field in ("resampling_fn_data_kwargs", "resampling_fn_seg_kwargs", "resampling_fn_probabilities_kwargs")
      for option, values in (("order", (-1, 99, "3", NAN, 1.5, None, [3])), ("order_z", (-1, 99, "0", NAN)),
                             ("force_separate_z", ("x", 7, [])), ("is_seg", ("x", 7)), ("no_such_option", (1,)))),
    *((f"missing-{keys[-1]}", keys, (GONE,), ALL) for keys in (
        ("configurations",), ("transpose_forward",), ("transpose_backward",), ("image_reader_writer",), ("plans_name",),
        (*CONFIGURATION, "spacing"), (*CONFIGURATION, "patch_size"), (*CONFIGURATION, "normalization_schemes"),
        (*CONFIGURATION, "data_identifier"), (*CONFIGURATION, "batch_size"), (*CONFIGURATION, "resampling_fn_data"))),
)  # fmt: skip

OBEYED: tuple[tuple[str, Keys, Any, tuple[str, ...]], ...] = (
    ("bias", (*NETWORK, "conv_bias"), False, NETWORKS),
    ("affine", (*NETWORK, "norm_op_kwargs"), {"eps": 1e-5, "affine": False}, NETWORKS),
    ("eps", (*NETWORK, "norm_op_kwargs"), {"eps": 0.5, "affine": True}, NETWORKS),
    ("running", (*NETWORK, "norm_op_kwargs"), {"eps": 1e-5, "affine": True, "track_running_stats": True}, NETWORKS),
    ("batch-norm", (*NETWORK, "norm_op"), "torch.nn.modules.batchnorm.BatchNorm3d", NETWORKS),
    ("relu", (*NETWORK, "nonlin"), "torch.nn.ReLU", NETWORKS),
    ("slope", (*NETWORK, "nonlin_kwargs"), {"inplace": True, "negative_slope": 5.0}, NETWORKS),
    ("convolution-2d", (*NETWORK, "conv_op"), "torch.nn.modules.conv.Conv2d", NETWORKS),
    ("features", (*NETWORK, "features_per_stage"), 4, NETWORKS),
    ("dropout", (*NETWORK, "dropout_op"), "torch.nn.modules.dropout.Dropout3d", (TRAIN,)),
    ("one-convolution", (*NETWORK, "n_conv_per_stage"), [1, 1], NETWORKS),
    ("batch-dice", (*CONFIGURATION, "batch_dice"), True, (TRAIN,)),
    ("batch-size", (*CONFIGURATION, "batch_size"), 3, (TRAIN,)),
    ("patch", (*CONFIGURATION, "patch_size"), [8, 16, 16], NETWORKS),
    ("spacing", (*CONFIGURATION, "spacing"), [2.0, 1.0, 1.0], IMAGES),
    ("no-normalization", (*CONFIGURATION, "normalization_schemes"), ["NoNormalization"], IMAGES),
    ("ct-normalization", (*CONFIGURATION, "normalization_schemes"), ["CTNormalization"], IMAGES),
    ("transposed", ("transpose_forward",), [1, 0, 2], IMAGES),
)
"""Sound values other than before, and the verbs that must do otherwise (or refuse): what is read is not ignored."""


def _rows() -> Iterator[Row]:
    for name, keys, values, refusing in TABLE:
        for number, value in enumerate(values):
            yield f"{name}-{number}-{_in_short(value)}", keys, value, refusing


def _in_short(value: Any) -> str:
    if value is GONE:
        return "gone"
    text = repr(value).replace("/", "|")
    return text if len(text) < 40 else f"{text[:37]}…"


ROWS: tuple[Row, ...] = tuple(_rows())
