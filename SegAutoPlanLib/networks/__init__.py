"""Architecture → network, with nnU-Net's parameter names."""

from .nnunet_names import with_aliases, without_aliases
from .unet import UNet, build_network

__all__ = ["UNet", "build_network", "with_aliases", "without_aliases"]
