"""Record what the readers and writers of the real nnunetv2 make of unusual image files.

    python Testing/Benchmarks/record_nnunet_io.py

Run it with the Python of an environment that has nnunetv2 2.8.1. It writes `Testing/Fixtures/image_io.tar.xz`: the
files, made here from a seed, and `expected.json`. Each file stands for one way in which images are stored.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
import tifffile
from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES, determine_reader_writer_from_file_ending
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient
from PIL import Image

FIXTURE = Path(__file__).resolve().parents[1] / "Fixtures" / "image_io.tar.xz"
SPACING = (0.7, 0.8, 3.3)
ORIGIN = (10.5, -20.25, 7.0)
VOXELS = np.random.RandomState(0).randint(-500, 1000, (9, 7, 5)).astype(np.int16)
"""(x, y, z)"""
PIXELS = np.random.RandomState(1).randint(0, 256, (12, 18, 4)).astype(np.uint8)
STACK = np.random.RandomState(2).randint(0, 255, (5, 8, 10)).astype(np.uint16)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Degrees about the three axes."""
    result = np.eye(3)
    for axis, angle in enumerate(np.radians([x, y, z])):
        turn = np.eye(3)
        first, second = (index for index in range(3) if index != axis)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def affine(directions: np.ndarray, spacing: tuple[float, ...] = SPACING) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = directions * np.array(spacing)
    result[:3, 3] = ORIGIN
    return result


OBLIQUE = affine(rotation(12, -8, 33))
PERMUTATION = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float)
SHEAR = np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]])
AFFINES = {
    "identity": affine(np.eye(3), (1, 1, 1)),
    "lps": affine(np.diag([-1.0, -1, 1])),
    "flip_x": affine(np.diag([-1.0, 1, 1])),
    "flip_z": affine(np.diag([1.0, 1, -1])),
    "oblique": OBLIQUE,
    "permuted": affine(PERMUTATION),
    "permuted_oblique": affine(PERMUTATION @ rotation(10, 20, -15) @ np.diag([1, -1, 1])),
    "sheared": affine(SHEAR),
}


def make_nifti(folder: Path) -> None:
    def save(name: str, image: nibabel.Nifti1Image) -> None:
        nibabel.save(image, folder / f"{name}_0000.nii.gz")

    for name, matrix in AFFINES.items():
        save(name, nibabel.Nifti1Image(VOXELS, matrix))
    for name, codes in {"qform": (1, 0), "sform": (0, 2), "both_forms": (1, 1), "no_form": (0, 0)}.items():
        image = nibabel.Nifti1Image(VOXELS, OBLIQUE)
        image.set_qform(OBLIQUE, codes[0])
        image.set_sform(OBLIQUE, codes[1])
        save(name, image)
    disagreeing = nibabel.Nifti1Image(VOXELS, OBLIQUE)
    disagreeing.set_qform(affine(rotation(5, 0, 0)), 1)
    disagreeing.set_sform(affine(rotation(5, 0, 40)), 2)
    save("disagreeing_forms", disagreeing)
    for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        values = VOXELS / 3 if kind[0] == "f" else np.abs(VOXELS) % 120
        save(f"type_{kind}", nibabel.Nifti1Image(values.astype(kind), OBLIQUE, dtype=np.dtype(kind)))
    scaled = nibabel.Nifti1Image(VOXELS, np.eye(4))
    scaled.header.set_slope_inter(0.5, -100)
    save("scaled", scaled)
    big_endian = nibabel.Nifti1Image(VOXELS.astype(">i2"), OBLIQUE, header=nibabel.Nifti1Header(endianness=">"))
    save("big_endian", big_endian)
    save("nifti_2", nibabel.Nifti2Image(VOXELS, OBLIQUE))
    save("one_slice", nibabel.Nifti1Image(VOXELS[:, :, :1], OBLIQUE))
    save("flat_along_x", nibabel.Nifti1Image(VOXELS[:1], OBLIQUE))
    save("four_axes", nibabel.Nifti1Image(np.stack([VOXELS, VOXELS + 1], axis=3), OBLIQUE))
    save("one_volume", nibabel.Nifti1Image(VOXELS[..., None], OBLIQUE))
    nibabel.save(nibabel.Nifti1Image(VOXELS, OBLIQUE), folder / "plain_0000.nii")
    content = (folder / "plain_0000.nii").read_bytes()
    members = gzip.compress(content[:500], mtime=0) + gzip.compress(content[500:], mtime=0)
    (folder / "two_gzip_members_0000.nii.gz").write_bytes(members)
    (folder / "trailing_bytes_0000.nii.gz").write_bytes(gzip.compress(content + bytes(100), mtime=0))


def make_itk(folder: Path) -> None:
    volume = sitk.GetImageFromArray(VOXELS.T.copy())
    volume.SetSpacing(SPACING)
    volume.SetOrigin(ORIGIN)
    volume.SetDirection(rotation(12, -8, 33).ravel())
    for ending in (".nrrd", ".mha", ".gipl"):
        sitk.WriteImage(volume, str(folder / f"oblique_0000{ending}"), True)
    flat = sitk.GetImageFromArray(VOXELS[:, :, 0].T.copy())
    flat.SetSpacing(SPACING[:2])
    flat.SetDirection((0, -1, 1, 0))
    for ending in (".nrrd", ".mha", ".nii.gz"):
        sitk.WriteImage(flat, str(folder / f"two_dimensional_0000{ending}"), True)
    sitk.WriteImage(sitk.JoinSeries([volume, volume + 1]), str(folder / "four_axes_0000.nrrd"), True)


