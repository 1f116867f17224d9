"""Record models that the real nnunetv2 exported, and what it segments with them, for the tests to compare with.

Run it in an environment that has nnunetv2 2.8.1 (nothing of SegAutoPlan is imported); it takes half a minute:

    nnUNet_n_proc_DA=0 python Testing/Benchmarks/record_nnunet_models.py
    nnUNet_n_proc_DA=0 python Testing/Benchmarks/record_nnunet_models.py --install ARCHIVE MODEL IMAGE OUTPUT

The first writes `Testing/Fixtures/models.tar.xz`: per model the zip archive of nnU-Net's own export, an image, and its
segmentation by nnU-Net. The networks are tiny and their weights random: what they segment is noise, but the same each
time. The second installs an archive as nnU-Net's users do, and segments an image with the model of that name in it; the
test of archives of ours calls it.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

FIXTURE = Path(__file__).resolve().parents[1] / "Fixtures" / "models.tar.xz"
SIZE = 16
LABELS = {"background": 0, "left": 1, "right": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": 2}
FEATURES = [4, 8]


def architecture(kind: str, dimensions: int) -> dict:
    plain = kind == "plain"
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet."
        + ("PlainConvUNet" if plain else "ResidualEncoderUNet"),
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": FEATURES,
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * 2,
            "strides": [[1] * dimensions, [2] * dimensions],
            "n_conv_per_stage" if plain else "n_blocks_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def old_architecture(dimensions: int) -> dict:
    """The same plain network, as plans described it up to nnU-Net 2.3."""
    return {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": FEATURES[0],
        "unet_max_num_features": FEATURES[1],
        "n_conv_per_stage_encoder": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "num_pool_per_axis": [1] * dimensions,
        "pool_op_kernel_sizes": [[1] * dimensions, [2] * dimensions],
        "conv_kernel_sizes": [[3] * dimensions] * 2,
    }


def plans(configuration: str, network: dict, transposed: bool) -> dict:
    dimensions = 2 if configuration == "2d" else 3
    resampling = {"order": 1, "order_z": 0, "force_separate_z": None}
    entry = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [SIZE] * dimensions,
        "median_image_size_in_voxels": [float(SIZE)] * dimensions,
        "spacing": [1.0] * dimensions,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, **resampling, "order": 3},
        "resampling_fn_seg_kwargs": {"is_seg": True, **resampling},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, **resampling},
        "batch_dice": False,
        **network,
    }
    order = [2, 0, 1] if transposed else [0, 1, 2]
    names = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
    intensities = dict(zip(names, (9, 0, 0, -9, -5, 5, 1), strict=True))
    return {
        "dataset_name": "Dataset042_Noise",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0] * 3,
        "original_median_shape_after_transp": [SIZE] * 3,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": order,
        "transpose_backward": [order.index(axis) for axis in range(3)],
        "configurations": {configuration: entry},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }


MODELS = {
    "plain": ("nnUNetTrainer", "3d_fullres", {"architecture": architecture("plain", 3)}, LABELS, (0, 1, "all")),
    "old plans": ("nnUNetTrainerNoMirroring", "3d_fullres", old_architecture(3), LABELS, (0,)),
    "residual": ("nnUNetTrainer_5epochs", "3d_fullres", {"architecture": architecture("residual", 3)}, LABELS, (0,)),
    "batch norm": ("nnUNetTrainerBN", "3d_fullres", {"architecture": architecture("plain", 3)}, LABELS, (0,)),
    "slices": ("nnUNetTrainer", "2d", {"architecture": architecture("plain", 2)}, LABELS, (0,)),
    "regions": ("nnUNetTrainer", "3d_fullres", {"architecture": architecture("plain", 3)}, REGIONS, (0,)),
}
"""By name: trainer, configuration, network, labels, folds. `slices` has its axes turned, too."""


def description(labels: dict) -> dict:
    order = {"regions_class_order": [1, 2]} if labels is REGIONS else {}
    return {"channel_names": {"0": "MR"}, "labels": labels, **order, "numTraining": 5, "file_ending": ".nii.gz"}


def train_nothing(name: str, results: Path) -> Path:
    """The folder that training leaves, by nnU-Net's own trainer, which was given random weights."""
    import torch
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    trainer_name, configuration, network, labels, folds = MODELS[name]
    document = plans(configuration, network, transposed=name == "slices")
    # The trainer looks at the endings of the preprocessed cases, of which none is read.
    cases = results.parent / "preprocessed" / "Dataset042_Noise" / f"nnUNetPlans_{configuration}"
    cases.mkdir(parents=True, exist_ok=True)
    (cases / "case.b2nd").touch()
    for number, fold in enumerate(folds):
        torch.manual_seed(number)
        trainer = recursive_find_trainer_class_by_name(trainer_name)(
            plans={**copy.deepcopy(document), "continue_training": False},
            configuration=configuration,
            fold=fold,
            dataset_json=description(labels),
            device=torch.device("cpu"),
        )
        trainer.initialize()
        for key, parameter in trainer.network.named_parameters():
            # So that no class wins everywhere.
            is_scale = parameter.ndim == 1 and key.endswith("weight")
            torch.nn.init.normal_(parameter, mean=float(is_scale), std=0.5 if parameter.ndim > 1 else 0.1)
        for buffer in trainer.network.buffers():
            if buffer.ndim:
                torch.nn.init.uniform_(buffer, 0.5, 1.5)
        folder = Path(trainer.output_folder)
        trainer.save_checkpoint(str(folder / "checkpoint_final.pth"))
        (folder / "progress.png").write_bytes(b"picture")
        (folder / "validation").mkdir(exist_ok=True)
        summary = {"foreground_mean": {"Dice": 0.5}, "mean": {}, "metric_per_case": []}
        (folder / "validation" / "summary.json").write_text(json.dumps(summary))
    model = folder.parent
    for file, content in (("plans", document), ("dataset", description(labels)), ("dataset_fingerprint", {})):
        (model / f"{file}.json").write_text(json.dumps(content, indent=4))
    compared = model / "crossval_results_folds_0"
    compared.mkdir(exist_ok=True)
    (compared / "summary.json").write_text(json.dumps(summary))
    return model


