"""`losses`: the losses by name, what each is for, and when to take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dataset import load_dataset
from ..losses import LOSSES, NamedLoss, find_loss
from ..progress import SILENT, Reporter
from ..workspace import Workspace


@dataclass(frozen=True)
class LossesOptions:
    """Which losses to list."""

    dataset: str | Path | None = None
    """An id, a name, or the folder of a raw dataset whose labels the losses must fit; None lists all."""


@dataclass(frozen=True)
class LossTable:
    """The losses that can be chosen."""

    losses: tuple[NamedLoss, ...]
    default: str | None
    """What a training of the dataset takes if nothing is chosen; None where no dataset was named."""

    def __str__(self) -> str:
        width = max(len(loss.name) for loss in self.losses)
        kinds = {loss.name: _kind_in_words(loss) for loss in self.losses}
        lines = [f"{loss.name:{width}}  {kinds[loss.name]:16}  {loss.advice}" for loss in self.losses]
        if self.default is not None:
            lines.append(f"Without --loss, training takes {self.default} for this dataset.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """As plain values."""
        rows = [
            {"name": loss.name, "labels": loss.for_labels, "regions": loss.for_regions, "advice": loss.advice}
            for loss in self.losses
        ]
        return {"losses": rows, "default": self.default}


def losses(workspace: Workspace, options: LossesOptions, reporter: Reporter = SILENT) -> LossTable:
    """All losses, or those that fit a dataset.

    Raises:
        UserInputError: there is no such dataset, or its dataset.json cannot be read.
    """
    if options.dataset is None:
        return LossTable(tuple(LOSSES.values()), None)
    scheme = load_dataset(workspace.raw_folder(options.dataset)).label_scheme
    return LossTable(tuple(loss for loss in LOSSES.values() if loss.fits(scheme)), find_loss(None, scheme).name)


def _kind_in_words(loss: NamedLoss) -> str:
    if loss.for_labels and loss.for_regions:
        return "labels, regions"
    return "labels" if loss.for_labels else "regions"
