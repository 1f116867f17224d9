"""What dataset.json says, read once for everybody: datasets, models, importers, evaluation.

Whatever is read of it passes the rules here; `document` keeps the rest, which nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import FileError
from .files import read_json
from .labels import LabelScheme
from .names import file_ending
from .schema import Rule, array_of, either, mapping_of, number, one_of, problem_of, record, text, whole

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
LINE = text(r"[^\x00-\x1f\x7f]*", "text of one line", longest=500)
MOST_CHANNELS = 10_000
"""A channel has four digits in the names of files."""
CHANNELS = mapping_of(LINE, LINE, shortest=1, longest=MOST_CHANNELS)
READER = text(r"[A-Za-z_]\w{0,99}", "the name of a reader")
SEGMENT = record({"color": array_of(number(0, 1), length=3)}, {"terminology": text()})
PATH = text(r"[^\x00]+", "the path of a file")
LISTED_CASE = record({"images": array_of(PATH, shortest=1, longest=MOST_CHANNELS), "label": PATH})
FIELDS: dict[str, tuple[Rule, str]] = {
    "file_ending": (file_ending, 'write e.g. ".nii.gz"'),
    "channel_names": (CHANNELS, 'write e.g. {"0": "CT"}'),
    "modality": (CHANNELS, 'write "channel_names": {"0": "CT"} instead'),
    "numTraining": (whole(0, 10**9), "write the number of training cases"),
    "overwrite_image_reader_writer": (either(one_of(None), READER), "correct or remove it"),
}
"""What the fields hold that are read wherever they stand, and what helps where they do not; `labels` see labels.py."""


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
    for name, (rule, remedy) in FIELDS.items():
        if name in document and (problem := problem_of(rule, document[name])) is not None:
            raise FileError(source, f'"{name}"{" " if problem[0] != "[" else ""}{problem}', remedy)
    return DatasetJson(
        source=source,
        document=document,
        channel_names=tuple(document.get("channel_names", document.get("modality")).values()),
        label_scheme=LabelScheme.from_dataset_json(document, str(source)),
        file_ending=document["file_ending"],
    )


def _appearance(name: str, entry: Any, fallback: tuple[float, float, float], source: Path) -> Appearance:
    if entry is None:
        return Appearance(fallback)
    if problem_of(SEGMENT, entry) is not None:
        raise FileError(
            source,
            f'the entry of "{name}" in "segments" must be {{"color": [r, g, b], "terminology": "…"}} with numbers '
            "from 0 to 1",
            "correct or remove it",
        )
    red, green, blue = (float(part) for part in entry["color"])
    return Appearance((red, green, blue), entry.get("terminology", ""))


def _quoted(keys: Sequence[str]) -> list[str]:
    return [f'"{key}"' for key in keys]