def make_pictures(folder: Path) -> None:
    grey, colour = PIXELS[..., 0], PIXELS[..., :3]
    pictures = {
        "grey.png": Image.fromarray(grey),
        "grey_16_bit.png": Image.fromarray(grey.astype(np.uint16) * 100),
        "one_bit.png": Image.fromarray(grey > 128),
        "colour.png": Image.fromarray(colour),
        "alpha.png": Image.fromarray(PIXELS),
        "palette.png": Image.fromarray(colour).convert("P"),
        "grey.bmp": Image.fromarray(grey),
        "colour.bmp": Image.fromarray(colour),
    }
    for name, picture in pictures.items():
        stem, _, ending = name.partition(".")
        picture.save(folder / f"{stem}_0000.{ending}")


def make_tiff(folder: Path) -> None:
    grey, colour = PIXELS[..., 0], PIXELS[..., :3]

    def save(name: str, array: np.ndarray, **options: Any) -> None:
        tifffile.imwrite(folder / f"{name}_0000.tif", array, **options)

    for kind in ("u1", "u2", "i2", "i4", "f4", "f8"):
        save(f"grey_{kind}", grey.astype(kind))
        save(f"stack_{kind}", STACK.astype(kind), photometric="minisblack")
    save("colour", colour, photometric="rgb")
    save("colour_16_bit", colour.astype(np.uint16) * 99, photometric="rgb")
    save("alpha", PIXELS, photometric="rgb", extrasamples=["unassalpha"])
    save("lzw", grey, compression="lzw")
    save("deflate", grey, compression="zlib", predictor=True)
    save("white_is_zero", grey, photometric="miniswhite")
    save("tiled", np.tile(grey.astype(np.uint16) * 200, (4, 4)), tile=(32, 32))
    save("stack_deflate", STACK, photometric="minisblack", compression="zlib")
    save("stack_imagej", STACK, imagej=True)
    save("stack_big", STACK, photometric="minisblack", bigtiff=True)
    save("stack_spacing", STACK, photometric="minisblack")
    (folder / "stack_spacing.json").write_text('{"spacing": [3.0, 0.5, 0.25]}', encoding="utf-8")


def ending_of(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def readers_for(path: Path) -> list[type]:
    chosen = [reader for reader in LIST_OF_IO_CLASSES if ending_of(path) in reader.supported_file_endings]
    return [*chosen, SimpleITKIOWithReorient] if any("SimpleITK" in reader.__name__ for reader in chosen) else chosen


def recorded(path: Path, reader: type, scratch: Path) -> dict[str, Any] | None:
    """What the reader returns, and what it writes for labels on that grid; None where it refuses the file."""
    try:
        array, properties = reader().read_images((str(path),))
    except (RuntimeError, AssertionError, ValueError, OSError, nibabel.filebasedimages.ImageFileError):
        return None
    result = {
        "shape": list(array.shape),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "spacing": [float(value) for value in properties["spacing"]],
        "sitk_stuff": {key: plain(value) for key, value in properties.get("sitk_stuff", {}).items()},
        "nibabel_stuff": {key: value.tolist() for key, value in properties.get("nibabel_stuff", {}).items()},
    }
    labels = (np.arange(array[0].size).reshape(array[0].shape) % 250).astype(np.int16)
    target = scratch / f"written{ending_of(path)}"
    try:
        reader().write_seg(labels, str(target), properties)
        result["written"] = written(sitk.ReadImage(str(target)))
    except (RuntimeError, AssertionError):
        result["written"] = None  # four axes for nnunetv2, a sheared grid for ITK
    return result


def written(image: sitk.Image) -> dict[str, Any]:
    return {
        "geometry": [
            list(image.GetSize()),
            list(image.GetSpacing()),
            list(image.GetOrigin()),
            list(image.GetDirection()),
        ],
        "sha256": hashlib.sha256(sitk.GetArrayFromImage(image).tobytes()).hexdigest(),
        "type": image.GetPixelIDTypeAsString(),
    }


def plain(value: Any) -> Any:
    return value if isinstance(value, str) else [float(part) for part in value]


def main() -> None:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as scratch:
        folder = Path(name)
        for make in (make_nifti, make_itk, make_pictures, make_tiff):
            make(folder)
        expected: dict[str, Any] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix == ".json":
                continue
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                chosen = determine_reader_writer_from_file_ending(ending_of(path), str(path), verbose=False)
                readers = {reader.__name__: recorded(path, reader, Path(scratch)) for reader in readers_for(path)}
            expected[path.name] = {"chosen": chosen.__name__, "readers": readers}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")
        with tarfile.open(FIXTURE, "w:xz") as archive:
            archive.add(folder, arcname="image_io")
    print(f"{FIXTURE}: {len(expected)} files, {FIXTURE.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
