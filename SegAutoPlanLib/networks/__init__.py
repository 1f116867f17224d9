"""Architecture → network, with nnU-Net's parameter names; its weights and their file, the checkpoint."""

from .checkpoint import describe_checkpoint, read_checkpoint, write_checkpoint
from .pretrained import load_pretrained, plan_start
from .transfer import Transfer
from .unet import UNet, build_network
from .weights import load_weights, planned_shapes, require_fit, shapes_of, with_aliases, without_aliases

__all__ = [
    "Transfer",
    "UNet",
    "build_network",
    "describe_checkpoint",
    "load_pretrained",
    "load_weights",
    "plan_start",
    "planned_shapes",
    "read_checkpoint",
    "require_fit",
    "shapes_of",
    "with_aliases",
    "without_aliases",
    "write_checkpoint",
]
