"""Unusual files are read and written as the real nnunetv2 2.8.1 did when record_nnunet_io.py recorded it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.images import read_image, write_segmentation
from SegAutoPlanLib.images.image_io import choose_image_io

FIXTURE = Path(__file__).resolve().parents[1] / "Fixtures" / "image_io.tar.xz"
COLOUR_AS_SLICES = "Tiff3DIO of nnunetv2 takes the rows of a colour picture for slices; we refuse"
DELIBERATE = {
    ("colour_0000.tif", "Tiff3DIO"): COLOUR_AS_SLICES,
    ("colour_16_bit_0000.tif", "Tiff3DIO"): COLOUR_AS_SLICES,
    ("alpha_0000.tif", "Tiff3DIO"): COLOUR_AS_SLICES,
}
"""Where we differ, and why."""


def recorded() -> dict[str, Any]:
    with tarfile.open(FIXTURE) as archive:
        return json.load(archive.extractfile("image_io/expected.json"))


EXPECTED = recorded()
READINGS = [(name, reader) for name, entry in EXPECTED.items() for reader in entry["readers"]]
WRITINGS = [
    (name, reader)
    for name, reader in READINGS
    if (name, reader) not in DELIBERATE and (EXPECTED[name]["readers"][reader] or {}).get("written")
]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(FIXTURE) as archive:
        for member in archive.getmembers():
            if member.isfile():
                (folder / Path(member.name).name).write_bytes(archive.extractfile(member).read())
    return folder


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def ending_of(name: str) -> str:
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


@pytest.mark.parametrize("name", EXPECTED)
def test_the_reader_chosen_is_nnunets(files, name):
    assert choose_image_io(ending_of(name), files / name).name == EXPECTED[name]["chosen"]


@pytest.mark.parametrize(("name", "reader"), READINGS)
def test_voxels_and_geometry_read_are_nnunets(files, name, reader):
    expected = EXPECTED[name]["readers"][reader]
    if expected is None or (name, reader) in DELIBERATE:
        with pytest.raises(UserInputError, match=name.split(".")[0]):
            read_image([files / name], reader)
        return
    image = read_image([files / name], reader)
    assert (list(image.array.shape), sha256(image.array)) == (expected["shape"], expected["sha256"])
    assert list(image.spacing) == expected["spacing"]
    properties = image.header.to_nnunet()
    assert properties.get("sitk_stuff", {}) == expected["sitk_stuff"]
    assert list(properties.get("nibabel_stuff", {})) == list(expected["nibabel_stuff"])
    for key, value in expected["nibabel_stuff"].items():
        np.testing.assert_allclose(properties["nibabel_stuff"][key], value, atol=1e-5)


@pytest.mark.parametrize(("name", "reader"), WRITINGS)
def test_files_written_are_nnunets(files, tmp_path, name, reader):
    expected = EXPECTED[name]["readers"][reader]["written"]
    image = read_image([files / name], reader)
    labels = (np.arange(image.array[0].size).reshape(image.array[0].shape) % 250).astype(np.int16)
    target = tmp_path / f"written{ending_of(name)}"
    write_segmentation(labels, target, image.header, reader)
    written = sitk.ReadImage(str(target))
    geometry = [written.GetSize(), written.GetSpacing(), written.GetOrigin(), written.GetDirection()]
    for ours, theirs in zip(geometry, expected["geometry"], strict=True):
        assert list(ours) == pytest.approx(theirs, abs=2e-5)
    assert sha256(sitk.GetArrayFromImage(written)) == expected["sha256"]
    assert written.GetPixelIDTypeAsString() == expected["type"]
