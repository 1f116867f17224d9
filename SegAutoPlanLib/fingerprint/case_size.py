"""How large the cases are, from the headers of their files."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset import Case, Dataset

CASES_LOOKED_AT = 8


@dataclass(frozen=True)
class CaseSize:
    voxels: int
    values: int
    """Voxels times channels."""
    volume_mm3: float


def largest_case(dataset: Dataset) -> CaseSize:
    """The size of the case with the largest files; a missing file counts as nothing (reading it tells)."""
    return max((_size(case, len(dataset.channel_names)) for case in _candidates(dataset)), key=lambda s: s.values)


def _candidates(dataset: Dataset) -> list[Case]:
    """Compressed size says roughly which cases are large; a few of those are opened."""

    def bytes_on_disk(case: Case) -> int:
        return sum(file.stat().st_size for file in case.image_files if file.is_file())

    return sorted(dataset.cases, key=bytes_on_disk, reverse=True)[:CASES_LOOKED_AT]


def _size(case: Case, channels: int) -> CaseSize:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(case.image_files[0]))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # Not a file type that SimpleITK reads: its size on disk has to do.
        voxels = case.image_files[0].stat().st_size if case.image_files[0].is_file() else 0
        return CaseSize(voxels, voxels * channels, float(voxels))
    voxels, volume = 1, 1.0
    for size, spacing in zip(reader.GetSize(), reader.GetSpacing(), strict=True):
        voxels *= size
        volume *= size * spacing
    return CaseSize(voxels, voxels * channels, volume)
