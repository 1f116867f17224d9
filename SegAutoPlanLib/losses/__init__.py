"""(logits, target) → a scalar that training lowers."""

from .compound import DiceBinaryCrossEntropy, DiceCrossEntropy, default_loss
from .deep_supervision import DeepSupervision, supervision_weights

__all__ = [
    "DeepSupervision",
    "DiceBinaryCrossEntropy",
    "DiceCrossEntropy",
    "default_loss",
    "supervision_weights",
]
