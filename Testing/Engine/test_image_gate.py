"""Every reader refuses what is no file of its type, and every header that cannot be true, in one sentence."""

from __future__ import annotations

import math
import os
import re
import struct
import zlib

import numpy as np
import pytest

from SegAutoPlanLib.errors import FileError
from SegAutoPlanLib.images import read_image
from SegAutoPlanLib.images.image_io import IMAGE_IOS
from SegAutoPlanLib.images.image_size import largest_image
from SegAutoPlanLib.images.simpleitk_io import read_sitk_image

from .image_bytes import VOXELS, bmp, gipl, gzipped, metaimage, nifti, nrrd, png, tiff
from .image_refusals import ITK_READERS, NIFTI_READERS, sentence

NAN, INF = math.nan, math.inf
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
    "byte skip backwards": ({"byte_skip": "-5"}, "byte skip"),
    "compressed goes on": ({"encoding": "gzip", "data": gzipped(VOXELS.tobytes() * 50)}, "promises less than it holds"),
    "compressed cut": ({"encoding": "gzip", "data": gzipped(VOXELS.tobytes())[:-20]}, "."),
    "compressed too little": ({"encoding": "gzip", "data": gzipped(VOXELS.tobytes()[:60])}, "expected 120 bytes"),
    "compressed checksum": ({"encoding": "gzip", "data": gzipped(VOXELS.tobytes())[:-8] + bytes(8)}, "read error"),
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
    "detached behind a colon": ({"Comment": "x\nElementDataFile : /etc/passwd"}, "in another file"),
    "size behind a colon": ({"Comment": "x\nDimSize : 50000 50000 10"}, "twice"),
    "header size": ({"HeaderSize": "999999"}, "gives its header a size"),
    "compressed size absurd": (
        {"CompressedData": "True", "CompressedDataSize": "3000000000000", "data": zlib.compress(VOXELS.tobytes())},
        "is cut short",
    ),
    "compressed size too small": (
        {"CompressedData": "True", "CompressedDataSize": "3", "data": zlib.compress(VOXELS.tobytes())},
        "damaged",
    ),
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
    "bmp run-lengths": ("a.bmp", bmp()[:30] + b"\1" + bmp()[31:], "is a compressed BMP"),
    "png of few rows": ("a.png", png(rows=bytes(6)), "cannot be read"),
    "png of no colours": ("a.png", png(colour=3), "cannot be read"),
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


@pytest.mark.parametrize("codec", ["zlib", "lzma"])
@pytest.mark.parametrize("at", [2, 90, 180])
def test_damaged_tiles_are_a_sentence(tmp_path, codec, at):
    tifffile = pytest.importorskip("tifffile", reason="NOT TESTED: tiled TIFF needs tifffile")
    path = tmp_path / "a_0000.tif"
    noise = np.random.default_rng(0).integers(0, 9, (3, 32, 32)).astype(np.uint16)
    tifffile.imwrite(path, noise, compression=codec, photometric="minisblack", tile=(16, 16))
    np.testing.assert_array_equal(read_image([path], "Tiff3DIO").array[0], noise)
    with tifffile.TiffFile(path) as file:
        start = file.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start + at] ^= 0x5A
    path.write_bytes(content)
    assert "cannot be read as TIFF" in sentence(path, "Tiff3DIO")


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
