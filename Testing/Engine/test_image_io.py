"""Reading images and writing segmentations: the same arrays and spacings as nnU-Net, the same geometry back."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.images import Image, SourceHeader, read_image, read_segmentation, write_segmentation
from SegAutoPlanLib.images.image_io import choose_image_io
from SegAutoPlanLib.images.nibabel_io import write_nifti
from SegAutoPlanLib.images.simpleitk_io import image_from_sitk
from Testing.Engine.raw_datasets import OBLIQUE, labels, sitk_image, voxels, write_image

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
PERMUTED = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
DIRECTIONS = {"identity": None, "oblique": OBLIQUE, "flipped": FLIPPED, "permuted": PERMUTED}
REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def geometry(path: Path) -> tuple:
    image = sitk.ReadImage(str(path))
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl"])
def test_a_volume_is_channel_z_y_x_with_spacing_z_y_x(tmp_path, ending):
    array = voxels(0)
    image = read_image([write_image(array, tmp_path / f"a_0000{ending}")], "SimpleITKIO")
    assert image.array.dtype == np.float32
    assert image.array.tolist() == [array.tolist()]
    assert image.spacing == pytest.approx((2.0, 0.75, 0.5))


def test_channels_are_stacked_in_the_order_given(tmp_path):
    files = [write_image(voxels(seed), tmp_path / f"a_{seed:04d}.nii.gz") for seed in (0, 1, 2)]
    image = read_image(files[::-1], "SimpleITKIO")
    np.testing.assert_array_equal(image.array, [voxels(2), voxels(1), voxels(0)])


def test_the_array_may_be_written_to(tmp_path):
    path = write_image(voxels(0).astype(np.float32), tmp_path / "a_0000.nii.gz")
    read_image([path], "SimpleITKIO").array[...] = 0
    read_segmentation(write_image(labels().astype(np.int16), tmp_path / "b.nii.gz"), "SimpleITKIO").array[...] = 0


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_small_files_are_read_as_itk_reads_them(tmp_path, dtype, direction):
    path = write_image(voxels(0).astype(dtype), tmp_path / "a_0000.nii.gz", direction=DIRECTIONS[direction])
    ours = read_image([path], "SimpleITKIO")
    itk = image_from_sitk(sitk.ReadImage(str(path)), path)
    np.testing.assert_array_equal(ours.array, itk.array.astype(np.float32))
    assert ours.header == itk.header


def test_scaled_values_several_gzip_members_and_trailing_bytes_are_read(tmp_path):
    plain = write_image(voxels(0), tmp_path / "plain_0000.nii.gz")
    content = bytearray(gzip.decompress(plain.read_bytes()))
    members, longer, scaled = (tmp_path / f"{name}_0000.nii.gz" for name in ("members", "longer", "scaled"))
    members.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    longer.write_bytes(gzip.compress(bytes(content) + b"more"))
    content[112:120] = np.array([0.5, -3.0], "<f4").tobytes()
    scaled.write_bytes(gzip.compress(bytes(content)))
    for path in (members, longer):
        np.testing.assert_array_equal(read_image([path], "SimpleITKIO").array[0], voxels(0))
    for reader in ("SimpleITKIO", "NibabelIO"):
        np.testing.assert_array_equal(read_image([scaled], reader).array[0], voxels(0) * 0.5 - 3)


def test_a_two_dimensional_image_gets_999_times_its_spacing_and_is_written_in_two_dimensions(tmp_path):
    direction = (0.0, -1.0, 1.0, 0.0)
    path = write_image(voxels(0, (8, 10)), tmp_path / "a_0000.nrrd", direction=direction)
    image = read_image([path], "SimpleITKIO")
    assert image.array.shape == (1, 1, 8, 10)
    assert image.spacing == pytest.approx((999 * 0.75, 0.75, 0.5))
    write_segmentation(labels((1, 8, 10)), tmp_path / "out.nrrd", image.header, "SimpleITKIO")
    assert geometry(tmp_path / "out.nrrd") == geometry(path)


@pytest.mark.parametrize("reader", ["SimpleITKIO", "SimpleITKIOWithReorient"])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_segmentation_is_written_on_the_exact_grid_it_was_read_from(tmp_path, reader, ending, direction):
    path = write_image(labels(), tmp_path / f"a{ending}", direction=DIRECTIONS[direction])
    image = read_segmentation(path, reader)
    write_segmentation(image.array[0], tmp_path / f"out{ending}", image.header, reader)
    for ours, theirs in zip(geometry(tmp_path / f"out{ending}"), geometry(path), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"out{ending}"))), labels())


@pytest.mark.parametrize(
    ("name", "reader", "keys"),
    [
        ("a.nii.gz", "SimpleITKIO", ["sitk_stuff", "spacing"]),
        ("a.nrrd", "SimpleITKIOWithReorient", ["sitk_stuff", "spacing"]),
        ("a.nii.gz", "NibabelIO", ["nibabel_stuff", "spacing"]),
        ("a.nii", "NibabelIOWithReorient", ["nibabel_stuff", "spacing"]),
        ("a.tif", "Tiff3DIO", ["spacing", "spacing_missing"]),
    ],
)
def test_a_header_survives_nnunets_properties_and_json(tmp_path, name, reader, keys):
    header = read_segmentation(write_image(labels(), tmp_path / name, direction=PERMUTED), reader).header
    properties = header.to_nnunet()
    assert list(properties) == keys
    text = json.dumps(properties)
    assert SourceHeader.from_nnunet(json.loads(text)) == header
    assert json.dumps(SourceHeader.from_nnunet(json.loads(text)).to_nnunet()) == text


@pytest.mark.parametrize(
    ("read_with", "written_with"),
    [
        ("NibabelIO", "SimpleITKIO"),
        ("SimpleITKIO", "NibabelIO"),
        ("SimpleITKIO", "SimpleITKIOWithReorient"),
        ("NibabelIO", "SimpleITKIOWithReorient"),
        ("SimpleITKIO", "NibabelIOWithReorient"),
    ],
)
def test_a_writer_whose_reader_did_not_read_the_image_says_so(tmp_path, read_with, written_with):
    image = read_segmentation(write_image(labels(), tmp_path / "a.nii.gz"), read_with)
    with pytest.raises(UserInputError, match=r"out\.nii\.gz: its image was not read with .*image_reader_writer"):
        write_segmentation(image.array[0], tmp_path / "out.nii.gz", image.header, written_with)
    assert not (tmp_path / "out.nii.gz").exists()


def test_only_the_reorienting_readers_reorient(tmp_path):
    path = write_image(labels(), tmp_path / "a.nii.gz", direction=PERMUTED)
    np.testing.assert_array_equal(read_segmentation(path, "SimpleITKIO").array[0], labels())
    turned = read_segmentation(path, "SimpleITKIOWithReorient")
    assert turned.array.shape == (1, 8, 10, 6)
    assert turned.spacing == pytest.approx((0.75, 0.5, 2.0))
    assert turned.header.sitk.original_orientation == "PSL"
    np.testing.assert_array_equal(turned.array, read_segmentation(path, "NibabelIOWithReorient").array)


@pytest.mark.parametrize("direction", ["identity", "flipped"])
def test_nibabel_and_simpleitk_readers_give_the_same_voxels_and_spacing(tmp_path, direction):
    path = write_image(voxels(0), tmp_path / "a_0000.nii.gz", direction=DIRECTIONS[direction])
    itk, nibabel = read_image([path], "SimpleITKIO"), read_image([path], "NibabelIO")
    np.testing.assert_array_equal(itk.array, nibabel.array)
    assert itk.spacing == pytest.approx(nibabel.spacing)


@pytest.mark.parametrize("reader", ["NibabelIO", "NibabelIOWithReorient"])
def test_a_sheared_grid_is_read_and_written_by_the_nibabel_readers_only(tmp_path, reader):
    affine = np.array([[1, 0.3, 0, 5], [0, -1, 0, 6], [0.2, 0, 2, 7], [0, 0, 0, 1]], float)
    write_nifti(labels(), affine, tmp_path / "a.nii.gz")
    with pytest.raises(UserInputError, match=r"a\.nii\.gz: its grid is sheared.*NibabelIO"):
        read_segmentation(tmp_path / "a.nii.gz", "SimpleITKIO")
    image = read_segmentation(tmp_path / "a.nii.gz", reader)
    write_segmentation(image.array[0], tmp_path / "out.nii.gz", image.header, reader)
    again = read_segmentation(tmp_path / "out.nii.gz", "NibabelIO")
    np.testing.assert_array_equal(again.array[0], labels())
    np.testing.assert_allclose(again.header.nibabel.original_affine, affine, atol=1e-6)


def test_a_four_dimensional_file_has_its_fourth_axis_as_channels(tmp_path):
    joined = sitk.JoinSeries([sitk_image(voxels(seed)) for seed in (0, 1, 2)])
    sitk.WriteImage(joined, str(tmp_path / "a_0000.nii.gz"))
    image = read_image([tmp_path / "a_0000.nii.gz"], "SimpleITKIO")
    np.testing.assert_array_equal(image.array, [voxels(0), voxels(1), voxels(2)])
    assert image.spacing == pytest.approx((2.0, 0.75, 0.5))
    write_segmentation(labels(), tmp_path / "out.nii.gz", image.header, "SimpleITKIO")
    assert read_segmentation(tmp_path / "out.nii.gz", "SimpleITKIO").spacing == pytest.approx(image.spacing)


@pytest.mark.parametrize(("ending", "reader"), [(".png", "NaturalImage2DIO"), (".tif", "NaturalImage2DIO")])
def test_one_colour_picture_is_three_channels(tmp_path, ending, reader):
    colours = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    path = tmp_path / f"a_0000{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(path))
    image = read_image([path], reader)
    assert image.spacing == (999.0, 1.0, 1.0)
    np.testing.assert_array_equal(image.array[:, 0], colours.transpose(2, 0, 1))
    assert choose_image_io(ending, path).name == reader


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_a_grey_picture_is_one_channel_and_labels_survive_writing(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write_segmentation(labels((1, 8, 10)), path, {"spacing": [999, 1, 1]}, "NaturalImage2DIO")
    again = read_segmentation(path, "NaturalImage2DIO")
    np.testing.assert_array_equal(again.array, labels((1, 1, 8, 10)))


def test_a_one_bit_png_holds_the_labels_0_and_1(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") + (2).to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(b"\0\x0f\0\xf0")
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    image = read_segmentation(tmp_path / "a.png", "NaturalImage2DIO")
    assert image.array[0, 0].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]


def test_an_eight_bit_grey_bmp_is_one_channel(tmp_path):
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    pixels = bytes(range(8)) + bytes(range(8, 16))  # the lower row comes first
    header = b"BM" + (54 + 1024 + 16).to_bytes(4, "little") + bytes(4) + (54 + 1024).to_bytes(4, "little")
    header += (40).to_bytes(4, "little") + (8).to_bytes(4, "little") + (2).to_bytes(4, "little")
    header += (1).to_bytes(2, "little") + (8).to_bytes(2, "little") + bytes(24)
    (tmp_path / "a_0000.bmp").write_bytes(header + palette + pixels)
    image = read_image([tmp_path / "a_0000.bmp"], "NaturalImage2DIO")
    assert image.array[0, 0].tolist() == [list(range(8, 16)), list(range(8))]


def test_a_stack_takes_its_spacing_from_the_file_beside_it(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(voxels(0).astype(np.uint16)), str(tmp_path / "p_0001_0000.tif"))
    assert choose_image_io(".tif", tmp_path / "p_0001_0000.tif").name == "Tiff3DIO"
    assert read_image([tmp_path / "p_0001_0000.tif"], "Tiff3DIO").spacing == (1.0, 1.0, 1.0)
    (tmp_path / "p_0001.json").write_text('{"spacing": [3, 0.5, 0.25]}', encoding="utf-8")
    image = read_image([tmp_path / "p_0001_0000.tif"], "Tiff3DIO")
    assert image.spacing == (3.0, 0.5, 0.25)
    write_segmentation(labels(), tmp_path / "out" / "p_0001.tif", image.header, "Tiff3DIO")
    again = read_segmentation(tmp_path / "out" / "p_0001.tif", "Tiff3DIO")
    assert again.spacing == image.spacing
    np.testing.assert_array_equal(again.array[0], labels())


def test_a_tiled_tiff_keeps_its_16_bits(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="NOT TESTED: tiled TIFF needs tifffile")
    array = np.random.default_rng(0).integers(0, 65536, (64, 48), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a_0000.tif", array, tile=(32, 32))
    np.testing.assert_array_equal(read_image([tmp_path / "a_0000.tif"], "NaturalImage2DIO").array[0, 0], array)


def test_without_tifffile_a_tiled_tiff_is_a_sentence(tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile", reason="NOT TESTED: tiled TIFF needs tifffile")
    tifffile.imwrite(tmp_path / "a_0000.tif", np.zeros((64, 48), np.uint8), tile=(32, 32))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UserInputError, match=r"a_0000\.tif: is a tiled.*install tifffile"):
        read_image([tmp_path / "a_0000.tif"], "NaturalImage2DIO")


def test_without_an_example_the_first_reader_of_the_ending_is_chosen():
    assert choose_image_io(".nii.gz", None).name == "SimpleITKIO"
    assert choose_image_io(".TIF", None).name == "NaturalImage2DIO"


@pytest.mark.parametrize(("largest", "dtype"), [(1, np.uint8), (254, np.uint8), (255, np.uint16), (256, np.uint16)])
@pytest.mark.parametrize("reader", ["SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient"])
def test_labels_take_8_bits_below_255_else_16(tmp_path, largest, dtype, reader):
    image = read_segmentation(write_image(labels(), tmp_path / "a.nii.gz"), reader)
    array = image.array[0].copy()
    array[0, 0, 0] = largest
    write_segmentation(array, tmp_path / "out.nii.gz", image.header, reader)
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nii.gz")))
    assert (written.dtype, written.max()) == (dtype, max(largest, 2))


def test_segmentations_are_integers_and_probabilities_are_refused(tmp_path):
    floats = write_image(labels().astype(np.float64), tmp_path / "floats.nii.gz")
    assert read_segmentation(floats, "SimpleITKIO").array.dtype == np.int16
    write_image(labels() * 0.5, tmp_path / "halves.nii.gz")
    with pytest.raises(UserInputError, match=r"halves\.nii\.gz: holds values that are not whole numbers"):
        read_segmentation(tmp_path / "halves.nii.gz", "SimpleITKIO")


def test_a_segmentation_with_channels_is_a_sentence(tmp_path):
    joined = sitk.JoinSeries([sitk_image(labels()), sitk_image(labels())])
    sitk.WriteImage(joined, str(tmp_path / "a.nii.gz"))
    with pytest.raises(UserInputError, match=r"a\.nii\.gz: a segmentation has one channel, not 2"):
        read_segmentation(tmp_path / "a.nii.gz", "SimpleITKIO")


@pytest.mark.parametrize(("value", "words"), [(np.nan, "holds NaN voxels"), (np.inf, "holds infinite voxels")])
def test_not_a_number_names_the_file(tmp_path, value, words):
    array = voxels(0).astype(np.float32)
    array[3, 4, 5] = value
    path = write_image(array, tmp_path / "a_0000.nii.gz")
    with pytest.raises(UserInputError, match=rf"a_0000\.nii\.gz: {words}"):
        read_image([path], "SimpleITKIO")


def test_large_finite_values_are_no_error(tmp_path):
    array = np.full((3, 4, 5), 3e38, np.float32)
    assert read_image([write_image(array, tmp_path / "a.nrrd")], "SimpleITKIO").array.max() == array.max()


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".png", ".bmp", ".tif"])
def test_a_truncated_file_is_a_sentence_and_never_zeros(tmp_path, ending, compressed, kept):
    flat = ending in (".png", ".bmp", ".tif")
    shape = (1, 40, 50) if flat else (12, 40, 50)
    path = tmp_path / f"a_0000{ending}"
    noise = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    noise = noise.astype(np.uint8) if ending == ".bmp" else noise
    sitk.WriteImage(sitk_image(noise[0] if flat else noise), str(path), useCompression=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    with pytest.raises(UserInputError, match=r"a_0000\.\S+: ") as caught:
        read_image([path], "NaturalImage2DIO" if flat else "SimpleITKIO")
    assert "0x" not in str(caught.value)


def test_a_large_truncated_nifti_is_a_sentence(tmp_path):
    path = write_image(voxels(0, (60, 90, 100)), tmp_path / "a_0000.nii.gz")
    content = path.read_bytes()
    assert len(content) > 600_000
    path.write_bytes(content[:-2000])
    with pytest.raises(UserInputError, match=r"a_0000\.nii\.gz: is cut short"):
        read_image([path], "SimpleITKIO")


def test_nothing_is_printed_to_the_terminal(tmp_path):
    path = write_image(voxels(0), tmp_path / "a_0000.nii.gz")
    path.write_bytes(path.read_bytes()[:-50])
    write_image(voxels(0), tmp_path / "b_0000.nii.gz")
    script = (
        "import sys; from SegAutoPlanLib.errors import FileError; from SegAutoPlanLib.images import *\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        image = read_image([name], 'SimpleITKIO')\n"
        "        labels = (image.array[0] > 0).astype('u1')\n"
        "        write_segmentation(labels, name + '.mha', image.header, 'SimpleITKIO')\n"
        "    except FileError:\n"
        "        pass\n"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "b_0000.nii.gz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failed_write_leaves_the_previous_file_and_no_other(tmp_path):
    image = read_segmentation(write_image(labels(), tmp_path / "a.nii.gz"), "SimpleITKIO")
    before = (tmp_path / "a.nii.gz").read_bytes()
    broken = replace(image.header, sitk=replace(image.header.sitk, direction=(0.0,) * 9))
    with pytest.raises(RuntimeError):
        write_segmentation(image.array[0], tmp_path / "a.nii.gz", broken, "SimpleITKIO")
    with pytest.raises(UserInputError, match=r"a\.docx: cannot be written"):
        write_segmentation(image.array[0], tmp_path / "a.docx", image.header, "SimpleITKIO")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]
    assert (tmp_path / "a.nii.gz").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: a limit on file sizes stands for a full disk")
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha", "a.gipl", "a.png", "a.bmp", "a.tif"])
def test_a_full_disk_is_a_sentence_and_leaves_the_previous_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"the previous file")
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from SegAutoPlanLib.errors import FileError\n"
        "from SegAutoPlanLib.images import SourceHeader, write_segmentation\n"
        "from SegAutoPlanLib.images.source_header import SitkGeometry\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "geometry = SitkGeometry((1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))\n"
        "shape = (1, 300, 300) if sys.argv[2] == 'NaturalImage2DIO' else (20, 100, 100)\n"
        "noise = np.random.default_rng(0).integers(0, 200, shape).astype('u1')\n"
        "try:\n"
        "    write_segmentation(noise, sys.argv[1], SourceHeader((1, 1, 1), geometry), sys.argv[2])\n"
        "except FileError as error:\n"
        "    print(error)\n"
    )
    reader = {"png": "NaturalImage2DIO", "bmp": "NaturalImage2DIO", "tif": "Tiff3DIO"}.get(name[2:], "SimpleITKIO")
    command = [sys.executable, "-c", script, str(tmp_path / name), reader]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / name))
    assert "written" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"the previous file"


def test_images_on_different_grids_are_named(tmp_path):
    first = write_image(voxels(0), tmp_path / "a_0000.nii.gz")
    wider = write_image(voxels(0, (6, 8, 11)), tmp_path / "a_0001.nii.gz")
    finer = write_image(voxels(0), tmp_path / "a_0002.nii.gz", spacing=(0.5, 0.75, 1.0))
    with pytest.raises(UserInputError, match=r"a_0001\.nii\.gz: its grid is 6 x 8 x 11 voxels .* 6 x 8 x 10"):
        read_image([first, wider], "SimpleITKIO")
    with pytest.raises(UserInputError, match=r"a_0002\.nii\.gz: its spacing is 1 x 0\.75 x 0\.5 mm"):
        read_image([first, finer], "SimpleITKIO")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"NOT TESTED: {REAL_DATA} is absent")
@pytest.mark.parametrize("name", ["Dataset004_Hippocampus", "Dataset501_STS_MR", "Dataset502_STS_PETCT"])
def test_real_files_are_read_as_itk_reads_them(name):
    for path in sorted((REAL_DATA / name / "imagesTr").iterdir())[:5]:
        ours, itk = read_image([path], "SimpleITKIO"), image_from_sitk(sitk.ReadImage(str(path)), path)
        np.testing.assert_array_equal(ours.array, itk.array.astype(np.float32))
        assert ours == Image(ours.array, itk.header)
