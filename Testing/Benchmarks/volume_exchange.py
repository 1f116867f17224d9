"""How a volume gets from one process to another and a segmentation back: processor time per way, and copies made.

Every way is one process that gives a 512 × 512 × 400 volume of int16 and another that takes it as the engine does, as
finite float32 (c, z, y, x); then labels of uint8 the other way. Files are in the system's cache. Run it as
`python Testing/Benchmarks/volume_exchange.py [--folder FOLDER] [--times N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SegAutoPlanLib.images import read_image, write_segmentation
from SegAutoPlanLib.images.simpleitk_io import header_from_sitk, image_from_sitk, read_sitk_image

SHAPE = (400, 512, 512)
NIFTI_HEADER_BYTES = 352


def volume() -> np.ndarray:
    """A body of noise in air."""
    z, y, x = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j, -1 : 1 : SHAPE[2] * 1j]
    noise = np.random.default_rng(0).normal(40, 20, SHAPE).astype(np.int16)
    return np.where((y / 0.7) ** 2 + (x / 0.9) ** 2 + 0 * z < 1, noise, np.int16(-1000))


def labels() -> np.ndarray:
    """Sixty balls."""
    result = np.zeros(SHAPE, np.uint8)
    generator = np.random.default_rng(1)
    z, y, x = np.ogrid[:80, :80, :80]
    ball = (z - 40) ** 2 + (y - 40) ** 2 + (x - 40) ** 2 < 40**2
    for label in range(1, 61):
        start = [int(generator.integers(size - 80)) for size in SHAPE]
        result[tuple(slice(s, s + 80) for s in start)][ball] = label
    return result


def write_itk(array: np.ndarray, path: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array), path, useCompression=False)


def write_result(array: np.ndarray, path: str) -> None:
    """As the engine writes every segmentation."""
    grid = sitk.Image(array.shape[::-1], sitk.sitkUInt8)
    write_segmentation(array, path, header_from_sitk(grid), "SimpleITKIO")


def write_stored(array: np.ndarray, path: str) -> None:
    """What Slicer did: an uncompressed file, copied into a .gz of stored blocks."""
    import gzip

    write_itk(array, path.removesuffix(".gz"))
    with open(path.removesuffix(".gz"), "rb") as source, gzip.open(path, "wb", compresslevel=0) as target:
        shutil.copyfileobj(source, target, 1 << 22)


def write_shared(array: np.ndarray, path: str) -> None:
    memory = shared_memory.SharedMemory(path.rpartition("/")[2], create=True, size=array.nbytes)
    resource_tracker.unregister(memory._name, "shared_memory")  # the taker removes it
    np.ndarray(array.shape, array.dtype, memory.buf)[:] = array
    memory.close()


def as_engine(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f":
        assert np.isfinite(array).all()
    return np.require(array[None], np.float32, ["C", "W"])


def read_with_itk(path: str) -> np.ndarray:
    return as_engine(image_from_sitk(read_sitk_image(Path(path)), Path(path)).array[0])


def read_as_engine(path: str) -> np.ndarray:
    return read_image([path], "SimpleITKIO").array


def read_mapped_nifti(path: str, dtype: type) -> np.ndarray:
    return np.memmap(path, dtype, "r", NIFTI_HEADER_BYTES, SHAPE)


def read_shared(path: str, dtype: type, take: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    memory = shared_memory.SharedMemory(path.rpartition("/")[2])
    taken = take(np.ndarray(SHAPE, dtype, memory.buf))
    memory.close()
    memory.unlink()
    return taken


def read_labels(path: str) -> np.ndarray:
    """As Slicer does."""
    return sitk.GetArrayFromImage(sitk.ReadImage(path))


VOLUMES = {
    ".nii.gz, stored (as it was)": (".nii.gz", write_stored, read_as_engine, 6),
    ".nii, read with ITK": (".nii", write_itk, read_with_itk, 4),
    ".nrrd": (".nrrd", write_itk, read_as_engine, 4),
    ".nii (as it is)": (".nii", write_itk, read_as_engine, 3),
    ".nii, mapped": (".nii", write_itk, lambda path: as_engine(read_mapped_nifti(path, np.int16)), 2),
    ".npy, mapped": (".npy", lambda a, p: np.save(p, a), lambda p: as_engine(np.load(p, mmap_mode="r")), 1),
    "shared memory": ("", write_shared, lambda path: read_shared(path, np.int16, as_engine), 1),
}
LABELS = {
    ".nii.gz (as it is)": (".nii.gz", write_result, read_labels, 3),
    ".nii": (".nii", write_result, read_labels, 4),
    ".npy, mapped": (".npy", lambda a, p: np.save(p, a), lambda p: np.load(p, mmap_mode="r"), 1),
    "shared memory": ("", write_shared, lambda path: read_shared(path, np.uint8, np.copy), 2),
}
WAYS = {"volume": (volume, VOLUMES), "labels": (labels, LABELS)}
"""Ending, writing, reading, and how often the voxels are copied in their own type (before they become float32)."""


def one_side(what: str, way: str, side: str, path: str) -> None:
    """In a process of its own: print the seconds of the processor and of the clock."""
    _, write, read, _ = WAYS[what][1][way]
    array = np.load(Path(path).with_name(f"{what}.npy")) if side == "write" else None
    clock, processor = time.perf_counter(), time.process_time()
    if side == "write":
        write(array, path)
    else:
        read(path).max()  # every voxel is looked at once
    print(json.dumps([time.process_time() - processor, time.perf_counter() - clock]))


def measured(what: str, way: str, folder: Path) -> list[float]:
    ending = WAYS[what][1][way][0]
    path = str(folder / f"exchange_{os.getpid()}{ending}")
    seconds = []
    for side in ("write", "read"):
        command = [sys.executable, __file__, "--side", side, what, way, path]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        seconds += json.loads(done.stdout.splitlines()[-1])
    for file in folder.glob("exchange_*"):
        file.unlink()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the files go (default: the temporary folder)")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, what, way, path = options.side
        one_side(what, way, side, path)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for what, (make, ways) in WAYS.items():
            array = make()
            np.save(Path(folder) / f"{what}.npy", array)
            taken = {way: [] for way in ways}
            for _ in range(options.times):
                for way in ways:
                    taken[way].append(measured(what, way, Path(folder)))
            columns = (what, "give, processor s", "take, processor s", "both", "clock s", "MB copied")
            print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
            for way, rows in taken.items():
                give, give_clock, take, take_clock = map(statistics.median, zip(*rows, strict=True))
                seconds = " | ".join(f"{value:.2f}" for value in (give, take, give + take, give_clock + take_clock))
                print(f"| {way} | {seconds} | {ways[way][3] * array.nbytes / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