def image(seed: int):
    """A volume that fits into one tile, so that sums of tiles in half precision play no part."""
    import numpy as np
    import SimpleITK as sitk

    volume = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=(SIZE,) * 3).astype(np.float32))
    volume.SetSpacing((1.0, 1.0, 1.0))
    return volume


def segment(model: Path, image_file: Path, output: Path, folds: tuple | None = None) -> None:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    # Without the weights of tiles, which would leave the corners of the only one few digits in half precision.
    predictor = nnUNetPredictor(device=torch.device("cpu"), use_gaussian=False, use_mirroring=True, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), folds, "checkpoint_final.pth")
    truncated = str(output).removesuffix(".nii.gz")
    predictor.predict_from_files_sequential([[str(image_file)]], [truncated], False, True)


def in_workspace(folder: Path) -> Path:
    """nnU-Net reads its folders from the environment when it is imported."""
    for part in ("raw", "preprocessed", "results"):
        (folder / part).mkdir()
        os.environ[f"nnUNet_{part}"] = str(folder / part)
    return folder / "results"


def record() -> None:
    with tempfile.TemporaryDirectory() as root:
        results = in_workspace(Path(root))
        import shutil

        import SimpleITK as sitk
        from nnunetv2.model_sharing.model_export import export_pretrained_model

        (Path(root) / "raw" / "Dataset042_Noise").mkdir()
        made = Path(root) / "made"
        for number, name in enumerate(MODELS):
            shutil.rmtree(results / "Dataset042_Noise", ignore_errors=True)
            trainer, configuration, _, _, folds = MODELS[name]
            model = train_nothing(name, results)
            folder = made / name.replace(" ", "_")
            folder.mkdir(parents=True)
            archive = str(folder / "model.zip")
            export_pretrained_model("Dataset042_Noise", archive, (configuration,), trainer, "nnUNetPlans", folds)
            sitk.WriteImage(image(number), str(folder / "image_0000.nii.gz"))
            segment(model, folder / "image_0000.nii.gz", folder / "image.nii.gz")
        with tarfile.open(FIXTURE, "w:xz") as archive:
            for path in sorted(made.rglob("*.*")):
                if path.suffix != ".json":
                    entry = tarfile.TarInfo(path.relative_to(made).as_posix())
                    content = path.read_bytes()
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    print(f"{FIXTURE}: {FIXTURE.stat().st_size} bytes")


def install(archive: Path, model: str, image_file: Path, output: Path) -> None:
    with tempfile.TemporaryDirectory() as root:
        results = in_workspace(Path(root))
        from nnunetv2.model_sharing.entry_points import install_from_zip_entry_point

        sys.argv = ["nnUNetv2_install_pretrained_model_from_zip", str(archive)]
        install_from_zip_entry_point()
        segment(results / model, image_file, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--install", nargs=4, metavar=("ARCHIVE", "MODEL", "IMAGE", "OUTPUT"))
    given = parser.parse_args().install
    if given is None:
        record()
    else:
        install(Path(given[0]), given[1], Path(given[2]), Path(given[3]))
