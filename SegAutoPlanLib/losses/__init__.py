"""(logits, target) → a scalar that training lowers. The names need no torch, the losses themselves do."""

from .named import LOSSES, NamedLoss, build_loss, find_loss

__all__ = ["LOSSES", "NamedLoss", "build_loss", "find_loss"]
