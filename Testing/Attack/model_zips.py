"""Ways to spoil the zip archive of a model: what its directory says, what lies in it, and how it inflates."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .place import DATASET, MODEL, Place

ARCHIVE = "{archive}"
INSIDE = f"{DATASET}/{MODEL}"
FINAL = f"{INSIDE}/fold_0/checkpoint_final.pth"
PLANS = f"{INSIDE}/plans.json"
Record = tuple[zipfile.ZipInfo, bytes]
CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def zipped(model: Path, archive: Path) -> None:
    """The archive of a model's folder, as nnU-Net makes it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(model.rglob("*")):
            if path.is_file():
                target.write(path, path.relative_to(model.parent.parent).as_posix())


def pack_again(place: Place) -> None:
    """The model's folder, which was spoilt, becomes the archive."""
    zipped(place.model, place.archive)


@dataclass(frozen=True)
class With:
    """The archive has one more file of that name."""

    name: str
    content: bytes = b"x"
    mode: int = 0
    """Kind and permissions, as Unix writes them."""
    first: bool = False

    def __call__(self, place: Place) -> None:
        info = zipfile.ZipInfo(place.named(self.name))
        # The constructor cuts names at a zero character.
        info.filename = place.named(self.name)
        info.external_attr = self.mode << 16
        info.create_system = 3
        content = place.named(self.content.decode()).encode() if self.mode else self.content
        add = [(info, content)]
        _changed(place.archive, lambda records: [*add, *records] if self.first else [*records, *add])


@dataclass(frozen=True)
class Renamed:
    """Files whose name begins so have another beginning."""

    old: str
    new: str

    def __call__(self, place: Place) -> None:
        def change(records: Sequence[Record]) -> list[Record]:
            for info, _ in records:
                if info.filename.startswith(self.old):
                    info.filename = self.new + info.filename[len(self.old) :]
            return list(records)

        _changed(place.archive, change)


@dataclass(frozen=True)
class Bytes:
    """The bytes of the archive, changed."""

    change: Callable[[bytes], bytes]

    def __call__(self, place: Place) -> None:
        place.archive.write_bytes(self.change(place.archive.read_bytes()))


def append(path: Path, name: str) -> None:
    """A file of one byte more in an archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")


def link(name: str, target: str) -> With:
    """A symbolic link, as Unix packs it."""
    return With(name, target.encode(), stat.S_IFLNK | 0o777)


def _changed(path: Path, change: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
    with zipfile.ZipFile(path) as archive:
        records = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in change(records):
            fresh = zipfile.ZipInfo("x", info.date_time)
            fresh.filename = fresh.orig_filename = info.filename
            fresh.external_attr, fresh.create_system = info.external_attr, info.create_system
            archive.writestr(fresh, content, zipfile.ZIP_DEFLATED)


def bomb(place: Place) -> None:
    """Weights of 24 MB that come in a thousandth of it."""
    with zipfile.ZipFile(place.archive, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(place.model / "plans.json", PLANS)
        archive.write(place.model / "dataset.json", f"{INSIDE}/dataset.json")
        with archive.open(FINAL, "w", force_zip64=True) as file:
            for _ in range(24):
                file.write(bytes(1 << 20))


def many_bombs(place: Place) -> None:
    """Segmentations that inflate a thousandfold, each hardly larger than what may."""
    with zipfile.ZipFile(place.archive, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{INSIDE}/fold_0/validation/case_{number}.nii.gz", bytes(11 << 20))


def overlapping(place: Place) -> None:
    """Many names for the same packed bytes."""
    content = place.archive.read_bytes()
    start = content.index(CENTRAL)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry_end = start + 46 + len(archive.infolist()[0].filename.encode())
    entry = content[start:entry_end]
    directory = content[start : content.rindex(b"PK\x05\x06")]
    more = entry * 1000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1001, 1001, len(directory) + len(more), start, 0)
    place.archive.write_bytes(content[:start] + directory + more + end)


def thousands_of_files(place: Place) -> None:
    with zipfile.ZipFile(place.archive, "a") as archive:
        for number in range(60_000):
            archive.writestr(f"{INSIDE}/fold_0/validation/{number}.nii.gz", b"")


def in_directory(name: str, at: int, form: str, value: int, local: bool = False) -> Callable[[Place], None]:
    """A field of a file's entry in the directory (or before the file) is another number."""

    def change(place: Place) -> None:
        content = bytearray(place.archive.read_bytes())
        signature, header = (LOCAL, 30) if local else (CENTRAL, 46)
        position = content.index(signature)
        while content[position + header : position + header + len(name)] != name.encode():
            position = content.index(signature, position + 1)
        struct.pack_into(form, content, position + at, value)
        place.archive.write_bytes(bytes(content))

    return change


CLAIMED, PACKED, CHECKSUM, METHOD, FLAGS, PLACE = 24, 20, 16, 10, 8, 42
"""Where in an entry of the directory stands: the size, the packed size, the checksum, the method, flags, the place."""


def nested(place: Place) -> None:
    """The archive, in an archive."""
    content = place.archive.read_bytes()
    with zipfile.ZipFile(place.archive, "w") as archive:
        archive.writestr(f"{DATASET}/model.zip", content)


def version_1(place: Place) -> None:
    """As nnU-Net 1 was shared."""
    with zipfile.ZipFile(place.archive, "w") as archive:
        folder = "3d_fullres/Task004_Balls/nnUNetTrainerV2__nnUNetPlansv2.1"
        archive.writestr(f"{folder}/plans.pkl", b"x")
        for name in ("model_final_checkpoint.model", "model_final_checkpoint.model.pkl"):
            archive.writestr(f"{folder}/fold_0/{name}", b"x")


def empty(place: Place) -> None:
    with zipfile.ZipFile(place.archive, "w"):
        pass


def a_tar(place: Place) -> None:
    import tarfile

    with tarfile.open(place.archive, "w") as archive:
        archive.add(place.model / "plans.json", PLANS)


def encrypted(place: Place) -> None:
    """Every file says that it is encrypted."""
    content = bytearray(place.archive.read_bytes())
    for signature, at in ((LOCAL, 6), (CENTRAL, 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + at] |= 1
            position = content.find(signature, position + 1)
    place.archive.write_bytes(bytes(content))
