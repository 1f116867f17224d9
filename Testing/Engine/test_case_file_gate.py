"""A preprocessed case that is damaged or forged is refused in one sentence, or made anew where that is promised."""

from __future__ import annotations

import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.images import SourceHeader
from SegAutoPlanLib.preprocessing import open_preprocessed, open_training_case
from SegAutoPlanLib.preprocessing.case import PreprocessedCase
from SegAutoPlanLib.preprocessing.case_geometry import CaseGeometry
from SegAutoPlanLib.preprocessing.storage import case_path, save_preprocessed, stored_stamps

SHAPE = (3, 4, 5)
AXES = (0, 1, 2)
NAME = "ball"
STAMPS = ("first", "second")
Document = dict[str, Any]


def sound_case() -> PreprocessedCase:
    rng = np.random.default_rng(0)
    geometry = CaseGeometry(SourceHeader((1.0, 1.0, 1.0)), AXES, SHAPE, tuple((0, size) for size in SHAPE))
    voxels = {1: np.array([[0, 0, 0], [2, 3, 4]], np.int16), (1, 2): np.array([[1, 1, 1]], np.int16)}
    image = rng.normal(size=(1, *SHAPE)).astype(np.float32)
    return PreprocessedCase(image, np.zeros(SHAPE, np.int16), geometry, voxels)


@pytest.fixture
def path(tmp_path) -> Path:
    save_preprocessed([tmp_path], NAME, sound_case(), STAMPS)
    return case_path(tmp_path, NAME)


