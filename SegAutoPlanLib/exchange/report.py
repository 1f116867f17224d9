"""The descriptions of the models of a folder or archive, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .description import CheckpointDescription, FoldDescription, ModelDescription, NetworkDescription

SHOWN_SEGMENTS = 12
SHOWN_LICENCE = 200
KINDS = {"plain": "plain U-Net", "residual": "residual encoder U-Net"}


@dataclass(frozen=True)
class ModelReport:
    """What a folder or an archive holds."""

    path: Path
    size: int
    """Bytes of all that would be taken along, unpacked."""
    models: tuple[ModelDescription, ...]
    left_out: Mapping[str, int]
    """Why → how many files an import leaves out."""
    problem: str = ""
    """Why an import would refuse it as a whole, as a sentence."""

    @property
    def is_usable(self) -> bool:
        return not self.problem and any(model.is_usable for model in self.models)

    def __str__(self) -> str:
        count = f"{len(self.models)} model{'s' if len(self.models) != 1 else ''}"
        lines = [f"{self.path}: {count}, {_size(self.size)} unpacked. Nothing was executed, unpacked or imported."]
        lines += [f"Cannot be imported: {self.problem}"] if self.problem else []
        lines += [line for model in self.models for line in _model(model)]
        lines += [f"An import leaves out {count} files: {reason}." for reason, count in self.left_out.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "path": str(self.path),
            "size": self.size,
            "usable": self.is_usable,
            "problem": self.problem,
            "models": [
                {"usable": model.is_usable, **asdict(model), "segments": dict(model.segments)} for model in self.models
            ],
            "left_out": dict(self.left_out),
        }


def _model(model: ModelDescription) -> list[str]:
    lines = [f"{model.dataset or 'unknown dataset'} / {model.name or 'unnamed'} ({_size(model.size)})"]
    lines.append("  can be used here" if model.is_usable else f"  CANNOT BE USED HERE: {model.problem}")
    if model.segments:
        shown = [f"{name} ({', '.join(map(str, values))})" for name, values in model.segments.items()]
        more = f" and {len(shown) - SHOWN_SEGMENTS} more" if len(shown) > SHOWN_SEGMENTS else ""
        lines.append(f"  segments {', '.join(shown[:SHOWN_SEGMENTS])}{more}")
        lines.append(
            f"  expects {len(model.channels)} channel{'s' if len(model.channels) != 1 else ''} per case: "
            f"{', '.join(model.channels)} ({model.file_ending})"
        )
    if model.network is not None:
        lines += _network(model.network, model.planner)
    lines += [f"  fold {fold.name}: {_fold(fold)}" for fold in model.folds]
    lines += [
        f"  cross-validation of folds {folds}: mean Dice {dice:.3f}" for folds, dice in model.cross_validation.items()
    ]
    lines += [f"  {what}: {text}" for what, text in model.said.items()]
    for name, text in model.licence_texts.items():
        lines.append(f"  licence text in {name}: {' '.join(text[: 2 * SHOWN_LICENCE].split())[:SHOWN_LICENCE]} …")
    if not model.licence_texts and "licence" not in model.said:
        lines.append("  licence: nothing is said; ask whoever made it before you use it for more than trying")
    return lines


def _network(network: NetworkDescription, planner: str) -> list[str]:
    lines = [
        f"  {network.configuration}: voxels of {_by(network.spacing_mm)} mm, patches of {_by(network.patch_size)} "
        f"voxels, batches of {network.batch_size}",
        f"  {KINDS[network.kind]} of {network.stages} stages, {network.parameters / 1e6:.1f} million parameters, "
        f"{network.normalization} normalisation; planned by {planner or 'an unknown planner'}",
    ]
    if network.previous_stage is not None:
        there = "is there, too" if network.has_previous_stage else "is NOT there, and is needed"
        lines.append(f"  second stage of a cascade; its first stage, {network.previous_stage}, {there}")
    return lines


def _fold(fold: FoldDescription) -> str:
    dice = f"; mean validation Dice {fold.validation_dice:.3f}" if fold.validation_dice is not None else ""
    return ", ".join(map(_checkpoint, fold.checkpoints)) + dice


def _checkpoint(checkpoint: CheckpointDescription) -> str:
    if checkpoint.problem:
        return f"{checkpoint.name} cannot be used ({checkpoint.problem})"
    epochs = f", {checkpoint.epoch} epochs" if checkpoint.epoch else ""
    axes = len(checkpoint.mirror_axes)
    mirroring = f"mirrored on {axes} axes" if axes else "never mirrored"
    return (
        f"{checkpoint.name} ({_size(checkpoint.size)}, {checkpoint.trainer or 'unknown trainer'}{epochs}, {mirroring})"
    )


def _by(values: tuple[float, ...]) -> str:
    return " × ".join(f"{value:g}" for value in values)


def _size(size: int) -> str:
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GB"
    return f"{size / (1 << 20):.0f} MB" if size >= 10 << 20 else f"{max(1, size >> 10)} kB"
