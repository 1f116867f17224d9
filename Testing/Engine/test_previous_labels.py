"""The files of labels that a first stage hands over."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.preprocessing.case_file import write_case_file
from SegAutoPlanLib.preprocessing.previous_stage import (
    open_previous_labels,
    origin_of_previous_labels,
    previous_labels_path,
    save_previous_labels,
)

VOXELS = np.zeros((2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "texts"),
    [
        ({"labels": VOXELS}, {}),
        ({"labels": VOXELS}, {"origin": "x" * 2000}),
        ({"labels": VOXELS.astype(np.float32)}, {"origin": ""}),
        ({"labels": VOXELS.astype(np.int16)}, {"origin": ""}),
        ({"labels": VOXELS[0]}, {"origin": ""}),
        ({"labels": VOXELS[:0]}, {"origin": ""}),
        ({"image": VOXELS}, {"origin": ""}),
    ],
)
def test_what_is_no_file_of_labels_is_refused_and_known_for_none(tmp_path, arrays, texts):
    write_case_file(previous_labels_path(tmp_path, "ball_0"), arrays, texts)
    with pytest.raises(UserInputError, match=r"ball_0\.labels\.safetensors: is not a preprocessed case"):
        open_previous_labels(tmp_path, "ball_0", VOXELS.shape)
    assert origin_of_previous_labels(tmp_path, "ball_0") is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_come_back_as_they_were_stored(tmp_path, dtype):
    labels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    save_previous_labels(tmp_path, "ball_0", labels, "an origin")
    found = open_previous_labels(tmp_path, "ball_0", (2, 3, 4))
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == dtype
    assert origin_of_previous_labels(tmp_path, "ball_0") == "an origin"
    with pytest.raises(UserInputError, match=r"ball_1\.labels\.safetensors: the file is missing"):
        open_previous_labels(tmp_path, "ball_1", (2, 3, 4))
