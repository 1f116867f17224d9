"""Every reader of NIfTI refuses every header that cannot be true, in one sentence for all of them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.images import read_image, read_segmentation
from SegAutoPlanLib.images.image_size import largest_image
from SegAutoPlanLib.images.simpleitk_io import read_sitk_image

from .image_bytes import SHAPE, SOUND, gzipped, nifti
from .image_refusals import ITK_READERS, NIFTI_READERS, sentence

NAN, INF = math.nan, math.inf
SINGULAR = (0.5, 0.5, 0, 1, 0, 0, 0, 2, 0, 0, 2, 3)


def pixdim(*values: float) -> dict:
    return {"pixdim": (1, *values, 0, 0, 0, 0)}


def srow(number: int, value: float) -> dict:
    return {"srow": tuple(value if index == number else old for index, old in enumerate(SOUND["srow"]))}


NIFTI_FAULTS = {
    "spacing 0": (pixdim(0, 1, 1), "its spacing is"),
    "spacing negative": (pixdim(1, -1, 1), "its spacing is"),
    "spacing NaN": (pixdim(1, 1, NAN), "pixdim"),
    "spacing infinite": (pixdim(1, INF, 1), "pixdim"),
    "spacing 10^9": (pixdim(1, 1, 1e9), "its spacing is"),
    "spacing 10^-9": (pixdim(1e-9, 1, 1), "its spacing is"),
    "handedness NaN": ({"pixdim": (NAN, 1, 1, 1, 0, 0, 0, 0)}, "pixdim"),
    "sform NaN": (srow(1, NAN), "its axes do not span"),
    "sform infinite": (srow(0, INF), "its axes do not span"),
    "sform origin NaN": (srow(3, NAN), "its origin is"),
    "sform origin absurd": (srow(7, 1e30), "its origin is"),
    "sform zero": ({"srow": (0.0,) * 12}, "its axes do not span"),
    "sform singular": ({"srow": SINGULAR}, "its axes do not span"),
    "sform absurd": ({"srow": tuple(1e9 * value for value in SOUND["srow"])}, "its spacing is|its origin is"),
    "qform NaN": ({"codes": (1, 0), "quaternion": (NAN, 0, 0, 0, 0, 0)}, "qform"),
    "qform no rotation": ({"codes": (1, 0), "quaternion": (9, 9, 9, 0, 0, 0)}, "qform"),
    "qform origin NaN": ({"codes": (1, 0), "quaternion": (0, 0, 0, 0, NAN, 0)}, "its origin is"),
    "both forms, qform NaN": ({"codes": (1, 1), "quaternion": (0, NAN, 0, 0, 0, 0)}, "qform"),
    "rank 0": ({"dim": (0, *SHAPE, 1, 1, 1, 1)}, "has 0 dimensions"),
    "rank 1": ({"dim": (1, *SHAPE, 1, 1, 1, 1)}, "has 1 dimensions"),
    "rank 9": ({"dim": (9, *SHAPE, 1, 1, 1, 1)}, "has 9 dimensions"),
    "rank negative": ({"dim": (-3, *SHAPE, 1, 1, 1, 1)}, "has -3 dimensions"),
    "axis negative": ({"dim": (3, 5, -4, 3, 1, 1, 1, 1)}, "its grid is"),
    "axis empty": ({"dim": (3, 5, 0, 3, 1, 1, 1, 1)}, "its grid is"),
    "axis larger": ({"dim": (3, 5, 4, 4, 1, 1, 1, 1)}, "is cut short"),
    "axes absurd": ({"dim": (3, 32767, 32767, 32767, 1, 1, 1, 1)}, "is cut short"),
    "fifth axis": ({"dim": (5, 5, 4, 1, 1, 3, 1, 1)}, "components per voxel"),
    "offset 0": ({"vox_offset": 0}, "where the voxels begin"),
    "offset negative": ({"vox_offset": -400}, "where the voxels begin"),
    "offset in the header": ({"vox_offset": 100}, "where the voxels begin"),
    "offset beyond the file": ({"vox_offset": 1 << 24}, "is cut short"),
    "bits of another type": ({"bitpix": 8}, "bits to a voxel"),
    "bits 0": ({"bitpix": 0}, "bits to a voxel"),
    "type of more bits": ({"datatype": 64}, "bits to a voxel"),
    "type unknown": ({"datatype": 12345}, "unknown type"),
    "type none": ({"datatype": 0, "bitpix": 0}, "of no type"),
    "complex": ({"datatype": 32, "bitpix": 64}, "complex"),
    "colours": ({"datatype": 128, "bitpix": 24}, "colours"),
    "slope NaN": ({"scl": (NAN, 0)}, "scales its voxels"),
    "slope infinite": ({"scl": (INF, 0)}, "scales its voxels"),
    "slope all but 0": ({"scl": (1e-30, 0)}, "scales its voxels"),
    "intercept NaN": ({"scl": (1, NAN)}, "scales its voxels"),
    "intercept infinite": ({"scl": (2, -INF)}, "scales its voxels"),
}
ONLY_NIFTI_1 = {
    "offset NaN": ({"vox_offset": NAN}, "where the voxels begin"),
    "offset infinite": ({"vox_offset": INF}, "where the voxels begin"),
    "offset broken": ({"vox_offset": 352.5}, "where the voxels begin"),
}
NIFTI_ROWS = [
    pytest.param(version, ending, changes, words, id=f"{fault}-{version}{ending}")
    for version in (1, 2)
    for ending in (".nii", ".nii.gz")
    for fault, (changes, words) in {**NIFTI_FAULTS, **(ONLY_NIFTI_1 if version == 1 else {})}.items()
]


@pytest.mark.parametrize(("version", "ending", "changes", "words"), NIFTI_ROWS)
def test_a_nifti_header_that_cannot_be_true_is_the_same_sentence_in_every_reader(
    tmp_path, version, ending, changes, words
):
    content = nifti(version, **changes)
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzipped(content) if ending == ".nii.gz" else content)
    sentences = {sentence(path, reader) for reader in NIFTI_READERS}
    assert len(sentences) == 1
    assert re.search(words, sentences.pop())
    with pytest.raises(FileError, match=words):
        read_sitk_image(path)
    with pytest.raises(FileError, match=words):
        read_segmentation(path, "NibabelIO")
    assert largest_image([path]).values <= len(path.read_bytes())


@pytest.mark.parametrize("reader", NIFTI_READERS)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_the_sound_nifti_from_which_these_are_made_is_read(tmp_path, version, ending, reader):
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzipped(nifti(version)) if ending == ".nii.gz" else nifti(version))
    if version == 2 and reader in ITK_READERS:
        assert "is NIfTI-2, which SimpleITK does not read" in sentence(path, reader)
        return
    image = read_image([path], reader)
    assert sorted(image.array.ravel()) == list(range(60))
    assert image.spacing == pytest.approx((2, 0.75, 0.5))


@pytest.mark.parametrize("reader", NIFTI_READERS)
def test_a_nifti_that_goes_on_after_its_last_voxel_is_refused(tmp_path, reader):
    for name, content in {"a.nii": nifti() + bytes(3000), "a.nii.gz": gzipped(nifti() + bytes(3000))}.items():
        (tmp_path / name).write_bytes(content)
        assert "promises less than it holds" in sentence(tmp_path / name, reader)


def test_doubles_that_no_float_can_have_are_a_sentence(tmp_path):
    values = np.zeros(60)
    values[7] = 1e200
    (tmp_path / "a.nii").write_bytes(nifti(datatype=64, bitpix=64, voxels=values.tobytes()))
    for reader in NIFTI_READERS:
        assert "beyond 3.4e38" in sentence(tmp_path / "a.nii", reader)
