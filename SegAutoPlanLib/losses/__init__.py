"""(logits, target) → a scalar that training lowers."""

from .compound import DiceBinaryCrossEntropy, DiceCrossEntropy
from .deep_supervision import DeepSupervision, supervision_weights
from .named import LOSSES, build_loss

__all__ = [
    "LOSSES",
    "DeepSupervision",
    "DiceBinaryCrossEntropy",
    "DiceCrossEntropy",
    "build_loss",
    "supervision_weights",
]
