"""NRRD, MetaImage, TIFF and others: headers that lie, voxels that are elsewhere, chains of pages that do not end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import image_files as made
from ..attack import Attack, Expected
from ..image_files import Renamed, mha, nrrd, nrrd_cube
from ..spoils import By

FAMILY = "image"
OUT = "../../../../../../../outside"
"""From imagesTr."""
CUBE = bytes(8192)


OTHER_TYPES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "nrrd-detached-outside": (".nrrd", nrrd((*nrrd_cube(), f"data file: {OUT}/voxels.raw"))),
    "nrrd-detached-system": (".nrrd", nrrd((*nrrd_cube(), "data file: /etc/passwd"))),
    "nrrd-detached-endless": (".nrrd", nrrd((*nrrd_cube(), "data file: /dev/zero"))),
    "nrrd-detached-list": (".nrrd", nrrd((*nrrd_cube(), "data file: LIST", "/etc/passwd"))),
    "nrrd-detached-pattern": (".nrrd", nrrd((*nrrd_cube(), "data file: /etc/x%99999999d 1 16 1"))),
    "nrrd-skip-all": (".nrrd", nrrd((*nrrd_cube(), "byte skip: -1"), bytes(100))),
    "nrrd-skip-far": (".nrrd", nrrd((*nrrd_cube(), "line skip: 999999999"), CUBE)),
    "nrrd-complex": (".nrrd", nrrd(nrrd_cube(dimension="4", sizes="2 16 16 16",
        kinds="complex domain domain domain",

        space_directions="none (1,0,0) (0,1,0) (0,0,1)"), bytes(16384))),
    "nrrd-vector": (".nrrd", nrrd(nrrd_cube(dimension="4", sizes="3 16 16 16",
        kinds="vector domain domain domain",

        space_directions="none (1,0,0) (0,1,0) (0,0,1)"), bytes(24576))),
    "nrrd-huge": (".nrrd", nrrd(nrrd_cube(sizes="100000 100000 100000"), CUBE)),
    "nrrd-overflow": (".nrrd", nrrd(nrrd_cube(sizes="4294967296 4294967296 4294967296"), CUBE)),
    "nrrd-zero": (".nrrd", nrrd(nrrd_cube(sizes="0 16 16"), CUBE)),
    "nrrd-negative": (".nrrd", nrrd(nrrd_cube(sizes="-16 16 16"), CUBE)),
    "nrrd-cut": (".nrrd", nrrd(nrrd_cube(), bytes(4000))),
    "nrrd-nan-direction": (".nrrd", nrrd(nrrd_cube(
        space_directions="(nan,0,0) (0,1,0) (0,0,1)"), CUBE)),
    "nrrd-zero-direction": (".nrrd", nrrd(nrrd_cube(
        space_directions="(0,0,0) (0,1,0) (0,0,1)"), CUBE)),
    "nrrd-singular": (".nrrd", nrrd(nrrd_cube(
        space_directions="(1,0,0) (1,0,0) (0,0,1)"), CUBE)),
    "nrrd-spacing-1e9": (".nrrd", nrrd(nrrd_cube(
        space_directions="(1e9,0,0) (0,1e9,0) (0,0,1e9)"), CUBE)),
    "nrrd-encoding": (".nrrd", nrrd(nrrd_cube(encoding="magic"), CUBE)),
    "nrrd-gzip-of-nothing": (".nrrd", nrrd(nrrd_cube(encoding="gzip"), b"")),
    "nrrd-text": (".nrrd", nrrd(nrrd_cube(encoding="ascii"), b"x y z")),
    "mha-of-system": (".mha", mha(ElementDataFile="/etc/passwd")),
    "mha-endless": (".mha", mha(ElementDataFile="/dev/zero")),
    "mha-outside": (".mha", mha(ElementDataFile=f"{OUT}/voxels.raw")),
    "mha-list": (".mha", mha(b"/etc/passwd\n/etc/passwd\n", ElementDataFile="LIST")),
    "mha-pattern": (".mha", mha(b"", ElementDataFile="/etc/%99999999d 1 16 1")),
    "mha-huge": (".mha", mha(DimSize="100000 100000 100000")),
    "mha-negative": (".mha", mha(DimSize="-16 16 16")),
    "mha-zero": (".mha", mha(DimSize="0 16 16")),
    "mha-rank-99": (".mha", mha(NDims="99")),
    "mha-cut": (".mha", mha(bytes(4000))),
    "mha-header-size": (".mha", mha(HeaderSize="-1", data=bytes(100))),
    "mha-channels": (".mha", mha(ElementNumberOfChannels="1000000000")),
    "mha-spacing-nan": (".mha", mha(ElementSpacing="nan 1 1")),
    "mha-spacing-negative": (".mha", mha(ElementSpacing="-1 1 1")),
    "mha-singular": (".mha", mha(TransformMatrix="1 0 0 1 0 0 0 0 1")),
    "tiff-cut": (".tif", made.tiff(16, chain="cut")),
    "tiff-circle": (".tif", made.tiff(16, chain="circle")),
    "tiff-nowhere": (".tif", made.tiff(16, chain="nowhere")),
    "tiff-early": (".tif", made.tiff(16, chain="early")),
    "tiff-wide": (".tif", made.tiff(16, width=1 << 30)),
    "png-cut": (".png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))),
    "bmp-huge": (".bmp", lambda path: path.write_bytes(b"BM" + bytes(16) + b"\xff\xff\xff\x7f" * 2 + bytes(40))),
    "gipl-empty": (".gipl", lambda path: path.write_bytes(bytes(300))),
}  # fmt: skip


def attacks() -> Iterator[Attack]:
    for name, (ending, write) in OTHER_TYPES.items():
        file = f"{{raw}}/imagesTr/ball_0_0000{ending}"
        convert = Renamed(ending) if ending in (".nrrd", ".mha") else AllTiff(ending)
        for verb in ("check", "fingerprint"):
            named = (file, "{raw}/labelsTr/ball_0", "ball_0")
            yield Attack(FAMILY, name, verb, (convert, By(file, write)), Expected.REFUSED, named, hostile=False)


class AllTiff:
    """The dataset's files have another ending, and what they hold is another matter."""

    def __init__(self, ending: str) -> None:
        self.ending = ending

    def __call__(self, place: Any) -> None:
        description = place.raw / "dataset.json"
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace('".nii.gz"', f'"{self.ending}"'), encoding="utf-8")
        for path in [*place.raw.glob("*Tr/*.nii.gz")]:
            made.tiff(16)(path.with_name(path.name.removesuffix(".nii.gz") + self.ending))
            path.unlink()
