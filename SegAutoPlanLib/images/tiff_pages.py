"""The pages of a TIFF file, followed from one to the next: readers stop at the first that they cannot find.

Source: the TIFF 6.0 specification, and the description of BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import COPY_AGAIN, CORRECT_HEADER, CUT_SHORT, HeaderPromise, unknown_voxels

SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
DESCRIPTION, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 270, 273, 277, 278, 279, 284
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
SAME_TAGS = (BITS, SAMPLE_FORMAT, PHOTOMETRIC, PLANAR, TILE_WIDTH, TILE_LENGTH)
READ_TAGS = frozenset((254, 255, 256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 284, 322, 323, 324, 325, 339))
FIELD_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}
LAYOUT_BYTES = 8
MAX_TAGS = 4096
MAX_PAGES = 200_000
COMPLEX_FORMATS = (5, 6)
PLAIN_PAGES = frozenset({(None, None), (0, None), (2, None), (None, 1), (None, 3)})
"""What the two tags for the type of a page may say of a slice."""
UNCOMPRESSED = 1
IMAGEJ_IMAGES = b"images="


@dataclass(frozen=True)
class TiffPage:
    """The tags of a page that say what and where its pixels are."""

    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def type(self) -> tuple[int | None, int | None]:
        """Whether it is a slice, or a smaller copy or a mask of another page: by the new tag and by the old one."""
        return tuple(self.tags.get(tag, (None,))[0] for tag in (SUBFILE_TYPE, OLD_SUBFILE_TYPE))

    @property
    def size(self) -> tuple[int, int, int, int, int]:
        """Width, height, samples, bits and sample format."""
        sizes = self.first(WIDTH, 0), self.first(LENGTH, 0), self.first(SAMPLES, 1)
        return (*sizes, self.first(BITS, 1), self.first(SAMPLE_FORMAT, 1))

    @property
    def kind(self) -> tuple:
        """What must be the same in all pages of a stack."""
        return (self.size, self.type, *(self.tags.get(tag) for tag in SAME_TAGS))


def read_tiff_pages(stream: BinaryIO, file_bytes: int, path: Path) -> list[TiffPage]:
    """All pages, each with its pixels in the file.

    Raises:
        FileError: a page or its pixels lie beyond the end of the file, the pages lead in a circle or are of several
            kinds, or there are fewer than the file says.
    """
    stream.seek(0)
    layout = _layout(stream, path)
    stream.seek(layout.first_at)
    offset = layout.offset(stream, path)
    seen: set[int] = set()
    pages: list[TiffPage] = []
    while offset:
        if offset in seen or len(seen) >= MAX_PAGES:
            raise FileError(path, "its pages lead in a circle", COPY_AGAIN)
        seen.add(offset)
        if offset >= file_bytes:
            raise FileError(path, CUT_SHORT, COPY_AGAIN)
        page, offset = layout.page(stream, offset, file_bytes, path)
        _require_pixels(page, file_bytes, path)
        pages.append(page)
    if not pages:
        raise FileError(path, "has no page", COPY_AGAIN)
    # ITK finds room for the slices alone, and then writes slices behind it where other pages lie between them.
    if len({page.kind for page in pages}) > 1 or (len(pages) > 1 and pages[0].type not in PLAIN_PAGES):
        raise FileError(
            path, "its pages differ in size or kind", "save pages of one size and one pixel type, one for each slice"
        )
    _require_all_images(pages, path)
    return pages


def tiff_promise(pages: Sequence[TiffPage], file_bytes: int, path: Path) -> HeaderPromise:
    """What the pages hold together."""
    width, height, samples, bits, form = pages[0].size
    if form in COMPLEX_FORMATS:
        raise unknown_voxels("complex numbers", path)
    if not 1 <= bits <= 64 or not 1 <= samples <= 4:
        raise unknown_voxels(f"of an unknown type ({samples} samples of {bits} bits)", path)
    # A palette becomes three colours, and ITK makes four of some kinds.
    components = samples if samples > 1 else 1
    return HeaderPromise(
        shape=(width, height) if len(pages) == 1 else (width, height, len(pages)),
        voxel_bytes=max(components, 1) * max(math.ceil(bits / 8), 1),
        file_bytes=file_bytes,
        stored="otherwise",
        components=components,
    )


@dataclass(frozen=True)
class _Layout:
    """How a TIFF or BigTIFF writes its numbers."""

    order: str
    is_big: bool

    @property
    def first_at(self) -> int:
        return 8 if self.is_big else 4

    @property
    def number(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.is_big else "I"))

    def offset(self, stream: BinaryIO, path: Path) -> int:
        return self.number.unpack(_exactly(stream, self.number.size, path))[0]

    def page(self, stream: BinaryIO, at: int, file_bytes: int, path: Path) -> tuple[TiffPage, int]:
        """The page at an offset, and the offset of the next one."""
        stream.seek(at)
        counter = struct.Struct(self.order + ("Q" if self.is_big else "H"))
        count = counter.unpack(_exactly(stream, counter.size, path))[0]
        if not 1 <= count <= MAX_TAGS:
            raise FileError(path, f"has a page with {count} tags", COPY_AGAIN)
        entry_bytes, value_at = (20, 12) if self.is_big else (12, 8)
        entries = _exactly(stream, count * entry_bytes, path)
        following = self.offset(stream, path)
        tags = {}
        for start in range(0, len(entries), entry_bytes):
            tag, kind = struct.unpack_from(self.order + "HH", entries, start)
            if tag not in READ_TAGS or kind not in FIELD_FORMS:
                continue
            values = self.number.unpack_from(entries, start + 4)[0]
            if not 1 <= values <= file_bytes:
                raise FileError(path, CUT_SHORT, COPY_AGAIN)
            form = struct.Struct(f"{self.order}{values}{FIELD_FORMS[kind]}")
            if form.size <= entry_bytes - value_at:
                tags[tag] = form.unpack_from(entries, start + value_at)
            else:
                at = self.number.unpack_from(entries, start + value_at)[0]
                if at + form.size > file_bytes:
                    raise FileError(path, CUT_SHORT, COPY_AGAIN)
                stream.seek(at)
                tags[tag] = form.unpack(_exactly(stream, form.size, path))
        return TiffPage(tags), following


def _layout(stream: BinaryIO, path: Path) -> _Layout:
    start = _exactly(stream, 8, path)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    version = struct.unpack_from((order or "<") + "H", start, 2)[0]
    if order is None or version not in (42, 43):
        raise FileError(path, "is not a TIFF file", COPY_AGAIN)
    return _Layout(order, version == 43)


def _exactly(stream: BinaryIO, count: int, path: Path) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    return content


def _require_pixels(page: TiffPage, file_bytes: int, path: Path) -> None:
    width, height, samples, bits, _ = page.size
    if width < 1 or height < 1:
        raise FileError(path, f"has a page of {width} x {height} pixels", CORRECT_HEADER)
    tiled = TILE_WIDTH in page.tags
    offsets = page.tags.get(TILE_OFFSETS if tiled else STRIP_OFFSETS, ())
    lengths = page.tags.get(TILE_BYTES if tiled else STRIP_BYTES, ())
    if tiled:
        across, down = page.first(TILE_WIDTH, 1), page.first(TILE_LENGTH, 1)
        wanted = math.ceil(width / max(across, 1)) * math.ceil(height / max(down, 1))
    else:
        wanted = math.ceil(height / max(min(page.first(ROWS_PER_STRIP, height), height), 1))
    wanted *= samples if page.first(PLANAR, 1) == 2 else 1
    if len(offsets) < wanted or (lengths and len(lengths) < wanted):
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    # Old writers leave the lengths out; then the offsets alone have to lie in the file.
    ends = (start + length for start, length in zip(offsets, lengths or (1,) * wanted, strict=False))
    if min(offsets) < LAYOUT_BYTES or max(ends) > file_bytes:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    if page.first(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED:
        there = sum(lengths) if lengths else file_bytes
        if there < width * height * samples * bits // 8:
            raise FileError(path, CUT_SHORT, COPY_AGAIN)


def _require_all_images(pages: Sequence[TiffPage], path: Path) -> None:
    """ImageJ writes stacks of more than 4 GB with one page and the true number in its description."""
    text = bytes(value & 0xFF for value in pages[0].tags.get(DESCRIPTION, ())[:4096])
    if not text.startswith(b"ImageJ=") or IMAGEJ_IMAGES not in text:
        return
    number = text.split(IMAGEJ_IMAGES, 1)[1].split(b"\n", 1)[0].strip(b"\0\r ")
    if number.isdigit() and len(number) < 10 and int(number) > len(pages):
        raise FileError(
            path,
            f"has {len(pages)} pages, but says that it is of {int(number)} images",
            "save it as a TIFF with a page for each slice",
        )
