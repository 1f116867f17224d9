"""Every reader refuses every header that cannot be true, in one sentence, before a voxel is read."""

from __future__ import annotations

import math
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.images import header_promise, read_image, read_segmentation
from SegAutoPlanLib.images.image_io import IMAGE_IOS
from SegAutoPlanLib.images.image_size import largest_image
from SegAutoPlanLib.images.simpleitk_io import SMALL_NIFTI_BYTES, read_sitk_image

from .image_bytes import SHAPE, SOUND, VOXELS, bmp, gipl, gzipped, metaimage, nifti, nrrd, png, tiff

ROOT = Path(__file__).resolve().parents[2]
NAN, INF = math.nan, math.inf
ITK_READERS = ("SimpleITKIO", "SimpleITKIOWithReorient")
NIFTI_READERS = (*ITK_READERS, "NibabelIO", "NibabelIOWithReorient")
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


def sentence(path: Path, reader: str) -> str:
    with pytest.raises(FileError) as caught:
        read_image([path], reader)
    text = str(caught.value)
    assert text.startswith(f"{path}: "), text
    assert text.endswith("."), text
    assert "\n" not in text
    return text


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


NRRD_FAULTS = {
    "spacing 0": ({"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "its spacing is"),
    "spacing NaN": ({"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"}, "its spacing is"),
    "spacing infinite": ({"space_directions": "(1,0,0) (0,inf,0) (0,0,1)"}, "its spacing is"),
    "spacing 10^9": ({"space_directions": "(1,0,0) (0,1,0) (0,0,1e9)"}, "its spacing is"),
    "spacing 10^-9": ({"space_directions": "(1e-9,0,0) (0,1,0) (0,0,1)"}, "its spacing is"),
    "singular": ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "its axes do not span"),
    "origin NaN": ({"space_origin": "(nan,0,0)"}, "its origin is"),
    "plain spacing negative": (
        {"space_directions": None, "space_origin": None, "space": None, "spacings": "1 -1 1"},
        "its spacing is",
    ),
    "directions too few": ({"space_directions": "(1,0,0) (0,1,0)"}, "do not fit its axes"),
    "directions no numbers": ({"space_directions": "(a,0,0) (0,1,0) (0,0,1)"}, "where numbers should be"),
    "sizes too few": ({"sizes": "5 4"}, "where numbers should be"),
    "size 0": ({"sizes": "5 0 3"}, "its grid is"),
    "size negative": ({"sizes": "5 -4 3"}, "its grid is"),
    "sizes larger": ({"sizes": "5 4 4"}, "is cut short"),
    "sizes absurd": ({"sizes": "99999999999 99999999999 99999999999"}, "is cut short"),
    "size of 10000 digits": ({"sizes": "5 4 " + "9" * 10000}, "where numbers should be"),
    "rank 1": ({"dimension": "1", "sizes": "60", "space_directions": None, "kinds": "domain"}, "has 1 dimensions"),
    "rank none": ({"dimension": None}, "where numbers should be"),
    "type unknown": ({"type": "strange"}, "unknown type"),
    "type block": ({"type": "block"}, "unknown type"),
    "encoding unknown": ({"encoding": "zip"}, "encoding is unknown"),
    "detached": ({"data_file": "other.raw"}, "in another file"),
    "detached above": ({"data_file": "../../etc/passwd"}, "in another file"),
    "detached absolute": ({"datafile": "/dev/zero"}, "in another file"),
    "detached list": ({"data_file": "LIST"}, "in another file"),
    "twice": ({"Type": "double"}, "twice"),
    "complex": ({"dimension": "4", "sizes": "2 5 2 3", "kinds": "complex domain domain domain",
                 "space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}, "components per voxel"),
    "vector": ({"dimension": "4", "sizes": "3 5 2 2", "kinds": "vector domain domain domain",
                "space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}, "components per voxel"),
    "text too short": ({"data": b"1 2 3", "encoding": "ascii", "sizes": "1000 1000 500"}, "is cut short"),
    "digits too few": ({"data": b"aabb", "encoding": "hex", "sizes": "1000 1000 500"}, "is cut short"),
    "lines to pass over": ({"data": b"\n\n1", "line_skip": "1", "sizes": "1000 1000 500"}, "is cut short"),
    "cut short": ({"data": VOXELS.tobytes()[:-2]}, "is cut short"),
    "goes on": ({"data": VOXELS.tobytes() * 100}, "promises less than it holds"),
    "byte skip beyond": ({"byte_skip": "999999"}, "is cut short"),
}  # fmt: skip
META_FAULTS = {
    "spacing 0": ({"ElementSpacing": "0 1 1"}, "its spacing is"),
    "spacing negative": ({"ElementSpacing": "1 -1 1"}, "its spacing is"),
    "spacing NaN": ({"ElementSpacing": "1 1 nan"}, "its spacing is"),
    "spacing infinite": ({"ElementSpacing": "1 inf 1"}, "its spacing is"),
    "spacing 10^9": ({"ElementSpacing": "1 1 1e9"}, "its spacing is"),
    "spacing missing an axis": ({"ElementSpacing": "1 1"}, "has 3 axes"),
    "origin NaN": ({"Offset": "nan 0 0"}, "its origin is"),
    "singular": ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "its axes do not span"),
    "matrix zero": ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "its axes do not span"),
    "matrix NaN": ({"TransformMatrix": "1 0 0 0 nan 0 0 0 1"}, "its axes do not span"),
    "size 0": ({"DimSize": "5 0 3"}, "its grid is"),
    "size negative": ({"DimSize": "5 -4 3"}, "its grid is"),
    "size larger": ({"DimSize": "5 4 4"}, "is cut short"),
    "size absurd": ({"DimSize": "2000000000 2000000000 2000000000"}, "is cut short"),
    "rank 1": ({"NDims": "1", "DimSize": "60", "ElementSpacing": "1", "Offset": "0", "TransformMatrix": "1"},
               "has 1 dimensions"),
    "rank absurd": ({"NDims": "2000000000"}, "where numbers should be"),
    "type unknown": ({"ElementType": "MET_OTHER"}, "unknown type"),
    "type array": ({"ElementType": "MET_SHORT_ARRAY"}, "unknown type"),
    "vector": ({"ElementNumberOfChannels": "3", "DimSize": "5 2 2"}, "components per voxel"),
    "components 0": ({"ElementNumberOfChannels": "0"}, "components per voxel"),
    "components absurd": ({"ElementNumberOfChannels": "2000000000"}, "is cut short"),
    "detached": ({"ElementDataFile": "other.raw"}, "in another file"),
    "detached absolute": ({"ElementDataFile": "/dev/zero"}, "in another file"),
    "detached list": ({"ElementDataFile": "LIST"}, "in another file"),
    "detached pattern": ({"ElementDataFile": "a%03d.raw 1 999999 1"}, "in another file"),
    "twice": ({"dimsize": "5 4 2"}, "twice"),
    "text too short": ({"data": b"1 2 3", "BinaryData": "False", "DimSize": "1000 1000 500"}, "is cut short"),
    "cut short": ({"data": VOXELS.tobytes()[:-2]}, "is cut short"),
    "goes on": ({"data": VOXELS.tobytes() * 100}, "promises less than it holds"),
    "compressed damaged": ({"CompressedData": "True", "data": zlib.compress(VOXELS.tobytes())[:-1] + b"x"}, "damaged"),
    "compressed cut": ({"CompressedData": "True", "data": zlib.compress(VOXELS.tobytes())[:-9]}, "damaged"),
}  # fmt: skip
GIPL_FAULTS = {
    "spacing 0": ({"spacing": (0, 1, 1)}, "its spacing is"),
    "spacing NaN": ({"spacing": (1, NAN, 1)}, "its spacing is"),
    "spacing negative": ({"spacing": (1, 1, -1)}, "its spacing is"),
    "origin infinite": ({"origin": (INF, 1, -1)}, "its origin is"),
    "size 0": ({"shape": (0, 4, 3)}, "its grid is"),
    "size larger": ({"shape": (5, 4, 4)}, "is cut short"),
    "size absurd": ({"shape": (65535, 65535, 65535, 65535)}, "is cut short"),
    "type unknown": ({"kind": 99}, "unknown type"),
    "complex": ({"kind": 192}, "unknown type"),
}
ITK_ROWS = [
    pytest.param(f"a{ending}", build, changes, words, id=f"{ending} {fault}")
    for ending, build, faults in (
        (".nrrd", nrrd, NRRD_FAULTS),
        (".mha", metaimage, META_FAULTS),
        (".gipl", gipl, GIPL_FAULTS),
    )
    for fault, (changes, words) in faults.items()
]


@pytest.mark.parametrize(("name", "build", "changes", "words"), ITK_ROWS)
def test_a_header_that_cannot_be_true_is_a_sentence(tmp_path, name, build, changes, words):
    path = tmp_path / name
    path.write_bytes(build(**changes))
    for reader in ITK_READERS:
        assert re.search(words, sentence(path, reader))
    if "components" not in words:
        with pytest.raises(FileError, match=words):
            read_sitk_image(path, may_have_components=True)
        assert largest_image([path]).values <= len(path.read_bytes())


@pytest.mark.parametrize(("name", "content"), [("a.nrrd", nrrd()), ("a.mha", metaimage()), ("a.gipl", gipl())])
@pytest.mark.parametrize("reader", ITK_READERS)
def test_the_sound_files_from_which_these_are_made_are_read(tmp_path, name, content, reader):
    (tmp_path / name).write_bytes(content)
    image = read_image([tmp_path / name], reader)
    assert sorted(image.array.ravel()) == list(range(60))
    assert image.spacing == pytest.approx((2, 0.75, 0.5))


def test_layers_of_segments_are_read_where_they_are_expected(tmp_path):
    path = tmp_path / "a.seg.nrrd"
    layers = {"dimension": "4", "sizes": "2 5 2 3", "kinds": "list domain domain domain"}
    path.write_bytes(nrrd(**layers, space_directions="none (1,0,0) (0,1,0) (0,0,1)"))
    assert read_sitk_image(path, may_have_components=True).GetNumberOfComponentsPerPixel() == 2


PICTURE_ROWS = {
    "png cut short": ("a.png", png()[:40], "."),
    "png empty": ("a.png", png()[:20], "is cut short"),
    "png absurd": ("a.png", png(1 << 30, 1 << 30), "is cut short"),
    "png taller": ("a.png", png(5, 40000), "is cut short"),
    "png width 0": ("a.png", png(0, 4), "its grid is"),
    "png unknown": ("a.png", png(bits=3), "unknown type"),
    "png checksum": ("a.png", png()[:16] + b"\0\0\0\7" + png()[20:], "is damaged"),
    "bmp cut short": ("a.bmp", bmp()[:-9], "is cut short"),
    "bmp empty": ("a.bmp", bmp()[:20], "is cut short"),
    "bmp absurd": ("a.bmp", bmp(2**31 - 1, -(2**31)), "is cut short"),
    "bmp width negative": ("a.bmp", bmp(-5), "its grid is"),
    "bmp height 0": ("a.bmp", bmp(5, 0), "its grid is"),
    "bmp unknown": ("a.bmp", bmp(bits=13), "unknown type"),
    "bmp offset": ("a.bmp", bmp(offset=1 << 30), "where the pixels begin"),
    "jpeg cut short": ("a.jpg", b"\xff\xd8\xff\xe0\0\x10", "is cut short"),
}


@pytest.mark.parametrize(("name", "content", "words"), PICTURE_ROWS.values(), ids=PICTURE_ROWS)
def test_a_picture_that_cannot_be_true_is_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert re.search(words, sentence(tmp_path / name, "NaturalImage2DIO"))


@pytest.mark.parametrize(("name", "content"), [("a.png", png()), ("a.bmp", bmp()), ("a.bmp", bmp(5, -4))])
def test_the_sound_pictures_from_which_these_are_made_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_image([tmp_path / name], "NaturalImage2DIO").array.shape[1:] == (1, 4, 5)


TIFF_FAULTS = {
    "circle": ({"next_page": {2: 128}}, "in a circle"),
    "circle of one": ({"next_page": {1: 128}}, "in a circle"),
    "next page beyond": ({"next_page": {1: 1 << 30}}, "is cut short"),
    "page beyond the end": ({"next_page": {2: 1 << 20}}, "is cut short"),
    "pixels beyond": ({"changes": {2: {273: 1 << 30}}}, "is cut short"),
    "pixels too few": ({"changes": {1: {279: 10}}}, "is cut short"),
    "pixels too long": ({"changes": {2: {279: 1 << 30}}}, "is cut short"),
    "strips too few": ({"changes": {1: {278: 1}}}, "is cut short"),
    "strips absent": ({"changes": {1: {273: None}}}, "is cut short"),
    "other size": ({"changes": {1: {256: 4, 279: 32}}}, "differ in size or kind"),
    "other bits": ({"changes": {2: {258: 8}}}, "differ in size or kind"),
    "mask between slices": ({"changes": {1: {254: 4}}}, "differ in size or kind"),
    "smaller copy before slices": ({"changes": {0: {254: 1}}}, "differ in size or kind"),
    "slices of two types": ({"changes": {0: {254: 0}, 1: {254: 2}}}, "differ in size or kind"),
    "smaller copy by the old tag": ({"changes": {1: {255: 2}}}, "differ in size or kind"),
    "smaller copies only": ({"changes": {n: {254: 1} for n in range(3)}}, "differ in size or kind"),
    "planes and pixels": ({"changes": {1: {284: 2}}}, "differ in size or kind"),
    "width 0": ({"changes": {0: {256: 0}}}, "has a page of 0 x 4"),
    "height absurd": ({"changes": {n: {257: 1 << 31, 278: 1 << 31} for n in range(3)}}, "is cut short"),
    "bits unknown": ({"changes": {n: {258: 1 << 20} for n in range(3)}}, "unknown type|is cut short"),
    "complex": ({"changes": {n: {339: 6} for n in range(3)}}, "complex"),
}


@pytest.mark.parametrize("big", [False, True], ids=["tiff", "bigtiff"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("fault", TIFF_FAULTS)
def test_a_tiff_whose_pages_cannot_be_true_is_a_sentence(tmp_path, fault, order, big):
    changes, words = TIFF_FAULTS[fault]
    path = tmp_path / "a_0000.tif"
    path.write_bytes(tiff(big=big, order=order, **changes))
    if "circle" in fault:
        first = struct.unpack_from(order + ("Q" if big else "I"), path.read_bytes(), 8 if big else 4)[0]
        path.write_bytes(tiff(big=big, order=order, next_page=dict.fromkeys(changes["next_page"], first)))
    for reader in ("Tiff3DIO", "NaturalImage2DIO", "SimpleITKIO"):
        assert re.search(words, sentence(path, reader))


@pytest.mark.parametrize("big", [False, True], ids=["tiff", "bigtiff"])
def test_a_stack_cut_anywhere_is_a_sentence_and_never_a_shorter_stack(tmp_path, big):
    content = tiff(pages=4, big=big)
    path = tmp_path / "a_0000.tif"
    path.write_bytes(content)
    assert read_image([path], "Tiff3DIO").array[0, :, 0, 0].tolist() == [1, 2, 3, 4]
    for kept in range(0, len(content), 7):
        path.write_bytes(content[:kept])
        sentence(path, "Tiff3DIO")


def test_a_stack_of_imagej_with_one_page_for_many_images_is_refused(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="NOT TESTED: writing such a stack needs tifffile")
    path = tmp_path / "a_0000.tif"
    tifffile.imwrite(
        path, np.zeros((4, 5), np.uint16), description="ImageJ=1.53\nimages=40\nslices=40\n", metadata=None
    )
    assert "40 images" in sentence(path, "NaturalImage2DIO")


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"spacing": 1}', '{"spacing": [1, 1]}', '{"spacing": [1, 1, 0]}', '{"spacing": [1, 1, -1]}',
     '{"spacing": [1, 1, NaN]}', '{"spacing": [1, 1, Infinity]}', '{"spacing": [1, 1, 1e9]}',
     '{"spacing": [1, 1, 1e-9]}', '{"spacing": [1, 1, true]}', '{"spacing": [1, 1, "1"]}', "{", "[" * 5000],
)  # fmt: skip
def test_a_spacing_file_that_cannot_be_true_is_a_sentence(tmp_path, text):
    (tmp_path / "a_0000.tif").write_bytes(tiff())
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(FileError) as caught:
        read_image([tmp_path / "a_0000.tif"], "Tiff3DIO")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}: ")


OTHER_TYPES = {
    "png as nii.gz": ("a.nii.gz", png(), NIFTI_READERS),
    "png as nii": ("a.nii", png(), NIFTI_READERS),
    "gzip as nii": ("a.nii", gzipped(nifti()), NIFTI_READERS),
    "gzip as nrrd": ("a.nrrd", gzipped(nrrd()), ITK_READERS),
    "gzip as mha": ("a.mha", gzipped(metaimage()), ITK_READERS),
    "nifti as nrrd": ("a.nrrd", nifti(), ITK_READERS),
    "nrrd as mha": ("a.mha", nrrd(), ITK_READERS),
    "nrrd as nii.gz": ("a.nii.gz", nrrd(), NIFTI_READERS),
    "text as nii.gz": ("a.nii.gz", b"hello", NIFTI_READERS),
    "nothing as nii.gz": ("a.nii.gz", b"", NIFTI_READERS),
    "nothing as nrrd": ("a.nrrd", b"", ITK_READERS),
    "png as tif": ("a_0000.tif", png(), ("Tiff3DIO", "NaturalImage2DIO")),
    "tiff as png": ("a.png", tiff(1), ("NaturalImage2DIO",)),
    "bmp as png": ("a.png", bmp(), ("NaturalImage2DIO",)),
    "gzip of something": ("a.nii.gz", gzipped(b"something else" * 100), NIFTI_READERS),
    "gzip of nothing": ("a.nii.gz", gzipped(b""), NIFTI_READERS),
    "pair of header and voxels": ("a.nii", nifti().replace(b"n+1", b"ni1"), NIFTI_READERS),
    "detached nhdr": ("a.nhdr", nrrd(data_file="/dev/zero"), ITK_READERS),
    "detached mhd": ("a.mhd", metaimage(ElementDataFile="/dev/zero"), ITK_READERS),
}


@pytest.mark.parametrize(("name", "content", "readers"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_a_file_of_another_type_than_its_ending_says_is_a_sentence(tmp_path, name, content, readers):
    (tmp_path / name).write_bytes(content)
    assert len({sentence(tmp_path / name, reader) for reader in readers}) == 1


NAMES_OF_READERS = {
    "NaturalImage2DIO": ("a_0000.png", "a_0000.bmp", "a_0000.tif"),
    "Tiff3DIO": ("a_0000.tif",),
    **dict.fromkeys(ITK_READERS, ("a_0000.nii.gz", "a_0000.nii", "a_0000.nrrd", "a_0000.mha", "a_0000.gipl")),
    **dict.fromkeys(("NibabelIO", "NibabelIOWithReorient"), ("a_0000.nii.gz", "a_0000.nii")),
}
NAMED = [(reader, name) for reader, names in NAMES_OF_READERS.items() for name in names]


def test_every_reader_has_its_rows():
    assert set(NAMES_OF_READERS) == set(IMAGE_IOS)


@pytest.mark.parametrize(("reader", "name"), NAMED)
def test_what_is_no_ordinary_file_is_a_sentence_and_never_a_hang(tmp_path, reader, name):
    path = tmp_path / name
    assert "the file is missing" in sentence(path, reader)
    path.mkdir()
    assert "is a folder" in sentence(path, reader)
    assert largest_image([path]).values >= 0
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert "is a pipe" in sentence(path, reader)
        largest_image([path])
        path.unlink()
        path.symlink_to("/dev/zero")
        assert "device" in sentence(path, reader)
        largest_image([path])


def zeros_deflated(count: int, wbits: int, before: bytes = b"") -> bytes:
    """So many zeros, deflated piece by piece."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    parts = [packer.compress(before)]
    piece = bytes(1 << 20)
    parts += [packer.compress(piece) for _ in range(count >> 20)]
    return b"".join([*parts, packer.flush()])


HONEST, LYING = 1 << 28, (8, 8, 8)


def bomb(name: str, shape: tuple[int, int, int]) -> bytes:
    """2^28 bytes of zeros behind a header that promises a volume of 16-bit voxels."""
    if name == "a.nii.gz":
        return zeros_deflated(HONEST, 31, nifti(dim=(3, *shape, 1, 1, 1, 1), voxels=b""))
    if name == "a.nrrd":
        return nrrd(zeros_deflated(HONEST, 31), sizes="{} {} {}".format(*shape), encoding="gzip")
    if name == "a.mha":
        data = zeros_deflated(HONEST, 15)
        return metaimage(
            data, DimSize="{} {} {}".format(*shape), CompressedData="True", CompressedDataSize=str(len(data))
        )
    return png(1 << 14, 1 << 14, rows=None)[:33] + png(rows=bytes(1 << 22))[33:]


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_what_the_memory_does_not_hold_is_refused_before_it_is_asked_for(tmp_path, name, monkeypatch):
    path = tmp_path / name
    path.write_bytes(bomb(name, (512, 512, 512)))
    monkeypatch.setattr(header_promise, "available_memory", lambda: 1 << 28)
    tracemalloc.start()
    for reader in NIFTI_READERS if name == "a.nii.gz" else ITK_READERS:
        assert "0.3 GB of voxels" in sentence(path, reader)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: the resource module tells what a process held")
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO"])
def test_no_more_is_inflated_than_the_header_promises(tmp_path, name, reader):
    if name != "a.nii.gz" and reader == "NibabelIO":
        return
    (tmp_path / name).write_bytes(bomb(name, LYING))
    script = (
        "import resource, sys\n"
        "from SegAutoPlanLib.errors import FileError\n"
        "from SegAutoPlanLib.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    read_image([sys.argv[1]], sys.argv[2])\n"
        "except FileError as error:\n"
        "    print(error, end='')\n"
        "print()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / name), reader]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    text, kilobytes = done.stdout.splitlines()
    assert not text or text.startswith(str(tmp_path / name))
    assert int(kilobytes) * (1 if sys.platform == "linux" else 1 / 1024) < 60_000


def test_a_large_file_with_a_wrong_checksum_is_a_sentence(tmp_path):
    noise = np.random.default_rng(0).integers(0, 1 << 15, 1 << 20).astype("<i2")
    content = bytearray(gzipped(nifti(dim=(3, 128, 128, 64, 1, 1, 1, 1), voxels=noise.tobytes())))
    assert len(content) > SMALL_NIFTI_BYTES
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    assert read_image([path], "SimpleITKIO").array.max() > 0
    content[-8] ^= 1
    path.write_bytes(content)
    for reader in NIFTI_READERS:
        assert "is damaged" in sentence(path, reader)
