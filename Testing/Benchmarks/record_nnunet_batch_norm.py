"""Record what the networks of nnU-Net's nnUNetTrainerBN are and give, for the tests to compare with.

Run it in an environment that has nnunetv2 2.8.1 (nothing of SegAutoPlan is imported):

    python Testing/Benchmarks/record_nnunet_batch_norm.py
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerBN import nnUNetTrainerBN
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"
sys.path.insert(0, str(FIXTURES))
CLASSES = {"plain": "PlainConvUNet", "residual": "ResidualEncoderUNet"}
BLOCKS = {"plain": "n_conv_per_stage", "residual": "n_blocks_per_stage"}


def network(kind: str, dimensions: int) -> torch.nn.Module:
    architecture = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{CLASSES[kind]}",
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [4, 6, 8],
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * 3,
            "strides": [[1] * dimensions, [2] * dimensions, [2] * dimensions],
            BLOCKS[kind]: [1, 2, 1],
            "n_conv_per_stage_decoder": [1, 1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return nnUNetTrainerBN.build_network_architecture(
        None, ConfigurationManager({"architecture": architecture}), 1, 3, False
    )


def record(kind: str, dimensions: int) -> dict:
    from batch_norm_weights import fill, image, sampled

    net = network(kind, dimensions)
    state = net.state_dict()
    fill({name: tensor for name, tensor in state.items() if ".all_modules." not in name and "decoder.enc" not in name})
    keys = {name: list(tensor.shape) for name, tensor in state.items()}
    with torch.no_grad():
        segmenting = sampled(net.eval()(image(dimensions)))
        training = sampled(net.train()(image(dimensions)))
    first = next(name for name in state if name.endswith(".running_mean"))
    return {"keys": keys, "segmenting": segmenting, "training": training, "first": first, "mean": state[first].tolist()}


if __name__ == "__main__":
    recorded = {f"{kind}{dimensions}d": record(kind, dimensions) for kind in CLASSES for dimensions in (2, 3)}
    (FIXTURES / "batch_norm.json.xz").write_bytes(lzma.compress(json.dumps(recorded).encode()))