def parts(path: Path) -> tuple[Document, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def rewrite(path: Path, header: Document | bytes, arrays: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + arrays)


def read(path: Path) -> PreprocessedCase:
    open_training_case(path.parent, NAME)
    return open_preprocessed(path.parent, NAME, AXES)


def require_refused(path: Path, words: str = "") -> None:
    with pytest.raises(UserInputError) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert words in sentence
    assert "preprocess the dataset again" in sentence
    assert "\n" not in sentence


def entry(array: str, **changes: Any):
    return lambda header: header[array].update(changes)


def words_in(name: str, content: Any):
    """Another JSON text."""
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda header: header["__metadata__"].update({name: text})


def properties(**changes: Any):
    def edit(header: Document) -> None:
        texts = header["__metadata__"]
        texts["properties"] = json.dumps({**json.loads(texts["properties"]), **changes})

    return edit


BOX = [[0, size] for size in SHAPE]
HEADERS = {
    "no image": (lambda header: header.pop("image"), "must lie from 0"),
    "no segmentation": (lambda header: header.pop("segmentation"), ""),
    "no texts": (lambda header: header.pop("__metadata__"), "__metadata__"),
    "texts in a list": (lambda header: header.update(__metadata__=["a"]), "__metadata__"),
    "an entry that is a number": (lambda header: header.update(image=7), '"image"'),
    "an unknown type": (entry("image", dtype="F8_E4M3"), "dtype"),
    "a type of another size": (entry("image", dtype="I16"), '"image"'),
    "whole numbers as image": (entry("image", dtype="I32"), "dtype"),
    "a negative shape": (entry("image", shape=[1, -3, -4, 5]), "shape"),
    "a shape of fractions": (entry("image", shape=[1, 3.0, 4, 5]), "shape"),
    "a shape beyond the file": (entry("image", shape=[1, 2**40, 2**40, 5]), '"image"'),
    "a shape of zeros": (entry("image", shape=[0, *SHAPE]), '"image"'),
    "three dimensions": (entry("image", shape=list(SHAPE)), "shape"),
    "another shape than the labels": (entry("segmentation", shape=[5, 4, 3]), "as large as the image"),
    "offsets beyond the file": (entry("image", data_offsets=[2**40, 2**40 + 240]), "must lie from"),
    "negative offsets": (entry("image", data_offsets=[-240, 0]), "data_offsets"),
    "offsets that run backwards": (entry("image", data_offsets=[240, 0]), '"image"'),
    "one offset": (entry("image", data_offsets=[0]), "data_offsets"),
    "true as offset": (entry("image", data_offsets=[False, 240]), "data_offsets"),
    "overlapping arrays": (entry("segmentation", data_offsets=[0, 120]), ""),
    "an unknown field": (entry("image", more=1), "unknown"),
    "voxels of two axes": (entry("foreground", shape=[9, 1]), "three numbers"),
}  # fmt: skip
TEXTS = {
    "classes that are no JSON": (words_in("foreground", "[["), "foreground"),
    "classes in an object": (words_in("foreground", {"1": 3}), "list"),
    "more voxels than there are": (words_in("foreground", [[1, 10**12]]), "counts"),
    "fewer voxels than there are": (words_in("foreground", [[1, 1]]), "counts"),
    "a negative count": (words_in("foreground", [[1, 4], [2, -1]]), ""),
    "a label that is an object": (words_in("foreground", [[{}, 3]]), ""),
    "a region in a region": (words_in("foreground", [[[[1]], 3]]), ""),
    "a class without count": (words_in("foreground", [[1]]), "2 entries"),
    "properties that are no JSON": (words_in("properties", "{"), "properties"),
    "properties twice": (words_in("properties", '{"spacing": [1,1,1], "spacing": [1,1,1]}'), "twice"),
    "properties nested deeply": (words_in("properties", "[" * 100_000), "nested"),
    "a number of 10^6 digits": (words_in("properties", "1" * 10**6), "digits"),
    "properties in a list": (words_in("properties", []), "object"),
    "spacing 0": (properties(spacing=[0, 1, 1]), "spacing"),
    "spacing of text": (properties(spacing="111"), "spacing"),
    "spacing NaN": (properties(spacing=[float("nan"), 1, 1]), "spacing"),
    "spacing of two axes": (properties(spacing=[1, 1]), "spacing"),
    "a box beyond the image": (properties(bbox_used_for_cropping=[[0, 99], *BOX[1:]]), "bbox"),
    "a box of nothing": (properties(bbox_used_for_cropping=[[1, 1], *BOX[1:]]), "bbox"),
    "a negative box": (properties(bbox_used_for_cropping=[[-1, 3], *BOX[1:]]), "bbox"),
    "a shape of 10^30": (properties(shape_before_cropping=[10**30, 4, 5]), "digits"),
    "a shape of 10^12": (properties(shape_before_cropping=[10**12, 4, 5]), "shape_before"),
    "sitk_stuff text": (properties(sitk_stuff="x"), "sitk_stuff"),
    "a direction of four": (
        properties(sitk_stuff={"spacing": [1] * 3, "origin": [0] * 3, "direction": [1, 0, 0, 1]}), "direction"),
    "an affine of three": (properties(nibabel_stuff={"original_affine": [[1] * 4] * 3}), "affine"),
}  # fmt: skip


@pytest.mark.parametrize("fault", [*HEADERS, *TEXTS])
def test_a_header_that_is_not_a_cases_is_refused(path, fault):
    change, words = {**HEADERS, **TEXTS}[fault]
    header, arrays = parts(path)
    change(header)
    rewrite(path, header, arrays)
    require_refused(path, words)


@pytest.mark.parametrize(
    "voxel", [[-1, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 5], [32767, 32767, 32767]], ids=lambda voxel: str(voxel)
)
def test_foreground_outside_the_image_is_refused(path, voxel):
    header, arrays = parts(path)
    start, _ = header["foreground"]["data_offsets"]
    spoilt = arrays[:start] + np.array(voxel, "<i2").tobytes() + arrays[start + 6 :]
    rewrite(path, header, spoilt)
    require_refused(path, "foreground")
    # So that preprocessing again makes it anew.
    assert stored_stamps(path.parent, NAME) == ()


FILES = {
    "empty": b"",
    "seven bytes": b"1234567",
    "a header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "no header": struct.pack("<Q", 0),
    "a list": struct.pack("<Q", 2) + b"[]",
    "no JSON": struct.pack("<Q", 4) + b"{{{{",
    "no UTF-8": struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
    "a pickle": b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
}


@pytest.mark.parametrize("fault", FILES)
def test_what_is_no_case_file_is_refused(path, fault):
    path.write_bytes(FILES[fault])
    require_refused(path)


def test_a_missing_case_and_one_that_is_no_file_are_refused(path):
    path.unlink()
    require_refused(path, "missing")
    path.mkdir()
    with pytest.raises(UserInputError, match="is a folder"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(path):
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserInputError, match="pipe"):
        read(path)


def test_a_case_that_is_cut_off_or_too_long_anywhere_is_refused(path):
    whole = path.read_bytes()
    for end in np.linspace(0, len(whole) - 1, 20, dtype=int):
        path.write_bytes(whole[:end])
        require_refused(path)
    path.write_bytes(whole + b"\0")
    require_refused(path)


def case_or_sentence(path: Path) -> tuple[PreprocessedCase | None, str]:
    try:
        return read(path), ""
    except UserInputError as error:
        return None, str(error)


def test_a_flipped_bit_of_the_header_is_a_sentence_or_leaves_a_case_of_the_same_size(path):
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    rng = random.Random(8)
    refused = 0
    for place in (rng.randrange(8 + length) for _ in range(200)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        case, sentence = case_or_sentence(path)
        if case is None:
            assert sentence.startswith(f"{path}: ")
            refused += 1
        else:
            assert case.data.shape == (1, *SHAPE)
            assert case.segmentation.shape == SHAPE
    assert refused > 50


@pytest.mark.parametrize("fault", [*HEADERS, *TEXTS])
def test_a_damaged_case_has_no_stamps_and_is_made_anew(path, fault):
    assert stored_stamps(path.parent, NAME) == STAMPS
    change, _ = {**HEADERS, **TEXTS}[fault]
    header, arrays = parts(path)
    change(header)
    rewrite(path, header, arrays)
    assert stored_stamps(path.parent, NAME) == ()


@pytest.mark.parametrize("stamps", ["{}", "7", "[[1]]", "[1]", "[", '"abc"', "null"])
def test_forged_stamps_are_none(path, stamps):
    header, arrays = parts(path)
    words_in("stamps", stamps)(header)
    rewrite(path, header, arrays)
    assert stored_stamps(path.parent, NAME) == ()


def test_what_was_written_is_read(path):
    case, sound = read(path), sound_case()
    np.testing.assert_array_equal(case.data, sound.data)
    np.testing.assert_array_equal(case.segmentation, sound.segmentation)
    assert case.geometry == sound.geometry
    assert case.foreground_locations.keys() == sound.foreground_locations.keys()
    for label, voxels in sound.foreground_locations.items():
        np.testing.assert_array_equal(case.foreground_locations[label], voxels)
