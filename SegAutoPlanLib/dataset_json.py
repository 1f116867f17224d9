"""What dataset.json says, read once for everybody: datasets, models, importers, evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import FileError
from .files import read_json
from .labels import LabelScheme

DATASET_FILE = "dataset.json"
# Distinct at a glance and for most colour-blind readers (Okabe and Ito, 2008), black left out.
FALLBACK_COLOURS = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)


@dataclass(frozen=True)
class Appearance:
    """How a label is shown: its colour (r, g, b, each 0 to 1) and Slicer's terminology entry (or an empty text)."""

    color: tuple[float, float, float]
    terminology: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"color": [round(part, 4) for part in self.color], "terminology": self.terminology}


@dataclass(frozen=True)
class DatasetJson:
    """The content of a dataset.json that was found to be sound."""

    source: Path
    document: dict[str, Any]
    """As it stands in the file, key order and unknown keys kept."""
    channel_names: tuple[str, ...]
    """In file order, which is the order of the normalisation schemes (nnU-Net's rule)."""
    label_scheme: LabelScheme
    file_ending: str

    @property
    def wanted_image_io(self) -> str | None:
        """The reader that `overwrite_image_reader_writer` asks for; nnU-Net writes "None" where nobody asks."""
        wanted = self.document.get("overwrite_image_reader_writer")
        return wanted if isinstance(wanted, str) and wanted != "None" else None

    def appearances(self) -> dict[str, Appearance]:
        """The look of each foreground entry of `labels`, by name; see `appearances_of`."""
        names = [name for name, _ in self.label_scheme.segments]
        return appearances_of(names, self.document.get("segments"), self.source)


def appearances_of(
    names: Iterable[str], known: Mapping[str, Any] | None, source: Path | str = DATASET_FILE
) -> dict[str, Appearance]:
    """The look of each name: from `known`, the `segments` of a dataset.json, else a colour of its own.

    Raises:
        FileError: an entry is not of the form {"color": [r, g, b], "terminology": "…"}.
    """
    known = known if isinstance(known, Mapping) else {}
    return {
        name: _appearance(name, known.get(name), FALLBACK_COLOURS[index % len(FALLBACK_COLOURS)], Path(source))
        for index, name in enumerate(names)
    }


def read_dataset_json(path: Path | str, required: Sequence[str] = ()) -> DatasetJson:
    """Read and check a dataset.json; see `parse_dataset_json`.

    Raises:
        UserInputError: the file is missing, is not JSON, or lacks something.
    """
    return parse_dataset_json(read_json(path), path, required)


def parse_dataset_json(document: Any, source: Path | str = DATASET_FILE, required: Sequence[str] = ()) -> DatasetJson:
    """Check the content of a dataset.json.

    Args:
        source: the file it came from, for the sentences.
        required: keys that must be there beside `channel_names`, `labels` and `file_ending`.

    Raises:
        UserInputError: a key is missing or holds what it cannot hold.
    """
    source = Path(source)
    if not isinstance(document, dict):
        raise FileError(source, "must hold one JSON object", "write it as nnU-Net's documentation shows")
    missing = [key for key in ("labels", *required, "file_ending") if key not in document]
    if "channel_names" not in document and "modality" not in document:
        missing.insert(0, "channel_names")
    if missing:
        raise FileError(source, f"lacks {', '.join(_quoted(missing))}", "add what is missing")
    ending = document["file_ending"]
    if not isinstance(ending, str) or not ending.startswith("."):
        raise FileError(source, '"file_ending" must be text that starts with a dot', 'write e.g. ".nii.gz"')
    return DatasetJson(
        source=source,
        document=document,
        channel_names=_channel_names(document, source),
        label_scheme=LabelScheme.from_dataset_json(document, str(source)),
        file_ending=ending,
    )


def _channel_names(document: dict[str, Any], source: Path) -> tuple[str, ...]:
    names = document.get("channel_names", document.get("modality"))
    if isinstance(names, dict) and names:
        return tuple(str(name) for name in names.values())
    raise FileError(source, '"channel_names" must map "0", "1", … to names', 'write e.g. {"0": "CT"}')


def _appearance(name: str, entry: Any, fallback: tuple[float, float, float], source: Path) -> Appearance:
    if entry is None:
        return Appearance(fallback)
    try:
        red, green, blue = (float(part) for part in entry["color"])
        return Appearance((red, green, blue), str(entry.get("terminology", "")))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FileError(
            source,
            f'the entry of "{name}" in "segments" must be {{"color": [r, g, b], "terminology": "…"}}',
            "correct or remove it",
        ) from None


def _quoted(keys: Sequence[str]) -> list[str]:
    return [f'"{key}"' for key in keys]
