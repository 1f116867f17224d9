"""Which file of a folder is an image and which is its segmentation."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, UserInputError
from ..images.image_io import VOLUME_ENDINGS
from ..names import problem_of_name
from ..schema import shown

SEGMENTATION = re.compile(r"(?:^|[-_. ])(?:seg|segmentation|segmentations|label|labels|labelmap|mask)[-_ ]?\d*$", re.I)
CHANNEL = re.compile(r"_(\d{4})$")
IMAGE_FOLDERS = ("images", "image", "volumes", "imagestr")
LABEL_FOLDERS = ("labels", "label", "segmentations", "segmentation", "masks", "labelstr")


@dataclass(frozen=True)
class Pair:
    """One case to be imported: its image files in channel order and its segmentation."""

    identifier: str
    images: tuple[Path, ...]
    segmentation: Path


PairFiles = tuple[Path | str | Sequence[Path | str], Path | str]


def as_pairs(source: Path | str | Sequence[PairFiles]) -> tuple[Pair, ...]:
    """The pairs of a folder, or those given as (image or images, segmentation).

    Raises:
        UserInputError: as `find_pairs`, or two cases would have the same name.
    """
    if isinstance(source, str | Path):
        pairs = find_pairs(Path(source).absolute())
    else:
        pairs = tuple(_with_unique_names([_given_pair(images, segmentation) for images, segmentation in source]))
    for pair in pairs:
        if (problem := problem_of_name(pair.identifier)) is not None:
            raise FileError(pair.images[0], f"its case's name {problem}, not {shown(pair.identifier)}", "rename it")
    # Windows and macOS do not tell A from a in file names.
    twice = [name for name, count in Counter(pair.identifier.casefold() for pair in pairs).items() if count > 1]
    if twice:
        first, second, *_ = (pair.images[0] for pair in pairs if pair.identifier.casefold() == twice[0])
        raise UserInputError(f"{first} and {second} would become one case; rename one of the files.")
    return pairs


def _given_pair(images: Path | str | Sequence[Path | str], segmentation: Path | str) -> Pair:
    files = (images,) if isinstance(images, str | Path) else tuple(images)
    paths = tuple(Path(file).absolute() for file in files)
    return Pair(_image_stem(paths[0]), paths, Path(segmentation).absolute())


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """Pair the images and segmentations of a folder.

    In one folder `X.nrrd` belongs to `X.seg.nrrd`, `X-label.nii.gz`, `X_mask.mha` and the like; channels are
    `X_0000`, `X_0001`. A sub-folder with one of each is a pair whatever the names. Folders `images` and
    `labels` (or `segmentations`, `masks`) side by side are paired by equal names.

    Raises:
        FileError: there is no pair, or a file has no partner.
    """
    if not folder.is_dir():
        raise FileError(folder, "the folder does not exist", "check the path")
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.name[0] != "." and path.is_file() and path.name.lower().endswith(VOLUME_ENDINGS):
            folders[path.parent].append(path)
    pairs = _pairs_of_two_folders(folder, folders)
    if pairs is None:
        pairs = [
            pair for place, files in folders.items() for pair in _pairs_of_one_folder(place, files, place == folder)
        ]
    if not pairs:
        raise FileError(
            folder, "holds no images with segmentations", f"put files of the types {', '.join(VOLUME_ENDINGS)} there"
        )
    return tuple(_with_unique_names(pairs))


def _pairs_of_two_folders(folder: Path, folders: dict[Path, list[Path]]) -> list[Pair] | None:
    by_name = {place.name.lower(): files for place, files in folders.items() if place.parent == folder}
    images = next((by_name[name] for name in IMAGE_FOLDERS if name in by_name), None)
    labels = next((by_name[name] for name in LABEL_FOLDERS if name in by_name), None)
    if images is None or labels is None:
        return None
    return _match(_by_stem(images, _image_stem), {_label_stem(path): [path] for path in labels})


def _pairs_of_one_folder(folder: Path, files: list[Path], is_root: bool) -> list[Pair]:
    labels = [path for path in files if SEGMENTATION.search(stem(path))]
    images = [path for path in files if path not in labels]
    if len(labels) == 1 and len(images) == 1:
        identifier = stem(images[0]) if is_root else folder.name
        return [Pair(identifier, (images[0],), labels[0])]
    return _match(_by_stem(images, _image_stem), _by_stem(labels, _label_stem))


def _match(images: dict[str, list[Path]], labels: dict[str, list[Path]]) -> list[Pair]:
    pairs = []
    for name, files in images.items():
        if name not in labels:
            raise FileError(files[0], "has no segmentation", f"save one beside it as {name}.seg.nrrd, or move it away")
        pairs.append(Pair(name, tuple(sorted(files)), labels[name][0]))
    for name, files in labels.items():
        if name not in images:
            raise FileError(files[0], "has no image", f"save the image beside it as {name}.nrrd, or move it away")
        if len(files) > 1:
            raise FileError(files[1], f"is a second segmentation of {name}", "keep one")
    return pairs


def _by_stem(files: Iterable[Path], stem_of: Callable[[Path], str]) -> dict[str, list[Path]]:
    grouped: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        grouped[stem_of(path)].append(path)
    return dict(grouped)


def _image_stem(path: Path) -> str:
    return CHANNEL.sub("", stem(path))


def _label_stem(path: Path) -> str:
    return SEGMENTATION.sub("", stem(path))


def stem(path: Path) -> str:
    """The file name without its ending, `.nii.gz` counted as one."""
    ending = next((ending for ending in VOLUME_ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.name[: len(path.name) - len(ending)]


def _with_unique_names(pairs: list[Pair]) -> Iterable[Pair]:
    """Where sub-folders repeat a name, the folder's is put in front."""
    counts = Counter(pair.identifier for pair in pairs)
    for pair in pairs:
        unique = counts[pair.identifier] == 1
        name = pair.identifier if unique else f"{pair.images[0].parent.name}_{pair.identifier}"
        yield Pair(name, pair.images, pair.segmentation)
