"""Which models a source holds, and which of its files belong to each, by their names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ..errors import FileError
from ..models import FINGERPRINT_FILE, PLANS_FILE
from ..models.names import fold_of_folder
from ..schema import shown
from ..workspace import DATASET_NAME
from ..zip_directory import DirectorySizedFile
from .folder_source import FolderSource
from .layout import PROSE, VERSION_1, is_kept, reason_to_leave_out
from .member_names import REPACK, require_safe_names
from .zip_source import ZipSource


class ModelSource(Protocol):
    """Files that somebody gave, in a folder or an archive, under names with `/` between folders."""

    path: Path
    is_archive: bool
    files: Mapping[str, int]
    """Bytes of each file."""

    def __enter__(self) -> ModelSource: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file, piece by piece."""

    def open(self, name: str) -> DirectorySizedFile:
        """The file, to seek in."""

    def where(self, name: str) -> Path:
        """What to call the file in a sentence."""


@dataclass(frozen=True)
class PackedModel:
    """The files of one model in a source."""

    dataset: str
    """`DatasetXXX_Name`; empty where its folder is not in one of that form."""
    folder: str
    """As it is called there; empty where its files lie outermost."""
    files: Mapping[str, str]
    """Relative to the model's folder → in the source; those that are kept."""


@dataclass(frozen=True)
class Contents:
    """All models of a source, and what else is in it."""

    models: tuple[PackedModel, ...]
    beside: Mapping[str, Mapping[str, str]]
    """By dataset: the files that are kept and belong to no single model, relative to its folder → in the source."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why → how many files."""
    unknown: tuple[str, ...] = ()
    """Files that no model has."""


def open_source(path: Path) -> ModelSource:
    """The folder or the zip archive.

    Raises:
        UserInputError: it is neither, or not one that is safe to read.
    """
    return FolderSource(path) if path.is_dir() else ZipSource(path)


def contents_of(source: ModelSource) -> Contents:
    """What a source holds.

    Raises:
        FileError: no model of nnU-Net 2 or SegAutoPlan.
    """
    roots = _roots(source.files)
    if not roots:
        old = next((name for name in source.files if VERSION_1.fullmatch(name)), None)
        if old is not None:
            raise FileError(
                source.path, f"is a model of nnU-Net 1 ({shown(old)})", "train it again; nnU-Net 2 cannot use it either"
            )
        raise FileError(
            source.path,
            f"holds no model (a folder with {PLANS_FILE} and fold_0)",
            "choose the zip archive or folder of an nnU-Net 2 model",
        )
    datasets = {_parent(root): _dataset_of(root) for root in roots}
    of_models: dict[str, dict[str, str]] = {root: {} for root in roots}
    beside: dict[str, dict[str, str]] = {name: {} for name in datasets.values() if name}
    left_out: Counter[str] = Counter()
    unknown, prose = [], []
    for name in source.files:
        reason = reason_to_leave_out(name)
        root = next((folder for folder in _folders_of(name) if folder in of_models), None)
        parent = next((folder for folder in _folders_of(name) if datasets.get(folder)), None)
        if reason is not None:
            left_out[reason] += 1
        elif root is not None and is_kept(name[len(root) :], of_model=True):
            of_models[root][name[len(root) :]] = name
        elif root is None and parent is not None and is_kept(name[len(parent) :], of_model=False):
            beside[datasets[parent]][name[len(parent) :]] = name
        elif root is None and PROSE.fullmatch(_own_name(name)):
            prose.append(name)
        else:
            unknown.append(name)
    for name in prose:
        # A licence above the folder of the only dataset is that dataset's.
        files = next(iter(beside.values())) if len(beside) == 1 else None
        if files is None or _own_name(name) in files:
            left_out["texts outside of the dataset's folder"] += 1
        else:
            files[_own_name(name)] = name
    models = tuple(PackedModel(_dataset_of(root), _folder_of(root), of_models[root]) for root in roots)
    require_safe_names(
        [name for files in (*of_models.values(), *beside.values()) for name in files.values()], source.path
    )
    return Contents(models, beside, dict(left_out), tuple(unknown))


def require_known(contents: Contents, source: ModelSource) -> None:
    """Refuse an archive that holds what no model has; of a folder such files are left where they are.

    Raises:
        FileError: there is one.
    """
    if source.is_archive and contents.unknown:
        raise FileError(source.path, f"holds {shown(contents.unknown[0])}, which is no file of a model", REPACK)


def _roots(files: Mapping[str, int]) -> list[str]:
    """Folders of models, with the `/` at their end: they hold plans and a fold or a fingerprint."""
    planned = {name.removesuffix(PLANS_FILE) for name in files if _own_name(name) == PLANS_FILE}
    trained = {name.removesuffix(FINGERPRINT_FILE) for name in files if _own_name(name) == FINGERPRINT_FILE}
    for name in files:
        parts = name.split("/")
        for depth, part in enumerate(parts[:-1]):
            if fold_of_folder(part) is not None:
                trained.add("".join(f"{above}/" for above in parts[:depth]))
    return sorted(planned & trained)


def _folders_of(name: str) -> Iterator[str]:
    """The folders in which a file lies, from the outermost, with the `/` at their end."""
    yield ""
    for position, character in enumerate(name):
        if character == "/":
            yield name[: position + 1]


def _own_name(name: str) -> str:
    return name.rpartition("/")[2]


def _folder_of(root: str) -> str:
    return _own_name(root.rstrip("/"))


def _parent(root: str) -> str:
    return root[: -len(_folder_of(root)) - 1] if root else ""


def _dataset_of(root: str) -> str:
    name = _folder_of(_parent(root))
    return name if DATASET_NAME.fullmatch(name) else ""
