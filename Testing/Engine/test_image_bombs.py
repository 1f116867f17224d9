"""Files that promise more than the memory has, hold more than they promise, or are damaged anywhere."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.images import Image, header_promise, read_image
from SegAutoPlanLib.images.simpleitk_io import SMALL_NIFTI_BYTES

from .image_bytes import bmp, gipl, gzipped, metaimage, nifti, nrrd, png, tiff
from .image_refusals import ITK_READERS, NIFTI_READERS, sentence

ROOT = Path(__file__).resolve().parents[2]


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


FUZZED = {
    "a.nii": (nifti(), NIFTI_READERS),
    "a.nrrd": (nrrd(), ITK_READERS),
    "a.mha": (metaimage(), ITK_READERS),
    "a.gipl": (gipl(), ITK_READERS),
    "a.png": (png(), ("NaturalImage2DIO",)),
    "a.bmp": (bmp(), ("NaturalImage2DIO",)),
    "a_0000.tif": (tiff(), ("Tiff3DIO", "NaturalImage2DIO")),
    "b_0000.tif": (tiff(big=True), ("Tiff3DIO", "NaturalImage2DIO")),
}
PIECES = (b"nan", b"-1", b"99999999999", b"1e999", b"", b"\n\n", b"\0", b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b": ")


@pytest.mark.parametrize("name", FUZZED)
def test_a_file_changed_at_random_is_read_or_is_a_sentence(tmp_path, name):
    content, readers = FUZZED[name]
    path, rng = tmp_path / name, random.Random(name)
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            start = rng.randrange(len(changed))
            piece = rng.choice((*PIECES, bytes([rng.randrange(256)])))
            changed[start : start + rng.choice((len(piece), 0, 7))] = piece
        path.write_bytes(changed)
        for reader in readers:
            image, refused = image_or_sentence(path, reader)
            assert refused is None or refused.startswith(f"{path}: ")
            if image is not None:
                assert np.isfinite(image.array).all()
                assert all(0 < value < math.inf for value in image.spacing)


def image_or_sentence(path: Path, reader: str) -> tuple[Image | None, str | None]:
    try:
        return read_image([path], reader), None
    except UserInputError as error:
        return None, str(error)
