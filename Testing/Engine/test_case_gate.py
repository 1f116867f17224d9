"""A preprocessed case that is not as it was written is one sentence, or made anew."""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.preprocessing import open_preprocessed, open_training_case
from SegAutoPlanLib.preprocessing.case_file import write_case_file
from SegAutoPlanLib.preprocessing.storage import case_path, stored_stamps

Header = dict[str, Any]
SHAPE = (4, 5, 6)
PROPERTIES = {
    "sitk_stuff": {"spacing": [1, 1, 2], "origin": [0, 0, 0], "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
    "spacing": [2, 1, 1],
    "shape_before_cropping": [4, 5, 8],
    "bbox_used_for_cropping": [[0, 4], [0, 5], [1, 7]],
    "shape_after_cropping_and_before_resampling": [4, 5, 6],
}
TEXTS = {"stamps": '["s"]', "foreground": "[[1, 2], [[1, 2], 1]]", "properties": json.dumps(PROPERTIES)}


@pytest.fixture
def case(tmp_path) -> Path:
    """A sound one."""
    arrays = {
        "image": np.zeros((1, *SHAPE), np.float32),
        "foreground": np.array([[0, 0, 0], [3, 4, 5], [1, 1, 1]], np.int16),
        "segmentation": np.zeros(SHAPE, np.int16),
    }
    path = case_path(tmp_path, "liver_1")
    write_case_file(path, arrays, TEXTS)
    return path


def rewrite(path: Path, change: Callable[[Header], Any]) -> None:
    """Change the header of a case file, and leave its arrays where they are."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    changed = change(header)
    text = json.dumps(header if changed is None else changed).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def _array(name: str, **entries: Any) -> Callable[[Header], None]:
    return lambda header: header[name].update(entries)


def _text(name: str, value: Any) -> Callable[[Header], None]:
    return lambda header: header["__metadata__"].update({name: value if isinstance(value, str) else json.dumps(value)})


def _property(name: str, value: Any) -> Callable[[Header], None]:
    return _text("properties", {**PROPERTIES, name: value})


HEADERS: dict[str, Callable[[Header], Any]] = {
    "a list": lambda header: [],
    "nothing": lambda header: {},
    "an offset below 0": _array("image", data_offsets=[-480, 0]),
    "an offset beyond": _array("segmentation", data_offsets=[498, 10**15]),
    "an offset of 2^70": _array("segmentation", data_offsets=[498, 2**70]),
    "an offset that is text": _array("image", data_offsets=["0", "480"]),
    "three offsets": _array("image", data_offsets=[0, 480, 960]),
    "offsets the wrong way": _array("image", data_offsets=[480, 0]),
    "an array over another": _array("foreground", data_offsets=[0, 18]),
    "a shape that does not fit": _array("image", shape=[1, 4, 5, 7]),
    "a shape of 10^15": _array("image", shape=[10**5, 10**5, 10**5, 1]),
    "a shape below 0": _array("image", shape=[-1, -4, 5, 6]),
    "a shape of three axes": _array("image", shape=[4, 5, 6]),
    "a shape that is a number": _array("image", shape=120),
    "an unknown type": _array("image", dtype="F64"),
    "another type": _array("image", dtype="I32"),
    "a type that is a list": _array("image", dtype=["F32"]),
    "a segmentation of another shape": _array("segmentation", shape=[4, 6, 5]),
    "voxels of two numbers": _array("foreground", shape=[9, 1]),
    "no image": lambda header: {name: entry for name, entry in header.items() if name != "image"},
    "an entry that is null": lambda header: header.update(image=None),
    "texts that are a list": lambda header: header.update(__metadata__=[]),
    "no texts": lambda header: {name: entry for name, entry in header.items() if name != "__metadata__"},
    "foreground that is no JSON": _text("foreground", "x"),
    "foreground that is an object": _text("foreground", {}),
    "a class that is text": _text("foreground", [["x", 3]]),
    "a count below 0": _text("foreground", [[1, 4], [2, -1]]),
    "a count too many": _text("foreground", [[1, 4]]),
    "a count too few": _text("foreground", [[1, 2]]),
    "a class without a count": _text("foreground", [[1]]),
    "nested foreground": _text("foreground", "[" * 10_000),
    "properties that are no JSON": _text("properties", "x"),
    "properties that are a list": _text("properties", []),
    "no spacing": _property("spacing", None),
    "a spacing of 0": _property("spacing", [0, 1, 1]),
    "a spacing of NaN": _property("spacing", [float("nan"), 1, 1]),
    "a crop beyond the image": _property("bbox_used_for_cropping", [[0, 4], [0, 5], [1, 9]]),
    "a crop of nothing": _property("bbox_used_for_cropping", [[0, 4], [0, 5], [1, 1]]),
    "a crop below 0": _property("bbox_used_for_cropping", [[-1, 4], [0, 5], [1, 7]]),
    "a crop of two axes": _property("bbox_used_for_cropping", [[0, 4], [0, 5]]),
    "an image of 10^12 slices": _property("shape_before_cropping", [10**12, 5, 8]),
    "a grid that is text": _property("sitk_stuff", "x"),
    "a grid of four directions": _property("sitk_stuff", {**PROPERTIES["sitk_stuff"], "direction": [1, 0, 0, 1]}),
    "an affine of three rows": _property("nibabel_stuff", {"original_affine": [[1, 0, 0, 0]] * 3}),
}


def open_both(path: Path) -> None:
    open_training_case(path.parent, "liver_1")
    open_preprocessed(path.parent, "liver_1", (0, 1, 2))


def test_a_sound_case_opens(case):
    open_both(case)
    assert stored_stamps(case.parent, "liver_1") == ("s",)
    locations = open_training_case(case.parent, "liver_1").foreground_locations
    assert {label: len(voxels) for label, voxels in locations.items()} == {1: 2, (1, 2): 1}


@pytest.mark.parametrize("what", HEADERS)
def test_a_case_that_is_not_as_it_was_written_is_one_sentence_and_is_made_anew(what, case):
    rewrite(case, HEADERS[what])
    with pytest.raises(
        UserInputError, match=r"liver_1.*is not a preprocessed case \(.*delete it and preprocess"
    ) as one:
        open_both(case)
    assert len(str(one.value)) < 700
    assert stored_stamps(case.parent, "liver_1") == ()


@pytest.mark.parametrize("voxel", [[-1, 0, 0], [0, 0, 6], [4, 0, 0], [30_000, 0, 0]])
def test_a_voxel_outside_the_image_is_one_sentence_and_makes_the_case_anew(voxel, case):
    content = case.read_bytes()
    sound = np.array([3, 4, 5], np.int16).tobytes()
    case.write_bytes(content.replace(sound, np.array(voxel, np.int16).tobytes()))
    with pytest.raises(UserInputError, match=r"must be voxels of an image of \[4, 5, 6\]"):
        open_both(case)
    assert stored_stamps(case.parent, "liver_1") == ()


def test_stamps_that_are_no_list_of_text_make_the_case_anew(case):
    for stamps in ("x", [1], {"a": 1}, [["s"]]):
        rewrite(case, _text("stamps", stamps))
        assert stored_stamps(case.parent, "liver_1") == ()


def test_a_case_that_is_cut_or_changed_anywhere_in_its_header_is_one_sentence_or_opens(case):
    content = case.read_bytes()
    rng = random.Random(8)
    (length,) = struct.unpack("<Q", content[:8])
    for cut in range(0, len(content), max(1, len(content) // 20)):
        case.write_bytes(content[:cut])
        with pytest.raises(UserInputError, match="is not a preprocessed case"):
            open_both(case)
    for _ in range(60):
        place = rng.randrange(8 + length)
        case.write_bytes(content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :])
        # Whatever else is raised fails the test.
        with contextlib.suppress(UserInputError):
            open_both(case)


def test_what_is_no_file_is_one_sentence(case):
    case.unlink()
    case.mkdir()
    with pytest.raises(UserInputError, match="is a folder"):
        open_both(case)
    assert stored_stamps(case.parent, "liver_1") == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
def test_a_pipe_is_not_waited_for(case):
    case.unlink()
    os.mkfifo(case)
    with pytest.raises(UserInputError, match="pipe"):
        open_both(case)
